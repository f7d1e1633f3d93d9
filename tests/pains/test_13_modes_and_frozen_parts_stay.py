"""pytorch/pytorch#4741, pgniewko/gt-pyg#112: evaluation in the wrong mode; ``freeze()`` undone by ``train()``."""

import pytest
import torch
from pain_programs import SETTINGS, interrupted, mlp, program, table
from torch.nn.functional import cross_entropy

from trainwell.training import fit
from trainwell.training.modes import evaluating


def frozen():
    """The first layer's weights, and the normalization with its running moments, are meant to stay."""
    model = mlp(norm=True).train()
    model[:2].requires_grad_(False)
    model[1].eval()
    return program(model=model)


@pytest.mark.parametrize("stop", [None, 11, 16])
def test_what_was_frozen_has_not_moved(stop, tmp_path):
    before = {name: value.clone() for name, value in frozen().model.state_dict().items()}
    run = fit(frozen(), training=SETTINGS) if stop is None else interrupted(frozen, tmp_path, stop)
    after = run.model.state_dict()
    for name, value in before.items():
        stayed = torch.equal(after[name], value)
        assert stayed == name.startswith(("0.", "1.")), name


def test_modes_inside_a_step_are_those_that_the_author_set():
    modes = set()

    def note(event, state):
        if event == "step_end":
            modes.add(tuple(part.training for part in state.model))

    fit(frozen(), callbacks=[note])
    assert modes == {(True, False, True, True, True)}


def test_train_undoes_what_was_frozen():  # control
    model = frozen().model
    model.train()
    before = model[1].running_mean.clone()
    model(table()[0])
    assert not torch.equal(model[1].running_mean, before)


def test_a_model_that_was_evaluated_before_is_trained_as_a_whole():
    """All in evaluation mode is what evaluating leaves behind, not a wish to freeze."""
    modes = set()

    def note(event, state):
        if event == "step_end":
            modes.add(tuple(part.training for part in state.model))

    fit(program(model=mlp(norm=True).eval()), callbacks=[note])
    assert modes == {(True,) * 5}


def test_validation_is_in_evaluation_mode_and_moves_no_running_moment():
    moments, made = [], program(model=mlp(norm=True))

    def note(event, state):
        if event in ("validation_start", "validation_end"):
            moments.append(state.model[1].running_mean.clone())

    run = fit(made, callbacks=[note])
    assert all(torch.equal(a, b) for a, b in zip(moments[::2], moments[1::2], strict=True))
    x, y = table(40, seed=7)
    best = run.history[run.best_epoch - 1]["val_loss"]
    with torch.no_grad():
        assert float(cross_entropy(made.model(x), y)) == pytest.approx(best, rel=1e-6)
        assert float(cross_entropy(made.model.train()(x), y)) != pytest.approx(best, rel=1e-3)  # control


def test_evaluating_gives_every_module_its_own_mode_back():
    model = frozen().model
    with evaluating(model):
        assert not any(part.training for part in model.modules())
    assert [part.training for part in model] == [True, False, True, True, True]


def test_an_answer_does_not_depend_on_its_neighbours():
    run = fit(program(model=mlp(norm=True)), training=SETTINGS)
    x, _ = table(40, seed=7)
    assert not any(part.training for part in run.model.modules())
    together, alone = run.predict_proba(x), run.predict_proba(x[:1])
    assert together[0] == pytest.approx(alone[0], abs=1e-6)
