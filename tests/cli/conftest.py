"""A jobs module that records what the verbs ask of it, so that verbs are tested in milliseconds."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import trainwell.training
from trainwell.cli.main import main

METRICS = {
    "train": {"loss": 0.1, "accuracy": 0.99},
    "val": {"loss": float("nan"), "accuracy": 0.5},
    "test": {"loss": 0.2},
}


class FakeJobs(ModuleType):
    """Stands for ``trainwell.training.jobs``; a job can be replaced by assigning to its name."""

    def __init__(self) -> None:
        super().__init__("trainwell.training.jobs")
        self.calls: list[tuple[Any, ...]] = []
        self.run = SimpleNamespace(
            folder="runs/digits-1", metrics=METRICS, best_epoch=3, seconds=1.5, task="classification", notes=[]
        )

    def train(self, spec: str, recipe: Any, *, callbacks: Any = (), before: Any = None, watch: Any = None) -> Any:
        self.calls.append((spec, recipe))
        print("what a user's model file prints")
        return self.run

    def cross_validate(
        self, spec: str, recipe: Any, folds: int, callbacks: Any = (), watch: Any = None
    ) -> dict[str, Any]:
        self.calls.append((spec, recipe, folds))
        each = [{"test": {"accuracy": 0.8 + 0.1 * i}} for i in range(folds)]
        mean, spread = {"test": {"accuracy": 0.85}}, {"test": {"accuracy": 0.0707}}
        return {"run": "runs/d-1", "task": "t", "folds": each, "metrics": mean, "spread": spread, "seconds": 2.0}

    def resume(self, folder: Any, *, callbacks: Any = (), watch: Any = None) -> Any:
        self.calls.append((folder,))
        return self.run

    def evaluate(
        self, folder: Any, spec: str | None = None, *, attack: Any = None, callbacks: Any = ()
    ) -> dict[str, Any]:
        self.calls.append((folder, spec))
        return {"run": str(folder), "task": "classification", "metrics": METRICS, "seconds": 0.1, "best_epoch": 3}

    def predict(self, folder: Any, path: Any, output: Any, *, callbacks: Any = ()) -> Any:
        self.calls.append((folder, path, output))
        rows = [("a.png", "cat", 0.9, 0.1), ("b.png", "dog, small", 0.2, 0.8)]
        return SimpleNamespace(columns=("file", "label", "p(cat)", "p(dog, small)"), rows=lambda: iter(rows))

    def export(self, folder: Any, output: Any) -> dict[str, Any]:
        self.calls.append((folder, output))
        return {"file": str(output), "difference": 2e-7}

    def report(self, folder: Any) -> Any:
        return folder / "report.html"

    def find_rate(self, spec: str, recipe: Any, *, callbacks: Any = ()) -> Any:
        self.calls.append((spec, recipe))
        rates = [10 ** (-5 + i / 10) for i in range(50)]
        losses = [2.0 - i / 40 for i in range(40)] + [1.0, 1.2, 2.0, 8.0, 1e9, float("nan"), *[float("inf")] * 4]
        return SimpleNamespace(rates=rates, losses=losses, suggestion=1e-2)

    def summarize(self, what: str, recipe: Any, *, callbacks: Any = ()) -> Any:
        from trainwell.theory.chain import Chain, Layer

        self.calls.append((what, recipe))
        layers = (
            Layer("body.0", "linear", "Linear", (64,), (10,), 64, 10, 650, ""),
            Layer("body.1", "activation", "ReLU", (10,), (10,), 10, 10, 0, ""),
        )
        return Chain(layers, "")


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    fake = FakeJobs()
    monkeypatch.setitem(sys.modules, "trainwell.training.jobs", fake)
    monkeypatch.setitem(vars(trainwell.training), "jobs", fake)
    return fake


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Run a command line in this process; gives ``code``, ``out`` and ``err``."""

    def call(*words: str) -> SimpleNamespace:
        code = main(words)
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return call
