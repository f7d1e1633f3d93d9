import math

import pytest
import torch
from small_programs import mlp, program, table, weights
from torch import nn

from trainwell.errors import InputError
from trainwell.training import Training, fit
from trainwell.training.best import Best


def offered(best, *scores):
    return [best.offer(i + 1, s) for i, s in enumerate(scores)]


def test_auto_takes_the_loss_on_few_samples_and_accuracy_on_many():
    a, b = {"loss": 1.0, "accuracy": 0.9}, {"loss": 0.9, "accuracy": 0.8}
    assert offered(Best(samples=999), a, b) == [True, True]
    assert offered(Best(samples=1000), a, b) == [True, False]


def test_equal_accuracies_are_told_apart_by_the_loss_and_full_ties_keep_the_first():
    best = Best("accuracy")
    assert offered(
        best,
        {"loss": 1.0, "accuracy": 0.9},
        {"loss": 0.9, "accuracy": 0.9},
        {"loss": 0.9, "accuracy": 0.9},
        {"loss": 0.5, "accuracy": 0.8},
    ) == [True, True, False, False]
    assert best.epoch == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_scores_that_are_not_finite_are_never_best(bad, monitor):
    good = {"loss": 1.0, "accuracy": 0.5}
    assert offered(Best(monitor), {**good, monitor: bad}, good, {**good, monitor: bad}) == [False, True, False]
    assert offered(Best(monitor), {**good, "loss": bad}) == [False]


def test_high_is_good_for_r2_and_low_for_rmse():
    assert offered(Best("r2"), {"loss": 1.0, "r2": 0.1}, {"loss": 1.0, "r2": 0.2}) == [True, True]
    assert offered(Best("rmse"), {"loss": 1.0, "rmse": 0.1}, {"loss": 1.0, "rmse": 0.2}) == [True, False]


def test_last_and_no_validation_keep_the_last():
    assert offered(Best("last"), {"loss": 1.0}, {"loss": 2.0}) == [True, True]
    assert offered(Best(), {}, {}) == [True, True]


def test_patience_counts_epochs_without_a_better_score():
    best, out = Best("loss", patience=2), []
    for i, loss in enumerate([3.0, 4.0, 2.0, 2.0, math.nan]):
        best.offer(i + 1, {"loss": loss})
        out.append(best.out_of_patience)
    assert out == [False, False, False, False, True] and best.epoch == 3


def test_state_goes_round():
    best, other = Best("loss", patience=3), Best("loss", patience=3)
    offered(best, {"loss": 1.0}, {"loss": 2.0})
    other.load(best.state())
    assert other == best
    empty = Best()
    empty.load(Best().state())
    assert empty == Best()


class Scripted(nn.Module):
    """Its validation loss follows a script; its weight is the number of steps taken."""

    def __init__(self, losses):
        super().__init__()
        self.w, self.losses, self.epoch = nn.Parameter(torch.zeros(())), losses, -1

    def forward(self, x):
        if self.training:
            return -self.w + 0 * x  # gradient −1: each step of rate 1 adds one
        self.epoch += 1
        return torch.full_like(x, self.losses[min(self.epoch, len(self.losses) - 1)])


def scripted(losses, **training):
    x = torch.zeros(4, 1)
    made = program(
        Scripted(losses),
        train=(x, x),
        val=(x, x),
        loss=lambda output, y: output.mean(),
        optimizer=lambda p: torch.optim.SGD(p, lr=1.0),
        batch_size=4,
        epochs=len(losses),
        task="regression",
    )
    return made, fit(made, training=Training(**training))


def test_the_model_ends_with_the_weights_of_the_best_epoch():
    made, run = scripted([5.0, 3.0, 1.0, 2.0, math.nan, 4.0])
    assert run.best_epoch == 3 and float(made.model.w.detach()) == 3.0
    assert [row["val_loss"] for row in run.history][:4] == [5.0, 3.0, 1.0, 2.0]


def test_the_last_weights_are_others():  # control
    made, run = scripted([5.0, 3.0, 1.0, 2.0, 6.0, 4.0], monitor="last")
    assert run.best_epoch == 6 and float(made.model.w.detach()) == 6.0


def test_early_stopping_ends_the_run_and_says_so():
    made, run = scripted([5.0, 3.0, 4.0, 3.5, 1.0, 0.5], patience=2)
    assert len(run.history) == 4 and run.best_epoch == 2 and float(made.model.w.detach()) == 2.0
    assert run.notes[-1] == "Stopped after epoch 4: no better validation score for 2 epochs (best: epoch 2)."


def test_files_hold_last_and_best_weights(tmp_path):
    from trainwell.training.weights import read_weights

    made = program(mlp(), epochs=6, optimizer=lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9))
    run = fit(made, folder=tmp_path)
    assert run.best_epoch < 6
    best, last = (read_weights(tmp_path / f"{n}.safetensors") for n in ("best", "model"))
    assert torch.equal(torch.cat([best[k].flatten() for k in made.model.state_dict()]).double(), weights(made.model))
    assert not torch.equal(best["0.weight"], last["0.weight"])
    assert len(list((tmp_path / "checkpoint").glob("best-*.safetensors"))) == 1


def test_an_unknown_score_names_those_there_are():
    with pytest.raises(InputError, match=r"training.monitor: there is no validation score 'auc'.*loss, accuracy"):
        fit(program(epochs=1), training=Training(monitor="auc"))


def test_validation_scores_are_those_of_the_model_that_is_kept():
    made = program(mlp(0.5, norm=True), epochs=4)
    run = fit(made)
    x, y = table(40, seed=7)
    best = run.history[run.best_epoch - 1]
    with torch.no_grad():
        output = made.model(x)
    assert best["val_loss"] == pytest.approx(float(nn.functional.cross_entropy(output, y)), rel=1e-6)
    assert best["val_accuracy"] == float((output.argmax(1) == y).double().mean())
