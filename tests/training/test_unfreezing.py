"""Layers join in epoch by epoch, and waiting ones do not move at all, whatever the optimizer."""

from functools import partial

import pytest
import torch
from small_programs import CLASSES, FEATURES, Training, kill_at, program, weights
from torch import nn

from trainwell.training import GradualUnfreezing, fit, stopping

SETTINGS = Training(log_every=3, checkpoint_every=5)
OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.5),
    "fused sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.5, fused=True),
    "adamw": partial(torch.optim.AdamW, lr=0.02, weight_decay=0.5),
    "fused adamw": partial(torch.optim.AdamW, lr=0.02, weight_decay=0.5, fused=True),
    "foreach adamw": partial(torch.optim.AdamW, lr=0.02, weight_decay=0.5, foreach=True),
}


def deep():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, CLASSES)
        )


class Snapshots:
    """The weights at every event."""

    def __init__(self):
        self.at = {}

    def __call__(self, event, state):
        if event in ("run_start", "validation_end"):
            self.at[state.epoch if event == "validation_end" else 0] = {
                name: p.detach().clone() for name, p in state.model.named_parameters()
            }


def moved(seen, epoch):
    return {name for name, before in seen.at[epoch - 1].items() if not torch.equal(before, seen.at[epoch][name])}


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9}, {"accumulate": 2}], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_waiting_layers_do_not_move(optimizer, settings):
    model, seen = deep(), Snapshots()
    chosen = program(model, epochs=4, optimizer=OPTIMIZERS[optimizer], clip_grad=1.0)
    fit(chosen, training=SETTINGS.with_(**settings), callbacks=[GradualUnfreezing(every=1), seen])
    assert moved(seen, 1) == {"5.weight", "5.bias"}
    assert moved(seen, 2) == {"5.weight", "5.bias", "2.weight", "2.bias"}
    assert len(moved(seen, 3)) == len(moved(seen, 4)) == 6
    assert all(p.requires_grad for p in model.parameters())


def test_one_kernel_for_all_tensors_computes_the_same_as_a_loop():
    found = []
    for name in ("sgd", "fused sgd"):
        run = fit(
            program(deep(), epochs=4, optimizer=OPTIMIZERS[name]),
            training=SETTINGS.with_(monitor="last"),
            callbacks=[GradualUnfreezing(1)],
        )
        found.append(weights(run.model))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_every_layer_moves_without_it():  # control
    seen = Snapshots()
    fit(program(deep(), epochs=1, optimizer=OPTIMIZERS["adamw"]), training=SETTINGS, callbacks=[seen])
    assert len(moved(seen, 1)) == 6


def test_number_of_groups_is_a_function_of_the_epoch():  # closed form
    callback = GradualUnfreezing(every=3)
    callback._groups = [[], [], [], []]
    assert [callback.trainable(epoch) for epoch in range(1, 12)] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4]


def pieces(make, training, folder, stops):
    for step, event in stops:
        with pytest.raises(stopping.Stopped):
            callbacks = [GradualUnfreezing(1), kill_at(step, event)]
            fit(make(), training=training, folder=folder, callbacks=callbacks, resume=True)
        torch.manual_seed(999)
    return fit(make(), training=training, folder=folder, callbacks=[GradualUnfreezing(1)], resume=True)


@pytest.mark.parametrize("stops", [[(3, "step_end")], [(11, "step_end"), (13, "step_end")], [(16, "validation_end")]])
@pytest.mark.parametrize("optimizer", ["fused adamw", "fused sgd", "sgd"])
def test_resumed_equals_undisturbed(optimizer, stops, tmp_path):
    make = partial(lambda name: program(deep(), optimizer=OPTIMIZERS[name]), optimizer)
    whole = fit(make(), training=SETTINGS, folder=tmp_path / "whole", callbacks=[GradualUnfreezing(1)])
    again = pieces(make, SETTINGS, tmp_path / "pieces", stops)
    assert again.history == whole.history
    assert torch.equal(weights(again.model), weights(whole.model))
    names = ("metrics.jsonl", "model.safetensors", "best.safetensors")
    assert all((tmp_path / "pieces" / n).read_bytes() == (tmp_path / "whole" / n).read_bytes() for n in names)


def test_stopped_by_a_callback_all_are_given_back():
    model = deep()

    def stop(event, state):
        if event == "step_end" and state.step == 2:
            state.stop()

    fit(program(model), training=SETTINGS, callbacks=[GradualUnfreezing(1), stop])
    assert all(p.requires_grad for p in model.parameters())


def test_what_is_frozen_stays_frozen_and_makes_no_group():
    model, seen = deep(), Snapshots()
    model[5].requires_grad_(False)
    fit(program(model, epochs=2), training=SETTINGS, callbacks=[GradualUnfreezing(1), seen])
    assert moved(seen, 1) == {"2.weight", "2.bias"} and len(moved(seen, 2)) == 4
    assert not model[5].weight.requires_grad


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="at least 1 epoch"):
        GradualUnfreezing(0)
