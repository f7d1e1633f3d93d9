"""The cures of data, head and loss: what they change, that they leave the user's data alone, and what they gain."""

import copy

import numpy as np
import pytest
import torch
from contract_programs import HEALTHY, SICK, digits, mlp, program
from torch import nn
from torch.testing import assert_close
from torch.utils.data import DataLoader, TensorDataset

from trainwell.clinic.cures.head_and_loss import Balanced
from trainwell.clinic.cures.rows import keep, shuffle
from trainwell.clinic.cures.targets import relabel
from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import class_balance, input_values, targets
from trainwell.clinic.subject import Subject


def subject_of(name: str) -> Subject:
    return Subject(SICK[name][1](0), Meter(1e9))


def first_cure(probe, subject):
    return next(one.cures[0] for one in probe.probe(subject) if one.cures)


def test_standardized_inputs_have_mean_zero_and_variance_one():  # closed form
    subject = subject_of("wine_raw_sgd")
    cured = first_cure(input_values, subject).apply(subject.fresh())
    z = cured.model.prepare(cured.train[0])
    assert_close(z.mean(0), torch.zeros(13), atol=2e-4, rtol=0)
    assert_close(z.std(0, correction=0), torch.ones(13), atol=2e-3, rtol=0)  # float32 of features near 1000
    assert cured.train[0] is subject.program.train[0]


def test_wrapped_model_keeps_the_groups_of_its_optimizer():
    given = SICK["wine_raw_sgd"][1](0)
    first, last = given.model[0].parameters(), given.model[2].parameters()
    groups = [{"params": list(first), "lr": 0.1}, {"params": list(last), "lr": 0.01}]
    subject = Subject(copy.copy(given).__class__(**{**vars(given), "optimizer": torch.optim.SGD(groups)}), Meter(1e9))
    cured = first_cure(input_values, subject).apply(subject.fresh())
    optimizer = cured.optimizer(cured.model)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01]
    assert optimizer.param_groups[0]["params"][0] is cured.model.body[0].weight


def test_standardized_targets_leave_the_answers_in_their_unit():
    subject = subject_of("targets_in_hundreds")
    x, y = subject.program.train
    cured = first_cure(targets, subject).apply(subject.fresh())
    with torch.no_grad():
        answers = cured.model(x)
        zero = cured.loss(y.mean(0, keepdim=True).expand_as(y), y)
    assert abs(float(answers.mean() - y.mean())) < float(y.std())
    assert_close(zero, (y.var(correction=0) / y.var()).reshape(()), rtol=1e-4, atol=0)  # closed form: variance over s²


def test_relabelling_keeps_kind_and_data():
    labels = np.array([1, 2, 3, 3, 1, 2])
    given = program(0, (torch.randn(6, 2), torch.zeros(6)), lambda: mlp(2, 3), nn.CrossEntropyLoss(), "classification",
                    train=(np.zeros((6, 2), np.float32), labels), val=None)  # fmt: skip
    cured = relabel(torch.tensor([1, 2, 3])).apply(given)
    assert isinstance(cured.train[1], np.ndarray) and cured.train[1].tolist() == [0, 1, 2, 2, 0, 1]
    assert labels.tolist() == [1, 2, 3, 3, 1, 2]


def test_relabelling_reaches_into_loaders():
    data = TensorDataset(torch.randn(8, 2), torch.arange(8) % 2 + 1)
    given = HEALTHY["plain_digits"](0)
    given = given.__class__(**{**vars(given), "train": DataLoader(data, batch_size=4, shuffle=True)})
    cured = relabel(torch.tensor([1, 2])).apply(given)
    assert sorted(int(v) for _, y in cured.train for v in y) == [0] * 4 + [1] * 4


def test_rows_kept_are_trained_on_for_as_many_steps():
    x, y = digits(0)
    given = HEALTHY["plain_digits"](0)
    given = given.__class__(**{**vars(given), "train": (x[:600], y[:600])})
    cured = keep(torch.arange(100), 600, "keep").apply(given)
    assert len(cured.train[0]) == len(cured.train[1]) == 100 and cured.epochs == 6 * given.epochs
    assert torch.equal(cured.train[0], x[:100])


def test_shuffled_loader_holds_the_same_samples():
    given = SICK["sorted_loader"][1](0)
    cured = shuffle().apply(given)
    torch.manual_seed(0)
    before, after = (torch.cat([y for _, y in p.train]) for p in (given, cured))
    assert not torch.equal(before, after) and torch.equal(before.sort().values, after.sort().values)


def test_balanced_loss_is_the_mean_over_classes_of_their_losses():  # closed form, against torch's weights
    torch.manual_seed(0)
    output, y = torch.randn(20, 3), torch.tensor([0] * 14 + [1] * 4 + [2] * 2)
    weights = len(y) / (3 * torch.bincount(y).float())
    ours = Balanced(nn.CrossEntropyLoss(), weights)(output, y)
    assert_close(ours, nn.CrossEntropyLoss(weight=weights)(output, y), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["one_in_fifty", "rare_of_three"])
def test_weights_raise_the_mean_recall(name):
    subject = subject_of(name)
    (found,) = class_balance.probe(subject)
    assert found.certain and found.evidence["mean recall with weights"] > found.evidence["mean recall"] + 0.08


def test_learned_rare_class_is_no_defect():  # control
    (found,) = class_balance.probe(Subject(HEALTHY["rare_class_learned"](0), Meter(1e9)))
    assert not found.certain and found.prior < 0.1


@pytest.mark.parametrize("name", ["labels_from_one", "double_inputs", "no_sigmoid"])
def test_exam_names_the_cause_of_a_crash_and_cures_it(name):
    code, make = SICK[name]
    exam = examine(make(0))
    assert exam.findings[0].code == code and exam.findings[0].severity == "error"
    cured = exam.cure()
    assert cured is not None and Subject(cured, Meter(1e9)).first_step.error == ""
