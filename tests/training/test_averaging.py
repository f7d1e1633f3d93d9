import pytest
import torch
from small_programs import mlp, program, weights
from torch import nn

from trainwell.training import Training, fit
from trainwell.training.averaging import Average


def test_the_average_follows_its_formula():
    model = nn.Linear(1, 1, bias=False).double()
    average = Average(model, 0.9)
    expected = float(model.weight.detach())
    for t in range(1, 200):
        with torch.no_grad():
            model.weight.fill_(float(t % 7))
        average.update(t)
        d = min(0.9, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * (t % 7)
        assert float(average.model.weight.detach()) == pytest.approx(expected, rel=1e-12)


def test_buffers_are_taken_as_they_are_and_nothing_is_shared():
    model = mlp(norm=True)
    average = Average(model, 0.999)
    model(torch.randn(8, 5))
    average.update(1)
    assert torch.equal(average.model[1].running_mean, model[1].running_mean)
    assert all(
        a.data_ptr() != p.data_ptr() for a, p in zip(average.model.parameters(), model.parameters(), strict=True)
    )
    assert not average.model.training and not any(p.requires_grad for p in average.model.parameters())


def test_a_run_keeps_and_validates_the_average():
    made, shadow = program(mlp(0.2, norm=True), epochs=4), []

    def follow(event, state):
        if event == "run_start":
            shadow.append(Average(state.model, 0.9))
        elif event == "step_end":
            shadow[0].update(state.step)

    run = fit(made, training=Training(ema=0.9, monitor="last"), callbacks=[follow])
    assert torch.equal(weights(made.model), weights(shadow[0].model))
    x, y = made.val
    with torch.no_grad():
        assert run.history[-1]["val_loss"] == pytest.approx(
            float(nn.functional.cross_entropy(made.model(x), y)), rel=1e-5
        )


def test_without_it_the_weights_are_the_last_ones():  # control
    plain, averaged = program(), program()
    fit(plain, training=Training(monitor="last"))
    fit(averaged, training=Training(ema=0.9, monitor="last"))
    assert not torch.equal(weights(plain.model), weights(averaged.model))
