"""One suite that every optimizer of ``METHODS`` passes, fed with what it says it needs."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.testing import assert_close

from trainwell.optim import METHODS, Closure, method
from trainwell.optim.rules.adaptive_entries import ADAPTIVE
from trainwell.optim.rules.first_order_entries import FIRST_ORDER

EVERY = pytest.mark.parametrize("name", METHODS)
N, IN, OUT = 16, 4, 3

RATE = 0.05
SEARCH = {  # (first rate, steps) where 400 steps from 0.05 down to 0 do not get there
    "gd": (0.5, 400),
    "perturbed_gd": (0.5, 400),
    "asgd": (0.5, 400),
    "svrg": (0.5, 400),
    "coordinate_descent": (1.0, 400),
    "gauss_newton": (1.0, 60),
    "levenberg_marquardt": (1.0, 60),
    "lars": (1.0, 1500),
    "adadelta": (5.0, 1500),
    "adagrad": (0.3, 800),
    "adagrad_deck": (0.3, 800),
    "adamax": (0.1, 800),
    "radam": (0.3, 800),
    "schedule_free_sgd": (1.0, 800),
    "schedule_free_adamw": (0.1, 1500),
    "adafactor": (0.3, 1500),
    "muon": (0.3, 800),
    "sam": (0.05, 1500),
    "scgd": (0.2, 800),
    "polyak": (0.5, 400),
    "sls": (1.0, 25),
}
RATE_OF_THE_START_ONLY = {"rprop"}
"""lr is the first step's length; after that, signs decide."""
COUPLED = {"sam", "perturbed_gd", "coordinate_descent", "coordinate_descent_exact", "scgd"}
"""One norm, one turn or one inner value for all parameters together."""
GRADIENTS_ONLY = {*FIRST_ORDER, *ADAPTIVE} - {"scgd"}
"""The first-order methods; the entries of the others state orders of memory, and what a rate is for them."""


class Problem:
    """Linear regression whose Hessian is ⅔ I, with a known minimum of loss 0."""

    def __init__(self, dtype=torch.float32, seed=0, bias=True):
        generator = torch.Generator().manual_seed(seed)
        basis, _ = torch.linalg.qr(torch.cat([torch.ones(N, 1), torch.randn(N, IN, generator=generator)], 1))
        self.x = (basis[:, 1:] * N**0.5).to(dtype)
        self.solution = nn.Linear(IN, OUT, bias).to(dtype)
        self.model = nn.Linear(IN, OUT, bias)
        with torch.no_grad():
            for module in (self.solution, self.model):
                for p in module.parameters():
                    p.copy_(torch.randn(p.shape, generator=generator))
            self.model.to(dtype)
            self.y = self.solution(self.x)

    def closure(self, rows=slice(None), sign=1.0):
        return Closure.of(self.model, lambda output, y: sign * (output - y).square().mean(), self.x[rows], self.y[rows])

    def distance(self):
        pairs = zip(self.model.parameters(), self.solution.parameters(), strict=True)
        return max((a - b).abs().max().item() for a, b in pairs)

    def values(self):
        return nn.utils.parameters_to_vector(self.model.parameters()).detach().clone()


def build(name, problem, lr=RATE, **options):
    return METHODS[name](problem.model, lr, **options)


def step(name, optimizer, closure):
    """One step, with everything that the entry says is needed."""
    needs = METHODS[name].needs
    if "full_gradient" in needs and optimizer.due:
        optimizer.anchor(closure)
    if "composition" in needs:
        outputs, loss_of = closure.outputs()
        return optimizer.step(lambda: outputs, loss_of)
    if needs & {"closure", "outputs"}:
        return optimizer.step(closure)
    closure()
    if "sparse_gradients" in needs:
        make_sparse(optimizer)
    return optimizer.step()


def full_batch(name):
    return "full_batch" in METHODS[name].needs


def make_sparse(optimizer):
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = p.grad.to_sparse(1)


@EVERY
def test_finds_the_minimum_of_a_quadratic(name):
    problem = Problem()
    rate, steps = SEARCH.get(name, (METHODS[name].lr, 60) if full_batch(name) else (RATE, 400))
    optimizer = build(name, problem, rate)
    for k in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate if hasattr(optimizer, "eval") else rate * (1 - k / steps)
        step(name, optimizer, problem.closure())
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    near = {"sam": 0.01, "perturbed_gd": 0.01}  # SAM stays about within ρ, noise at the minimum is of radius 0.01
    assert problem.distance() < near.get(name, 2e-3)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_takes_any_float_type(name, dtype):
    if dtype == torch.bfloat16 and METHODS[name].needs & {"module", "outputs"}:
        pytest.skip("curvature needs more digits")
    problem = Problem(dtype)
    optimizer = build(name, problem, 0.1)
    before, loss = problem.values(), problem.closure().loss()
    for _ in range(3):
        step(name, optimizer, problem.closure())
    assert problem.values().dtype == dtype and not torch.equal(problem.values(), before)
    if name not in ("lars", "adadelta"):  # too slow for bfloat16's 3 digits in 3 steps
        assert problem.closure().loss() < loss
    for state in optimizer.state.values() if name in GRADIENTS_ONLY else ():
        for value in state.values():
            assert not isinstance(value, torch.Tensor) or value.dim() == 0 or value.dtype == dtype


def groups_of(problem):
    weight, bias = problem.model.parameters()
    return [{"params": [weight], "lr": 0.02}, {"params": [bias], "lr": 0.1}]


def resumed(optimizer, again):
    """The state through a file, as checkpoints read it."""
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    return again


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_resumed_from_a_file_it_goes_on_bit_for_bit(name, dtype):
    if dtype == torch.bfloat16 and METHODS[name].needs & {"module", "outputs"}:
        pytest.skip("curvature needs more digits")

    def make(problem):
        source = problem.model if "module" in METHODS[name].needs else groups_of(problem)
        optimizer = METHODS[name](source, 0.05)
        return optimizer, LambdaLR(optimizer, lambda k: 1 / (1 + k))

    def run(problem, optimizer, scheduler, steps):
        for k in steps:
            step(name, optimizer, problem.closure(slice(4 * (k % 4), 4 * (k % 4) + 4)))
            scheduler.step()

    straight, stopped = Problem(dtype), Problem(dtype)
    run(straight, *make(straight), range(12))
    optimizer, scheduler = make(stopped)
    run(stopped, optimizer, scheduler, range(7))
    other = copy.deepcopy(stopped)
    again, later = make(other)
    later.load_state_dict(scheduler.state_dict())
    run(other, resumed(optimizer, again), later, range(7, 12))
    assert torch.equal(other.values(), straight.values())


@EVERY
def test_each_group_has_its_rate(name):
    if name not in GRADIENTS_ONLY | {"scgd"} or name in RATE_OF_THE_START_ONLY:
        pytest.skip("no groups of parameters, or the rate is no factor of the step")
    problem = Problem()
    weight, bias = problem.model.parameters()
    before = copy.deepcopy(problem.model)
    optimizer = METHODS[name]([{"params": [weight]}, {"params": [bias], "lr": 0.0}], 0.1)
    for _ in range(3):
        step(name, optimizer, problem.closure())
    if METHODS[name].options.get("exact"):
        return  # the rate is where the curvature says nothing
    assert not torch.equal(weight, before.weight) and torch.equal(bias, before.bias)


@EVERY
def test_reads_the_rate_of_the_moment(name):  # a scheduler that sets lr is the same as lr
    given, scheduled = Problem(), Problem()
    first, second = build(name, given, 0.03), build(name, scheduled, 3.0)
    LambdaLR(second, lambda k: 0.01)
    for _ in range(4):
        step(name, first, given.closure())
        step(name, second, scheduled.closure())
    assert_close(given.values(), scheduled.values(), rtol=1e-6, atol=1e-7)


@EVERY
def test_tensors_in_lists_are_as_each_alone(name):
    if name in COUPLED or name not in GRADIENTS_ONLY or "sparse_gradients" in METHODS[name].needs:
        pytest.skip("the rule ties tensors together, or is a loop of torch's")
    shapes = [(6, 5), (7,), (3, 2, 2, 2), (600, 500), (4, 4), (1,)]  # (600, 500) fills a chunk of its own

    def parameters():
        generator = torch.Generator().manual_seed(1)
        return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]

    def closure_of(some):
        return Closure(some, lambda: (sum(p.sin().sum() for p in some), lambda total: total))

    together, apart = parameters(), parameters()
    optimizers = [(METHODS[name]([{"params": [p]}], 0.01), [p]) for p in apart]
    optimizer = METHODS[name]([{"params": together}], 0.01)
    for _ in range(4):
        step(name, optimizer, closure_of(together))
        for one, own in optimizers:
            step(name, one, closure_of(own))
    for p, q in zip(together, apart, strict=True):
        assert torch.equal(p, q)


@EVERY
def test_fused_and_loop_agree(name):  # to the last bits of float32: they round in another order
    if not METHODS[name].accepts("fused"):
        pytest.skip("no fused kernel")

    def train(fused):
        problem = Problem()
        optimizer = build(name, problem, 0.01, fused=fused)
        for _ in range(20):
            step(name, optimizer, problem.closure())
        return optimizer, problem.values()

    (chosen, fast), (_, slow) = train(None), train(False)
    assert all(group["fused"] for group in chosen.param_groups)
    assert_close(fast, slow, rtol=1e-5, atol=1e-6)


@EVERY
def test_memory_is_what_the_table_says(name):
    if name not in GRADIENTS_ONLY | {"scgd"}:
        pytest.skip("the entry states the order")
    model = nn.Linear(64, 48, bias=False)
    optimizer = METHODS[name]([{"params": list(model.parameters())}])
    for seed in range(2):
        x = torch.randn(8, 64, generator=torch.Generator().manual_seed(seed))
        step(name, optimizer, Closure.of(model, nn.MSELoss(), x, torch.zeros(8, 48)))
    size = model.weight.numel()
    kept = sum(v.numel() for s in optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor))
    assert kept / size == pytest.approx(METHODS[name].memory, abs=0.15)  # scalars; Adafactor's rows and columns


@EVERY
def test_sparse_gradients_are_taken_or_refused(name):
    entry = METHODS[name]
    if entry.needs & {"module", "outputs", "composition", "full_batch"}:
        pytest.skip("not a function of gradients alone")
    options = {"fused": False} if entry.accepts("fused") else {}
    if entry.options.get("exact"):
        pytest.skip("takes its gradients from the graph")

    def train(sparse):
        table = nn.Embedding(6, 2, sparse=sparse)
        nn.init.ones_(table.weight)
        optimizer = entry([{"params": [table.weight]}], 0.1, **options)
        closure = Closure.of(table, lambda output, y: (output - y).square().sum(), torch.tensor([1, 4, 1]), 0.0)
        for _ in range(3):
            if "full_gradient" in entry.needs and optimizer.due:
                optimizer.anchor(closure)
            if "closure" in entry.needs:
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()
        return table.weight.detach()

    torch.sparse.check_sparse_tensor_invariants.enable()  # torch warns where nobody has said whether to check
    if entry.sparse:
        found = train(True)
        assert torch.equal(found[[0, 2, 3, 5]], torch.ones(4, 2)) and bool((found[[1, 4]] < 1).all())
        if "sparse_gradients" not in entry.needs:
            assert_close(found, train(False))
    else:
        with pytest.raises(RuntimeError, match="spars"):
            train(True)


@EVERY
def test_what_is_missing_is_named(name):
    if not METHODS[name].needs & {"closure", "outputs", "full_gradient", "composition"}:
        pytest.skip("needs gradients only")
    problem = Problem()
    optimizer, before = build(name, problem), problem.values()
    problem.closure()()
    with pytest.raises((RuntimeError, ValueError, TypeError), match=r"closure|step\("):
        optimizer.step()
    assert torch.equal(problem.values(), before)


@EVERY
def test_maximizing_is_minimizing_the_negative(name):
    if not METHODS[name].accepts("maximize"):
        pytest.skip("has no maximize")
    down, up = Problem(), Problem()
    first, second = build(name, down), build(name, up, maximize=True)
    for _ in range(5):
        step(name, first, down.closure())
        step(name, second, up.closure(sign=-1.0))
    assert torch.equal(down.values(), up.values())


@EVERY
def test_parameters_without_gradient_stay_and_may_join_later(name):
    if name not in GRADIENTS_ONLY or "full_gradient" in METHODS[name].needs:
        pytest.skip("made for one set of parameters")
    problem = Problem()
    weight, bias = problem.model.parameters()
    bias.requires_grad_(False)
    start = bias.detach().clone()
    options = {"fused": False} if METHODS[name].accepts("fused") else {}  # torch's fused SGD cannot take one in late
    optimizer = METHODS[name]([{"params": [weight, bias]}], 0.05, **options)
    for _ in range(3):
        step(name, optimizer, problem.closure()) if "sparse_gradients" not in METHODS[name].needs else None
    assert torch.equal(bias, start)
    bias.requires_grad_(True)
    if "sparse_gradients" not in METHODS[name].needs:
        for _ in range(4):
            step(name, optimizer, problem.closure())
        assert not torch.equal(bias, start)


@EVERY
def test_a_step_does_not_wait_for_the_device(name):  # a tensor without data cannot be looked at
    entry = METHODS[name]
    if not entry.place.startswith(".") or entry.needs or name in ("perturbed_gd", "muon") or name not in GRADIENTS_ONLY:
        pytest.skip("torch's own, or looks by design (there is no generator of such tensors)")
    p, q = (nn.Parameter(torch.empty(shape, device="meta")) for shape in [(3, 2), (4,)])
    optimizer = entry([{"params": [p, q]}], 0.1, weight_decay=0.1)
    for _ in range(2):
        p.grad, q.grad = torch.empty_like(p), torch.empty_like(q)
        optimizer.step()
    with pytest.raises((RuntimeError, NotImplementedError)):  # the control: a look at such a tensor
        p.grad.norm().item()


def test_an_unknown_method_is_told_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'adamw'"):
        method("adam_w")


def test_options_and_decay_that_a_class_lacks_are_refused():
    w = nn.Parameter(torch.zeros(2))
    with pytest.raises(ValueError, match="no option 'beta'"):
        METHODS["lion"]([w], beta=0.9)
    with pytest.raises(ValueError, match="no weight decay"):
        METHODS["rprop"]([w], weight_decay=0.1)
    with pytest.raises(ValueError, match=r"momentum=1\.5"):
        METHODS["heavy_ball"]([w], momentum=1.5)
    with pytest.raises(ValueError, match="complex"):
        METHODS["lion"]([nn.Parameter(torch.zeros(2, dtype=torch.complex64))])


def test_decay_is_of_matrices_alone_and_groups_without_their_own_take_it():
    model = nn.Linear(2, 2)
    assert [group["weight_decay"] for group in METHODS["lion"](model, weight_decay=0.3).param_groups] == [0.3, 0.0]
    groups = [{"params": [model.weight]}, {"params": [model.bias], "weight_decay": 0.1}]
    assert [group["weight_decay"] for group in METHODS["lion"](groups, weight_decay=0.3).param_groups] == [0.3, 0.1]


@EVERY
def test_decay_is_coupled_or_decoupled_as_the_table_says(name):
    """One step with gradient 0: coupled decay enters the rule's own scaling, decoupled shrinks by exactly 1 − ηλ."""
    entry = METHODS[name]
    if entry.decay == "none" or entry.needs or name in ("asgd", "lamb"):
        pytest.skip("no decay; asgd shrinks by itself; LAMB scales the decoupled decay by its ratio")
    w = nn.Parameter(torch.full((2, 2), 8.0, dtype=torch.float64))
    optimizer = entry([{"params": [w]}], 0.01, weight_decay=0.5)
    w.grad = torch.zeros_like(w)
    optimizer.step()
    shrunk = torch.full_like(w, 8.0 * (1 - 0.01 * 0.5))
    if entry.decay == "decoupled":
        assert_close(w.detach(), shrunk, rtol=1e-9, atol=0)
    elif name in {"adam", "adagrad", "rmsprop", "amsgrad", "adamax", "adam_deck", "adagrad_deck", "rmsprop_deck"}:
        assert (w.detach() - shrunk).abs().max() > 1e-3  # through the adaptive scale: about η
