import copy

import pytest
import torch
from net_programs import HEALTHY, SICK, digits, make, mlp, program
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import depth, nonlinearity, signal, symmetry, trainable, weight_scale
from trainwell.clinic.probes.symmetry import distinct
from trainwell.clinic.subject import Subject

PROBES = (nonlinearity, trainable, symmetry, weight_scale, depth, signal)
TRIED = 0.1  # prior from which the reasoning spends passes
LEARNS = [
    "tiny_cnn",
    "exploding_rnn",
    "deep_sigmoid_function",
    "negative_biases",
    "optimizer_of_another_model",
    "frozen_embedding",
    "function_without_activation",
    "narrow_deep_relu",
]
DECIDED_BY_TRIAL = {"linear_in_factors", "random_features", "layer_never_used"}


def suspected(given) -> list:
    subject = given if isinstance(given, Subject) else Subject(given, Meter(300))
    found = [one for probe in PROBES for one in probe.probe(subject)]
    return sorted((one for one in found if one.prior >= TRIED), key=lambda one: (-one.certain, -one.prior))


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", SICK)
def test_a_true_cause_is_suspected_first(name):
    found = suspected(make(name))
    assert found and found[0].code in SICK[name][1], [(one.code, one.prior) for one in found]
    assert found[0].cures and found[0].evidence and found[0].message.endswith(".")


@pytest.mark.parametrize("name", sorted(set(HEALTHY) - DECIDED_BY_TRIAL))
def test_healthy_look_alikes_cost_no_trial(name):
    assert [(one.code, one.prior) for one in suspected(make(name))] == []


@pytest.mark.parametrize("name", ["linear_in_factors", "random_features"])
def test_what_is_meant_so_gains_nothing_by_its_cure(name):
    subject = Subject(make(name), Meter(300))
    before = subject.whole
    (one,) = suspected(subject)
    after = subject.rehearse(one.cures[0], steps=60, share=1.0)
    assert after.score - before.score < 0.04


@pytest.mark.parametrize("name", LEARNS)
def test_the_cure_lets_it_learn(name):
    subject = Subject(make(name), Meter(300))
    cure = suspected(subject)[0].cures[0]
    before, after = subject.whole, subject.rehearse(cure, steps=60, share=1.0)
    assert after.score + after.train_score > before.score + before.train_score + 0.2


def test_two_passes_and_the_reference_of_the_same_batch():
    subject = Subject(make("tiny_mlp"), Meter(300))
    suspected(subject)
    assert subject.meter.spent <= 5.0  # first step, and twice up to two batches


def test_nothing_of_the_program_is_changed():
    given = make("deep_sigmoid")
    before, state = copy.deepcopy(given.model.state_dict()), torch.get_rng_state()
    suspected(given)
    assert all(torch.equal(value, before[name]) for name, value in given.model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in given.model.modules())
    assert all(p.grad is None for p in given.model.parameters())


@pytest.mark.parametrize("wrap", [lambda d: TensorDataset(*d), lambda d: DataLoader(TensorDataset(*d), 32)])
def test_datasets_and_loaders_are_looked_at_too(wrap):
    train, val = digits(0)
    torch.manual_seed(0)
    given = program(mlp(64, *[32] * 8, 10, act=nn.Sigmoid), (train, val), lr=1e-3)
    other = type(given)(**{**vars(given), "train": wrap(train), "val": None})
    assert suspected(other)[0].code == "vanishing-gradient"


def test_raw_inputs_are_not_the_initializations_fault():  # control: the same net drawn anew saturates likewise
    (x, y), val = digits(0)
    torch.manual_seed(0)
    given = program(mlp(64, 48, 48, 10, act=nn.Tanh), ((255 * x + 100, y), val))
    assert suspected(given) == []


def test_a_net_that_does_not_take_its_data_yields_nothing():
    assert suspected(program(mlp(63, 32, 10), digits(0))) == []


def test_distinct_counts_units_per_gate():
    rows = torch.cat([torch.eye(4), torch.ones(4, 4)])
    assert distinct(rows) == 5 / 8 and distinct(rows, gates=2) == 1 / 4
