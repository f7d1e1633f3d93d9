"""One step: its gradient is that of the whole batch, however the batch is computed."""

import copy
from functools import partial

import pytest
import torch
from small_programs import mlp, program, table, weights
from torch import nn
from torch.testing import assert_close

from trainwell.errors import InputError, JobError
from trainwell.objectives import Objective
from trainwell.training import Training, fit
from trainwell.training.step import Forward, Stepper, split

CPU = torch.device("cpu")


def gradient(made, batch, accumulate, dtype="float32"):
    """The loss, and the gradient as one vector, of one step."""
    model = made.model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    stepper = Stepper(
        Forward(made, dtype, CPU), model, optimizer, None, clip_grad=None, accumulate=accumulate, say=print
    )
    loss, _ = stepper(batch)
    return float(loss), torch.cat([p.grad.flatten() for p in model.parameters()])


def tokens():
    """A tagger's batch: (N, C, T) outputs, with padding of unequal lengths that is ignored."""
    torch.manual_seed(0)
    x, y = torch.randn(7, 5, 6), torch.randint(3, (7, 6))
    for row, length in enumerate((6, 1, 2, 6, 0, 0, 3)):
        y[row, length:] = -100
    return x, y


def double(batch):
    return tuple(t.double() if t.is_floating_point() else t for t in batch)


CLASS_WEIGHTS = torch.tensor([0.1, 1.0, 20.0], dtype=torch.float64)
CASES = {
    "plain mean": (mlp, nn.CrossEntropyLoss(), table(23)),
    "sample weights": (mlp, nn.CrossEntropyLoss(), (*table(23), torch.linspace(0, 3, 23))),
    "some weights zero": (mlp, nn.CrossEntropyLoss(), (*table(23), (torch.arange(23) > 15).float())),
    "class weights": (mlp, nn.CrossEntropyLoss(weight=CLASS_WEIGHTS), table(23)),
    "smoothed, class weights": (mlp, nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, label_smoothing=0.2), table(23)),
    "padded tokens": (lambda: nn.Conv1d(5, 3, 1), nn.CrossEntropyLoss(), tokens()),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("pieces", [2, 3, 4, 11, 64])
def test_gradient_in_pieces_is_the_gradient_of_the_batch(case, pieces):
    """transformers#34191: the mean of the pieces' means is not the mean of the batch where pieces count differently."""
    make, loss, batch = CASES[case]
    batch = double(batch)
    made = program(make().double(), loss=loss)
    whole_loss, whole = gradient(made, batch, 1)
    loss_in_pieces, in_pieces = gradient(made, batch, pieces)
    assert loss_in_pieces == pytest.approx(whole_loss, rel=1e-6)  # the sum of losses is kept in float32
    assert_close(in_pieces, whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", ["sample weights", "class weights", "padded tokens"])
def test_mean_of_the_pieces_means_differs(case):  # control: the naive way
    make, loss, batch = CASES[case]
    batch, model = double(batch), make().double()
    forward = Forward(program(model, loss=loss), "float32", CPU)
    pieces = [piece for piece in split(batch, 3) if float(forward.share(piece))]
    naive = torch.stack([forward.loss(model, piece) for piece in pieces]).mean()
    assert abs(float(naive.detach()) - float(forward.loss(model, batch).detach())) > 1e-3


def test_the_weighted_loss_is_the_weighted_mean():
    torch.manual_seed(0)
    x, y = table(9)
    w = torch.rand(9)
    made = program(loss=nn.CrossEntropyLoss())
    found = Forward(made, "float32", CPU).loss(made.model, (x, y, w))
    each = nn.functional.cross_entropy(made.model(x), y, reduction="none")
    assert_close(found, (w * each).sum() / w.sum())


def test_a_sample_of_weight_two_is_two_samples():  # an equivalent problem
    x, y = table(9)
    w = torch.tensor([1.0, 2.0, 1.0, 3.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    made = program()
    _, weighted = gradient(made, (x, y, w), 1)
    index = torch.arange(9).repeat_interleave(w.long())
    _, repeated = gradient(made, (x[index], y[index]), 1)
    assert_close(weighted, repeated)


def test_weights_that_are_all_zero_give_no_gradient_instead_of_nan():
    made = program()
    loss, found = gradient(made, (*table(9), torch.zeros(9)), 1)
    assert loss == 0 and not found.any()


def test_a_loss_without_reduction_is_given_the_weights():
    seen = []

    def loss(output, target, weight):
        seen.append(weight)
        return nn.functional.cross_entropy(output, target)

    made = program(loss=loss)
    Forward(made, "float32", CPU).loss(made.model, (*table(4), torch.ones(4)))
    assert seen[0].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("n", range(1, 20))
@pytest.mark.parametrize("pieces", [1, 2, 3, 5, 16, 100])
def test_pieces_keep_all_samples_in_order_and_none_is_alone(n, pieces):
    found = split((torch.arange(n), {"a": torch.arange(n)}), pieces)
    assert torch.cat([a for a, _ in found]).tolist() == torch.cat([b["a"] for _, b in found]).tolist() == list(range(n))
    sizes = [len(a) for a, _ in found]
    assert len(sizes) == min(pieces, max(1, n // 2)) and (min(sizes) >= 2 or n == 1)
    assert max(sizes) - min(sizes) <= 1


def test_batch_normalization_survives_a_small_last_batch_in_many_pieces():
    run = fit(program(mlp(norm=True), train=table(59), batch_size=8, epochs=1), training=Training(accumulate=4))
    assert len(run.history) == 1  # the last batch has 3 samples: pieces of one would be refused by BatchNorm1d


def test_the_whole_run_in_pieces_learns_the_same():
    runs = {}
    for accumulate in (1, 3):
        made = program(train=(*table(), torch.linspace(0.1, 2, 61)))
        fit(made, training=Training(accumulate=accumulate, monitor="last"))
        runs[accumulate] = weights(made.model)
    assert_close(runs[3], runs[1], rtol=1e-4, atol=1e-5)


class Hungry(nn.Module):
    """A model that finds memory for so many samples only."""

    def __init__(self, most, message="DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"):
        super().__init__()
        self.body, self.most, self.message = mlp(), most, message

    def forward(self, x):
        if len(x) > self.most and self.training:
            raise RuntimeError(self.message)
        return self.body(x)


def test_out_of_memory_halves_the_pieces_says_so_and_keeps_the_gradient():
    hungry, rich = program(Hungry(3), batch_size=16), program(Hungry(99), batch_size=16)
    run = fit(hungry, training=Training(monitor="last"))
    fit(rich, training=Training(monitor="last"))
    assert_close(weights(hungry.model), weights(rich.model), rtol=1e-4, atol=1e-5)
    said = [note for note in run.notes if "Memory ran out" in note]
    assert ["in 2 parts" in said[0], "in 4 parts" in said[1], "in 8 parts" in said[2]] == [True] * 3 and len(said) == 3


def test_too_little_memory_for_the_smallest_piece_is_a_sentence():
    with pytest.raises(JobError, match=r"Memory ran out with 2 samples at a time.*smaller"):
        fit(program(Hungry(1)))


def test_another_runtime_error_is_not_taken_for_a_lack_of_memory():  # control
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(program(Hungry(1, "mat1 and mat2 shapes cannot be multiplied")))


def test_bfloat16_takes_one_autocast_context_a_pass():
    """Wall 8: one context around several steps keeps the bfloat16 copies of the weights and trains on stale ones."""
    made = program(train=table(64), optimizer=partial(torch.optim.SGD, lr=0.5), shuffle=False, batch_size=64, epochs=30)
    stale = copy.deepcopy(made.model)
    run = fit(made, training=Training(dtype="bfloat16"))
    losses = [row["train_loss"] for row in run.history]
    assert losses[-1] < 0.5 * losses[0]
    optimizer, frozen = torch.optim.SGD(stale.parameters(), lr=0.5), []
    x, y = made.train
    with torch.autocast("cpu", torch.bfloat16):  # control
        for _ in range(30):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(stale(x).float(), y)
            loss.backward()
            optimizer.step()
            frozen.append(loss.item())
    assert frozen[-1] > 0.95 * frozen[0]


def test_bfloat16_holds_for_forward_and_own_step_and_leaves_loss_and_weights_in_float32():
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = mlp()

        def forward(self, x):
            output = self.body(x)
            seen.append(output.dtype)
            return output

    def loss(output, target):
        seen.append(output.dtype)
        return nn.functional.cross_entropy(output, target)

    made = program(Watched(), loss=loss, task="classification")
    batch = table(4)
    _, found = gradient(made, batch, 1, dtype="bfloat16")
    assert seen == [torch.bfloat16, torch.float32] and found.dtype == torch.float32
    seen.clear()
    own = program(
        made.model, loss=None, task="classification", step=lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1])
    )
    gradient(own, batch, 1, dtype="bfloat16")
    assert seen == [torch.bfloat16]


def test_a_batch_of_another_form_asks_for_an_own_step():
    made = program()
    with pytest.raises(InputError, match=r"a batch is a dict.*step\(model, batch\)"):
        Forward(made, "float32", CPU).loss(made.model, {"x": torch.ones(2, 5)})


def test_clipping_returns_the_norm_before_it():
    made = program()
    model, optimizer = made.model, torch.optim.SGD(made.model.parameters(), lr=1.0)
    before = weights(model)
    stepper = Stepper(Forward(made, "float32", CPU), model, optimizer, None, clip_grad=0.01, accumulate=1, say=print)
    _, norm = stepper(table(16))
    assert float(norm) > 0.1
    assert_close((weights(model) - before).norm(), torch.tensor(0.01, dtype=torch.float64), rtol=1e-4, atol=0)


def test_lbfgs_is_given_its_closure():
    made = program(
        optimizer=partial(torch.optim.LBFGS, lr=1.0), batch_size=61, shuffle=False, train=table(61), epochs=5
    )
    run = fit(made)
    assert run.history[-1]["train_loss"] < 0.3 * run.history[0]["train_loss"]


def test_own_objective_is_what_a_step_minimizes_and_validation_sees_the_loss_alone():
    def ridge(model, x, y, loss, forward):
        return loss(forward(x), y) + 0.1 * sum(p.square().sum() for p in model.parameters())

    made = program(mlp(), objective=ridge)
    last = Training(monitor="last")
    run, plain = fit(made, training=last), fit(program(mlp()), training=last)
    x, y = made.val
    with torch.no_grad():
        assert run.history[-1]["val_loss"] == pytest.approx(float(made.loss(made.model(x), y)), rel=1e-5)
    assert run.history[-1]["train_loss"] > 2 * plain.history[-1]["train_loss"]  # with the penalty
    assert weights(made.model).norm() < 0.9 * weights(plain.model).norm()  # control: no penalty


@pytest.mark.parametrize("pieces", [1, 3])
def test_objective_keeps_sample_weights_and_accumulates_to_the_same_gradient(pieces):
    batch = double((*table(23), torch.linspace(0, 3, 23)))
    made = program(
        mlp().double(),
        loss=nn.CrossEntropyLoss(),
        objective=lambda model, x, y, loss, forward, weight: (
            Objective()(model, x, y, loss, forward=forward, weight=weight) + 0.3 * model[0].weight.square().sum()
        ),
    )
    loss, found = gradient(made, batch, pieces)
    bare = mlp().double()
    each = nn.functional.cross_entropy(bare(batch[0]), batch[1], reduction="none")
    expected = (each * batch[2]).sum() / batch[2].sum() + 0.3 * bare[0].weight.square().sum()
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-6)
    assert_close(found, torch.cat([p.grad.flatten() for p in bare.parameters()]))


def test_callable_that_takes_the_model_is_given_it():
    class PerModule:
        takes_model = True

        def __call__(self, model):
            return torch.optim.SGD(
                [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[-1].parameters()}], 0.1
            )

    made = program(mlp(), optimizer=PerModule())
    first = made.model[0].weight.detach().clone()
    last = made.model[-1].weight.detach().clone()
    fit(made)
    assert torch.equal(made.model[0].weight, first) and not torch.equal(made.model[-1].weight, last)


def test_step_and_objective_exclude_each_other():
    with pytest.raises(InputError, match="both step and objective"):
        program(mlp(), step=lambda m, b: 0, objective=lambda *a, **k: 0)


class Descent(torch.optim.Optimizer):
    """Gradient descent that asks for all that a closure can give."""

    needs = frozenset({"closure", "outputs"})

    def __init__(self, params):
        super().__init__(params, {"lr": 0.1})

    def step(self, closure):
        loss = closure()
        outputs, loss_of = closure.outputs()
        assert_close(closure.loss().detach(), loss)
        assert_close(loss_of(outputs).detach(), loss)
        found = torch.autograd.grad(loss_of(outputs), self.param_groups[0]["params"])
        with torch.no_grad():
            for parameter, slope in zip(self.param_groups[0]["params"], found, strict=True):
                assert_close(slope, parameter.grad)
                parameter -= 0.1 * slope
        return loss


def test_closure_gives_the_loss_its_gradient_and_its_graph():
    asked, plain = program(mlp(), optimizer=Descent), program(mlp(), optimizer=partial(torch.optim.SGD, lr=0.1))
    last = Training(monitor="last")
    assert_close(weights(fit(asked, training=last).model), weights(fit(plain, training=last).model))


def test_outputs_are_refused_where_the_loss_is_no_function_of_them():
    made = program(mlp(), optimizer=Descent, objective=lambda model, x, y, loss, forward: loss(forward(x), y))
    with pytest.raises(InputError, match="own objective"):
        fit(made)
