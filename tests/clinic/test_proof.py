"""The proof: a cure that helps wins, one that does not is not called good, and the program stays as it is."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from sick_programs import classes, program
from torch import nn

import trainwell as tw
from trainwell.clinic import proof as module
from trainwell.clinic.cure import Cure
from trainwell.clinic.cures.settings import set_field, set_rate
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.meter import Meter
from trainwell.clinic.proof import paired_interval, prove
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import Trial
from trainwell.errors import InputError

NOTHING = Cure("nothing", (), lambda program: program)


def exam_of(given, *codes_and_cures, others=()):
    """An exam of the program that took these cures, and tried the others."""
    subject = Subject(given, Meter(1e9))
    level = SimpleNamespace(run=None, score=0.0)
    taken = [Trial(Suspicion(code, "", ""), cure, level, None, 0.5) for code, cure in codes_and_cures]
    tried = [Trial(Suspicion(code, "", ""), cure, level, None, 0.1) for code, cure in others]
    reasoned = SimpleNamespace(accepted=taken, trials=[*taken, *tried], subject=subject)
    return SimpleNamespace(program=given, reasoned=reasoned)


@pytest.fixture
def slow():
    """A program whose rate is far too low, and the cure."""
    given = program(rate=1e-5, epochs=3)
    return given, set_rate(Subject(given, Meter(1e9)), 0.05)


def test_the_interval_is_students():
    before, after = np.random.default_rng(0).normal(size=(2, 7))
    expected = stats.ttest_1samp(after - before, 0).confidence_interval(0.9)
    assert paired_interval(before, after) == pytest.approx(tuple(expected), rel=1e-12)


def test_a_cure_that_helps_wins(slow):
    given, cure = slow
    found = prove(exam_of(given, ("lr-too-low", cure)))
    assert found.cured and found.interval[0] > 0.1 and len(found.before) == len(found.after) == 3
    assert found.gain == pytest.approx(np.mean(found.after) - np.mean(found.before))
    assert found.program.optimizer(found.program.model).param_groups[0]["lr"] == 0.05
    assert str(found).startswith("Proved: multiply the rate by 5000") and found.to_dict()["cured"] is True


def test_a_cure_that_does_nothing_does_not_win(slow):  # control
    found = prove(exam_of(slow[0], ("lr-too-low", NOTHING)))
    assert not found.cured and found.gain == 0 and found.program is None and found.before == found.after
    assert str(found).startswith("Not proved: nothing")


def test_where_it_does_not_win_the_next_is_tried(slow):
    given, cure = slow
    found = prove(exam_of(given, ("dead-relu", NOTHING), others=[("lr-too-low", cure)]))
    assert [attempt.name for attempt in found.tried] == ["nothing", cure.name] and found.cured
    assert found.best.codes == ("lr-too-low",) and "Also tried:\n  nothing: +0.000" in str(found)


def test_where_it_wins_no_other_is_tried(slow):  # control
    given, cure = slow
    assert len(prove(exam_of(given, ("lr-too-low", cure), others=[("dead-relu", NOTHING)])).tried) == 1


def test_several_cures_are_tried_together_and_alone():
    given = program(rate=1e-5, epochs=1)
    subject = Subject(given, Meter(1e9))
    rate, epochs = set_rate(subject, 0.05), set_field(subject, "epochs", 4, factor=4.0)
    found = prove(exam_of(given, ("lr-too-low", rate), ("too-few-epochs", epochs)))
    together, first, second = found.tried
    assert together.codes == ("lr-too-low", "too-few-epochs") and together.name == f"{rate.name}; {epochs.name}"
    assert (first.codes, second.codes) == (("lr-too-low",), ("too-few-epochs",))
    assert together.gain >= first.gain > second.gain and "with 4 times the samples" in str(together)


def test_a_cure_that_crashes_is_told_and_not_good(slow):
    def broken(program):
        raise RuntimeError("does not fit\nat all")

    found = prove(exam_of(slow[0], ("dead-relu", Cure("broken", (), broken))))
    assert not found.cured and found.tried[0].error == "RuntimeError: does not fit" and found.after == (0.0,) * 3


def test_a_program_that_crashes_scores_0_and_its_cure_wins():
    X, y = classes()
    given = program(train=(X[:200], y[:200] + 1), val=(X[200:], y[200:] + 1), epochs=4)

    def relabelled(program):
        (X, y), (U, v) = program.train, program.val
        return tw.Program(**{**vars(program), "train": (X, y - 1), "val": (U, v - 1)})

    found = prove(exam_of(given, ("label-out-of-range", Cure("relabel", (), relabelled))))
    assert found.before == (0.0,) * 3 and found.cured and found.gain > 0.7


def test_progress_reaches_the_end(slow, monkeypatch):
    monkeypatch.setattr(module, "SILENT", 0.0)
    monkeypatch.setattr(module, "PAUSE", 0.0)
    told = []
    prove(exam_of(slow[0], ("lr-too-low", slow[1])), told=lambda share, left: told.append((share, left)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1 and len(told) > 100 and all(left >= 0 for _, left in told)


def test_what_is_short_says_nothing(slow, monkeypatch):  # control
    monkeypatch.setattr(module, "SILENT", 600.0)
    told = []
    given, cure = program(rate=1e-5, epochs=1), slow[1]
    prove(exam_of(given, ("lr-too-low", cure)), told=lambda share, left: told.append(share))
    assert told == []


def test_too_few_seeds_and_no_cures():
    exam = exam_of(program())
    with pytest.raises(InputError, match="2 seeds tell no spread"):
        prove(exam, seeds=2)
    found = prove(exam)
    assert not found.cured and found.tried == () and str(found) == "Nothing to prove: the exam has no cure."


def used_program():
    """A program in the middle of its life: optimizer state, gradients, hooks, evaluation mode, used generators."""
    X, y = classes()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-5, momentum=0.9)
    for _ in range(2):
        nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()
    net.eval()
    net[3].train()
    calls = []
    net[0].register_forward_hook(lambda *_: calls.append(1))
    given = tw.Program(net, (X, y + 1), nn.CrossEntropyLoss(), optimizer, val=(X, y + 1), epochs=2)
    return given, calls


def snapshot(given):
    """All of it that training could change, as bytes and numbers."""
    net, optimizer = given.model, given.optimizer
    tensors = [*net.state_dict().values(), *(p.grad for p in net.parameters()), *given.train, *given.val]
    for slots in optimizer.state.values():
        tensors += [value for value in slots.values() if torch.is_tensor(value)]
    numpy_state = str(np.random.get_state())  # noqa: NPY002
    generators = (torch.get_rng_state().numpy().tobytes(), numpy_state, random.getstate())
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    modes = [m.training for m in net.modules()]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in net.modules()]
    identities = [id(p) for g in optimizer.param_groups for p in g["params"]] + [id(p) for p in net.parameters()]
    frozen = [p.requires_grad for p in net.parameters()]
    rest = (generators, groups, modes, hooks, identities, frozen, torch.get_num_threads(), torch.is_grad_enabled())
    return [t.detach().numpy().tobytes() for t in tensors], rest


def test_exam_cure_proof_and_page_leave_the_program_bit_for_bit(tmp_path):
    given, _ = used_program()
    before = snapshot(given)
    exam = tw.examine(given)
    assert snapshot(given) == before
    exam.cure()
    str(exam), exam._repr_html_(), exam.save_html(tmp_path / "exam.html", exam.prove())
    assert snapshot(given) == before and not exam.healthy


def test_a_step_would_be_seen():  # control
    given, _ = used_program()
    before = snapshot(given)
    given.optimizer.step()
    assert snapshot(given) != before
