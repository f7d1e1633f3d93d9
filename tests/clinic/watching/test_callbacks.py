"""The same watch in the engine, in Lightning and in the Trainer of Hugging Face, on healthy and on sick runs."""

import warnings

import loops
import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.clinic.finding import Finding
from trainwell.clinic.watching import WatchedRun
from trainwell.clinic.watching.pace import Pace


@pytest.fixture(autouse=True)
def every_step_is_looked_at(monkeypatch):
    """What is found does not depend on the clock here."""
    monkeypatch.setattr(Pace, "due", lambda pace, step: True)
    monkeypatch.setattr(Pace, "tired", False)


def program(lr: float, loss=None) -> tw.Program:
    parts = loops.mlp()
    optimizer = torch.optim.SGD(parts.net.parameters(), lr=lr)
    return tw.Program(parts.net, (parts.x, parts.y), loss or parts.loss, optimizer, batch_size=32, epochs=3)


def test_engine_healthy_and_bit_for_bit_the_same():
    weights = []
    for callbacks in ([], [WatchedRun(told=lambda finding: None)]):
        given = program(0.05)
        tw.fit(given, callbacks=callbacks)
        weights.append(given.model.state_dict())
    watch = callbacks[0].watch
    assert watch.findings == callbacks[0].findings == [] and watch.steps == 48 and watch.seen.loss_known
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert not given.model._forward_hooks


def test_engine_with_a_rate_that_is_far_too_low():
    given = program(1e-9)
    watched = WatchedRun(given.loss, told=lambda finding: None)
    tw.fit(given, callbacks=[watched])
    assert [finding.code for finding in watched.findings] == ["lr-too-low"]


def test_engine_that_steps_back_is_watched_anew():
    heard, given = [], program(0.05)
    watched = WatchedRun(told=heard.append)
    seen = []

    def steps_back(event, state):
        if event == "step_end" and state.step == 20:
            seen.append(watched.watch)
            state.step = 10
            watched("stepped_back", state)
        watched(event, state)

    tw.fit(given, callbacks=[steps_back])
    assert watched.watch is not seen[0] and not seen[0]._sensors.on
    step = watched.watch.seen.step
    for code in ("lr-too-high", "dead-relu", "lr-too-high"):
        watched._say(Finding(code, "warning", "?", "?", {"step": step}, (), None, (), 0.1))
    assert [finding.code for finding in heard] == ["lr-too-high", "dead-relu"] == [f.code for f in watched.findings]
    assert heard[0].evidence["step"] == 10 + step


# ---- Lightning -------------------------------------------------------------------------------------------------------


def lightning_run(lr: float, net: nn.Module | None = None, classes: bool = False):
    lightning = pytest.importorskip("lightning")
    from trainwell.clinic.watching.lightning import WatchCallback

    parts = loops.mlp()

    class Whole(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model, self.loss = net or parts.net, nn.CrossEntropyLoss()

        def training_step(self, batch, index):
            return self.loss(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.model.parameters(), lr=lr)

    order = parts.y.argsort() if classes else torch.arange(len(parts.y))
    data = torch.utils.data.TensorDataset(parts.x[order], parts.y[order])
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=not classes)
    callback = WatchCallback(told=lambda finding: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[callback],
        )  # fmt: skip
        torch.manual_seed(5)
        trainer.fit(Whole(), loader)
    return callback.watch


def test_lightning_healthy():
    watch = lightning_run(0.05)
    assert watch.findings == [] and watch.steps == 48 and not watch._failed
    assert watch.blind == [] and watch.seen.losses[-1] < watch.seen.first_loss


def test_lightning_sick():
    assert [finding.code for finding in lightning_run(1e-9).findings] == ["lr-too-low"]
    assert [finding.code for finding in lightning_run(0.01, classes=True).findings] == ["unshuffled-data"]
    broken = loops.mlp().net
    broken[3] = loops.Cut()
    finding = lightning_run(0.01, broken).findings[0]
    assert (finding.code, finding.where, finding.evidence["made by"]) == ("nonfinite-loss", "3", "log")


# ---- Hugging Face ----------------------------------------------------------------------------------------------------


def hugging_face_run(lr: float, folder, cut: bool = False, **more):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from trainwell.clinic.watching.hugging_face import WatchCallback

    parts = loops.mlp()

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(20, 32), loops.Cut() if cut else nn.ReLU(), nn.Linear(32, 4))

        def forward(self, x, labels):
            logits = self.body(x)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    data = [{"x": x, "labels": y} for x, y in zip(parts.x, parts.y, strict=True)]
    callback = WatchCallback(told=lambda finding: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = transformers.TrainingArguments(
            str(folder), per_device_train_batch_size=32, num_train_epochs=3, learning_rate=lr, report_to=[],
            save_strategy="no", use_cpu=True, disable_tqdm=True, logging_strategy="no", optim="sgd", **more,
        )  # fmt: skip
        torch.manual_seed(5)
        transformers.Trainer(Model(), given, train_dataset=data, callbacks=[callback]).train()
    return callback.watch


def test_hugging_face_healthy(tmp_path):
    watch = hugging_face_run(0.05, tmp_path)
    assert watch.findings == [] and watch.steps == 48 and not watch._failed and watch.blind == []
    watch = hugging_face_run(0.05, tmp_path, gradient_accumulation_steps=4)
    assert watch.findings == [] and watch.steps == 12 and watch.seen.batches == 48


def test_hugging_face_sick(tmp_path):
    assert [finding.code for finding in hugging_face_run(1e-10, tmp_path).findings] == ["lr-too-low"]
    finding = hugging_face_run(0.01, tmp_path, cut=True).findings[0]
    assert (finding.code, finding.where, finding.evidence["made by"]) == ("nonfinite-loss", "body.1", "log")
