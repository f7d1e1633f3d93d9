"""Full-batch methods as torch optimizers of a network: their step, what they compute, and what they put back."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import METHODS, Closure, minimize
from trainwell.optim.deterministic.closure_problem import ClosureProblem

NAMES = ("nonlinear_cg", "lbfgs", "newton_cg", "gauss_newton", "levenberg_marquardt", "trust_region")
EVERY = pytest.mark.parametrize("name", NAMES)


def net_and_data(dtype=torch.float64, dropout=0.0):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 3)).to(dtype)
    return net, torch.randn(40, 5, dtype=dtype), torch.randint(0, 3, (40,))


def net_and_closure(dtype=torch.float64, dropout=0.0):
    net, x, y = net_and_data(dtype, dropout)
    return net, Closure.of(net, nn.CrossEntropyLoss(), x, y)


def vector(net):
    return nn.utils.parameters_to_vector(net.parameters()).detach().clone()


@EVERY
def test_the_loss_never_rises_and_falls_far(name):
    net, closure = net_and_closure()
    optimizer = METHODS[name](net)
    losses = [float(optimizer.step(closure)) for _ in range(25)]
    assert all(b <= a for a, b in pairwise(losses)) and losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("name", ["newton_cg", "gauss_newton", "trust_region"])
def test_least_squares_of_a_linear_model_takes_few_steps(name):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(50, k, generator=generator, dtype=torch.float64) for k in (4, 2))
    model = nn.Linear(4, 2, dtype=torch.float64)
    options = {"damping": 0.0} if name == "gauss_newton" else {}
    optimizer = METHODS[name](model, 100.0 if name == "trust_region" else 1.0, **options)
    closure = Closure.of(model, nn.MSELoss(), x, y)
    for _ in range(8):  # Newton's equation is solved to min(½, √‖g‖) only
        optimizer.step(closure)
    inputs = torch.cat([x, torch.ones(50, 1, dtype=torch.float64)], 1)
    solution = torch.linalg.lstsq(inputs, y).solution
    assert_close(torch.cat([model.weight.T, model.bias[None]]).detach(), solution, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "rule"), [("nonlinear_cg", "cg"), ("lbfgs", "lbfgs"), ("trust_region", "steihaug")])
def test_steps_are_those_of_minimize(name, rule):
    net, closure = net_and_closure()
    start = [p.detach().clone() for p in net.parameters()]
    optimizer = METHODS[name](net)
    losses = [float(optimizer.step(closure)) for _ in range(6)]
    other, function = net_and_closure()
    options = {"turns": 50} if rule == "steihaug" else {}
    found = minimize(lambda: function.loss(), list(other.parameters()), rule, max_iterations=6, trace=True, **options)
    assert losses == pytest.approx([at.fun for at in found.path[:6]], rel=1e-9)
    assert not torch.equal(start[0], next(net.parameters()))


def test_lbfgs_goes_as_far_as_torchs():
    net, closure = net_and_closure()
    ours = METHODS["lbfgs"](net)
    for _ in range(30):
        last = float(ours.step(closure))
    other, again = net_and_closure()
    theirs = torch.optim.LBFGS(other.parameters(), max_iter=1, history_size=10, line_search_fn="strong_wolfe")
    for _ in range(30):
        reference = float(theirs.step(again))
    assert last < 2 * reference


def test_products_are_those_of_the_dense_matrices():
    net, x, y = net_and_data()
    params = list(net.parameters())
    problem = ClosureProblem(Closure.of(net, nn.CrossEntropyLoss(), x, y), params, [1.0, 1.0, 0.5, 0.5])
    names, sizes = [name for name, _ in net.named_parameters()], [p.numel() for p in params]

    def outputs_at(flat):
        parts = zip(names, flat.split(sizes), params, strict=True)
        return torch.func.functional_call(net, {n: part.view(p.shape) for n, part, p in parts}, (x,))

    def loss_at(flat):
        return nn.functional.cross_entropy(outputs_at(flat), y)

    v = torch.randn(len(problem.zero), dtype=torch.float64)
    scale = torch.cat([torch.full((n,), s).double() for n, s in zip(sizes, [1.0, 1.0, 0.5, 0.5], strict=True)])
    hessian = torch.autograd.functional.hessian(loss_at, problem.base)
    assert_close(problem.product(problem.zero)(v), scale * (hessian @ (scale * v)), rtol=1e-9, atol=1e-12)
    jacobian = torch.autograd.functional.jacobian(outputs_at, problem.base)  # (40, 3, n)
    p = outputs_at(problem.base).softmax(1)
    metric = (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) / len(p)
    ggn = torch.einsum("bia,bij,bjc->ac", jacobian, metric, jacobian).detach()
    assert_close(problem.gauss_newton(problem.zero)(v), scale * (ggn @ (scale * v)), rtol=1e-9, atol=1e-12)


@EVERY
def test_a_loss_that_is_not_finite_is_said_and_leaves_the_weights(name):
    net, closure = net_and_closure()
    broken = Closure(net.parameters(), lambda: (closure.outputs()[0], lambda z: z.sum() * float("nan")))
    optimizer, before = METHODS[name](net), vector(net)
    with pytest.raises(RuntimeError, match="loss is nan"):
        optimizer.step(broken)
    assert torch.equal(vector(net), before)


@pytest.mark.parametrize("name", ["nonlinear_cg", "lbfgs", "newton_cg", "gauss_newton", "levenberg_marquardt"])
def test_where_no_step_helps_the_weights_stay(name):  # the loss is least here; its gradient lies
    net, closure = net_and_closure()
    start, optimizer = vector(net), METHODS[name](net)

    def forward():
        moved = nn.utils.parameters_to_vector(net.parameters())
        outputs, loss_of = closure.outputs()
        barrier = (moved.detach() - start).abs().sum() * 1e9
        return outputs, lambda z: loss_of(z) + barrier

    optimizer.step(Closure(net.parameters(), forward))
    assert torch.equal(vector(net), start) and optimizer.stalled
    optimizer.step(closure)
    assert not torch.equal(vector(net), start) and not optimizer.stalled


@EVERY
def test_within_a_step_dropout_draws_the_same_masks(name):
    net, closure = net_and_closure(dropout=0.5)
    masks = []
    net[2].register_forward_hook(lambda module, inputs, output: masks.append(output.detach() == 0))
    optimizer = METHODS[name](net)
    seen = []
    for _ in range(3):
        masks.clear()
        optimizer.step(closure)
        assert len(masks) > 1 and all(torch.equal(mask, masks[0]) for mask in masks)
        seen.append(masks[0])
    assert not torch.equal(seen[0], seen[1]) and not torch.equal(seen[1], seen[2])  # and the next step others


@EVERY
def test_a_rate_of_zero_freezes_its_group_and_its_curvature(name):
    net, closure = net_and_closure()
    first, last = net[0], net[3]
    kept = first.weight.detach().clone()
    optimizer = METHODS[name]([{"params": first.parameters(), "lr": 0.0}, {"params": last.parameters()}])
    alone, other = net_and_closure()
    alone[0].requires_grad_(False)
    reference = METHODS[name]([{"params": alone[3].parameters()}])
    for _ in range(3):
        optimizer.step(closure)
        reference.step(other)
    assert torch.equal(first.weight, kept)
    assert_close(last.weight, alone[3].weight, rtol=1e-3, atol=1e-4)  # singular systems amplify rounding


@EVERY
def test_weights_of_two_types_are_refused(name):
    with pytest.raises(ValueError, match="one type"):
        METHODS[name]([{"params": [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2).double())]}])


def test_an_unknown_formula_is_refused():
    with pytest.raises(ValueError, match="no formula is called"):
        METHODS["nonlinear_cg"](nn.Linear(2, 2), formula="polak")
