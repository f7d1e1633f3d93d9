"""Each code of the contract's phase is suspected first of programs made ill by it, and never of healthy look-alikes."""

import pytest
import torch
from contract_programs import HEALTHY, SICK
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from trainwell.clinic.codes import CODES
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import (
    class_balance,
    crashes,
    head_and_loss,
    input_conditioning,
    input_values,
    sample_copies,
    sample_order,
    targets,
    task_and_loss,
)  # fmt: skip
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program

PROBES = (
    class_balance, crashes, head_and_loss, input_conditioning, input_values, sample_copies, sample_order, targets,
    task_and_loss,
)  # fmt: skip
TRIED = 0.1  # prior from which on a cure is tried


def suspected(program: Program) -> tuple[list[Suspicion], Subject]:
    """What the probes of this phase would have tried, the likeliest first."""
    subject = Subject(program, Meter(1e9))
    found = [one for module in PROBES for one in module.probe(subject) if one.certain or one.prior >= TRIED]
    return sorted(found, key=lambda one: (-one.certain, -one.prior)), subject


@pytest.mark.parametrize("name", SICK)
def test_sick_program_is_suspected_of_its_cause_first(name):
    code, make = SICK[name]
    found, _ = suspected(make(0))
    assert found and found[0].code == code
    assert found[0].cures and found[0].where and found[0].message.endswith(".")


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_program_is_suspected_of_nothing(name):
    found, _ = suspected(HEALTHY[name](0))
    assert [one.code for one in found] == []


@pytest.mark.parametrize("name", [name for name in SICK if SICK[name][0] != "class-imbalance"])
def test_certain_cause_is_not_suspected_of_the_cured_program(name):
    code, make = SICK[name]
    found, subject = suspected(make(1))
    cured = subject.cured(found[0].cures[0])
    assert cured.first_step.error == ""
    again = [one.code for module in PROBES if module is not class_balance for one in module.probe(cured) if one.certain]
    assert code not in again


def test_passes_stay_few():
    for name in ("softmax_twice", "wine_raw_sgd", "no_sigmoid"):
        assert suspected(SICK[name][1](0))[1].meter.spent < 4


class OfDict(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        return self.fc(x["a"] + x["b"])


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.randn(4), torch.tensor(0)


def odd_programs() -> dict[str, Program]:
    x, y = torch.randn(60, 4), torch.arange(60) % 2
    plain = {"loss": nn.CrossEntropyLoss(), "optimizer": lambda p: torch.optim.SGD(p, lr=0.1)}
    step = lambda model, batch: model(batch[0]).square().mean()  # noqa: E731
    return {
        "dict": Program(model=OfDict(), train=({"a": x, "b": 1000 * x}, y), val=({"a": x, "b": x}, y), **plain),
        "endless": Program(model=nn.Linear(4, 2), train=DataLoader(Endless(), batch_size=8), **plain),
        "step": Program(model=nn.Linear(4, 2), train=(x, y), step=step, **plain),
        "raising": Program(model=nn.Linear(4, 2), train=(x, y), **{**plain, "loss": lambda output, y: output.nowhere}),
        "empty classes": Program(model=nn.Linear(4, 2), train=(x, torch.zeros(60).long()), **plain),
        "one sample": Program(model=nn.Linear(4, 2), train=(x[:1], y[:1]), **plain),
        "scalars": Program(model=nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), train=(x, y.float()), **plain),
    }


@pytest.mark.parametrize("name", odd_programs())
def test_what_cannot_be_looked_at_raises_nothing(name):
    found, _ = suspected(odd_programs()[name])
    assert {finding.code for finding in found} <= CODES.keys()


def test_data_and_model_stay_as_they_were():
    for name in ("nan_in_table", "labels_from_one", "sigmoid_twice", "val_in_train"):
        program = SICK[name][1](0)
        before = [t.clone() for t in (*program.train, *program.val, *program.model.state_dict().values())]
        found, subject = suspected(program)
        subject.cured(found[0].cures[0])
        after = [*program.train, *program.val, *program.model.state_dict().values()]
        assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(before, after, strict=True))
