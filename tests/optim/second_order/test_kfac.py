"""K-FAC and EK-FAC: factors against exact Fisher blocks, steps against closed forms, hooks, state and errors."""

import copy
import gc
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.testing import assert_close

from trainwell.curvature import Fisher
from trainwell.optim import METHODS, Closure, EKfac, Kfac, NonFiniteStep
from trainwell.optim.rules.step_seed import generator_of_step
from trainwell.optim.second_order.eigenvalue_corrected import second_moments
from trainwell.optim.second_order.kronecker_factored import inverse, split
from trainwell.optim.second_order.layer_records import Recorder, Watch, gradient_rows, input_rows
from trainwell.optim.second_order.output_roots import output_roots

BOTH = pytest.mark.parametrize("kind", [Kfac, EKfac])
F64 = torch.float64


def data(n=12, inputs=3, outputs=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, inputs, generator=generator, dtype=F64)
    return x, torch.randn(n, outputs, generator=generator, dtype=F64)


def deep(activation=nn.Identity, seed=0):
    torch.manual_seed(seed)
    layers = [nn.Linear(3, 4), activation(), nn.Linear(4, 4), activation(), nn.Linear(4, 2)]
    return nn.Sequential(*layers).double()


def blocks(net, x, y, optimizer, loss):
    """(G ⊗ A, exact Fisher block) of each layer; entries of [W b] row by row."""
    exact = Fisher(net, loss, (x, y)).dense()
    names, position = [name for name, _ in net.named_parameters()], {}
    start = 0
    for name, p in net.named_parameters():
        position[name] = torch.arange(start, start + p.numel()).view(p.shape)
        start += p.numel()
    for i in range(0, len(names), 2):
        weight, bias = position[names[i]].flatten(1), position[names[i + 1]]
        order = torch.cat([weight, bias[:, None]], 1).flatten()
        state = optimizer.state[dict(net.named_parameters())[names[i]]]
        yield torch.kron(state["output_factor"], state["input_factor"]), exact[order][:, order]


def learn(net, x, y, loss, kind=Kfac, **options):
    optimizer = kind(net, lr=0.0, **{"fisher": "exact", **options})
    optimizer.step(Closure.of(net, loss, x, y))
    return optimizer


def test_blocks_of_a_deep_linear_net_are_exact():  # closed form: g does not depend on the sample
    (x, y), net = data(), deep()
    for found, exact in blocks(net, x, y, learn(net, x, y, nn.MSELoss()), nn.MSELoss()):
        assert (found - exact).abs().max() <= 1e-12 * exact.abs().max()


def test_blocks_of_a_deep_tanh_net_are_not():  # control
    (x, y), net = data(), deep(nn.Tanh)
    pairs = list(blocks(net, x, y, learn(net, x, y, nn.MSELoss()), nn.MSELoss()))
    assert all((found - exact).abs().max() > 1e-3 * exact.abs().max() for found, exact in pairs[:-1])
    assert_close(*pairs[-1], rtol=1e-12, atol=1e-14)  # the last layer is linear: exact again


def test_one_step_solves_least_squares():  # O10: one layer, squared error, no damping: Newton's step
    x, y = data(n=30)
    net = nn.Linear(3, 2).double()
    optimizer = Kfac(net, lr=1.0, momentum=0.0, damping=1e-14, clip=None, fisher="exact")
    optimizer.step(Closure.of(net, nn.MSELoss(), x, y))
    design = torch.cat([x, torch.ones(30, 1, dtype=F64)], 1)
    solution = torch.linalg.lstsq(design, y).solution.T
    assert_close(torch.cat([net.weight, net.bias[:, None]], 1).detach(), solution, rtol=1e-5, atol=1e-6)


LOSSES = {
    "squared": (lambda z: (z - 0.3).square().mean(), (5, 4)),
    "softmax": (lambda z: F.cross_entropy(z, torch.tensor([0, 3, 1, 1, 2])), (5, 4)),
    "weighted softmax": (
        lambda z: F.cross_entropy(z, torch.tensor([0, 3, 1, 1, 2]), torch.tensor([1.0, 2, 3, 4], dtype=F64)),
        (5, 4),
    ),
    "smoothed": (lambda z: F.cross_entropy(z, torch.tensor([0, 3, 1, 1, 2]), label_smoothing=0.2), (5, 4)),
    "softmax of pixels": (lambda z: F.cross_entropy(z, torch.arange(12).view(2, 6) % 3), (2, 3, 6)),
    "binary": (lambda z: F.binary_cross_entropy_with_logits(z, torch.ones_like(z)), (5, 4)),
    "coupled": (lambda z: (z.square().sum(1) + 1).log().mean() + z.square().mean(), (5, 4)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_roots_of_the_output_curvature(name):  # exact: against autograd's Hessian; Monte-Carlo: four standard errors
    loss, shape = LOSSES[name]
    generator = torch.Generator().manual_seed(0)
    z = (0.3 * torch.randn(shape, dtype=F64, generator=generator)).requires_grad_()
    size = z[0].numel()
    whole = torch.autograd.functional.hessian(loss, z).reshape(shape[0], size, shape[0], size)
    expected = torch.stack([whole[n, :, n] for n in range(shape[0])])

    def squares(kind):
        rows = torch.stack([s.reshape(shape[0], size) for s in output_roots(z, loss, kind, generator)])
        return torch.einsum("cni,cnj->nij", rows, rows)

    if name != "softmax of pixels":  # its columns span the pixels: their outer products are right pixel by pixel
        assert_close(squares("exact"), expected, rtol=1e-9, atol=1e-12)
        draws = torch.stack([squares("monte-carlo") for _ in range(400)])
        error = draws.std(0) / 400**0.5
        assert ((draws.mean(0) - expected).abs() <= 5 * error + 1e-12).all()
    else:
        found, exact = squares("exact").view(2, 3, 6, 3, 6), expected.view(2, 3, 6, 3, 6)
        for pixel in range(6):
            assert_close(found[:, :, pixel, :, pixel], exact[:, :, pixel, :, pixel], rtol=1e-9, atol=1e-12)


def test_a_loss_that_couples_many_outputs_is_refused():
    z = torch.randn(2, 300, requires_grad=True)
    with pytest.raises(ValueError, match="couples the 300 outputs"):
        list(output_roots(z, lambda z: (z.square().sum(1) + 1).log().mean(), "exact", torch.Generator()))


def test_empirical_factor_is_the_mean_over_samples():
    (x, y), net = data(), deep(nn.Tanh)
    optimizer = Kfac(net, lr=0.0, fisher="empirical")
    nn.MSELoss()(net(x), y).backward()
    optimizer.step()
    residual = net(x).detach() - y  # ∂ℓ_n/∂z_n of the sample's own mean over 2 outputs
    assert_close(optimizer.state[net[4].weight]["output_factor"], residual.T @ residual / 12, rtol=1e-12, atol=0)


CONVOLUTIONS = {
    "1d": (lambda: nn.Conv1d(2, 3, 3, stride=2, padding=1, dilation=2), (4, 2, 11)),
    "2d": (lambda: nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=(1, 0)), (4, 2, 7, 6)),
    "same": (lambda: nn.Conv2d(2, 3, (4, 3), padding="same", bias=False), (4, 2, 6, 6)),
    "valid": (lambda: nn.Conv2d(2, 3, 2, padding="valid"), (4, 2, 6, 6)),
    "reflect": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (4, 2, 6, 6)),
    "circular": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (4, 2, 6, 6)),
    "3d": (lambda: nn.Conv3d(1, 2, 2, padding=1), (2, 1, 3, 4, 3)),
    "linear on sequences": (lambda: nn.Linear(5, 3), (4, 6, 5)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_rows_make_up_the_gradient(name):  # Σ_n Σ_t g āᵀ is autograd's gradient of [W b]
    make, shape = CONVOLUTIONS[name]
    torch.manual_seed(0)
    layer = make().double()
    x = torch.randn(shape, dtype=F64)
    output = layer(x)
    weights = torch.randn_like(output)
    output.backward(weights)
    a, g = input_rows(layer, x), gradient_rows(layer, weights)
    assert a.shape[:2] == g.shape[:2]
    expected = layer.weight.grad.flatten(1)
    if layer.bias is not None:
        expected = torch.cat([expected, layer.bias.grad[:, None]], 1)
    assert_close(torch.einsum("nto,nti->oi", g, a), expected, rtol=1e-12, atol=1e-12)


def test_patches_are_those_of_unfold():
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False)
    x = torch.randn(4, 2, 7, 7)
    assert torch.equal(input_rows(layer, x), F.unfold(x, 3, stride=2, padding=1).transpose(1, 2))


def test_the_corrected_diagonal_is_the_nearest():  # property: of all diagonals in this basis, in Frobenius norm
    torch.manual_seed(0)
    a, g = torch.randn(40, 3, 4, dtype=F64), torch.randn(40, 3, 2, dtype=F64)
    each = torch.einsum("nto,nti->noi", g, a).flatten(1)
    fisher = each.T @ each
    bases = [torch.linalg.eigh(torch.einsum("nti,ntj->ij", r, r)) for r in (a, g)]
    basis = torch.kron(bases[1].eigenvectors, bases[0].eigenvectors)

    def distance(diagonal):
        return torch.linalg.matrix_norm(fisher - basis * diagonal.flatten() @ basis.T)

    found = second_moments(a, g, bases[0].eigenvectors, bases[1].eigenvectors)
    assert_close(found.flatten(), (basis.T @ fisher @ basis).diagonal(), rtol=1e-12, atol=1e-12)
    for _ in range(20):
        assert distance(found) <= distance(found + 0.1 * torch.randn_like(found))
    kfac = torch.outer(bases[1].eigenvalues, bases[0].eigenvalues) / 120
    assert distance(found) < 0.9 * distance(kfac)  # control: K-FAC's own eigenvalues are farther


def test_ekfac_uses_the_moments_of_its_batch():
    (x, y), net = data(), deep(nn.Tanh)
    optimizer = learn(net, x, y, nn.MSELoss(), EKfac, decay=0.0)
    for layer in (net[0], net[4]):
        state = optimizer.state[layer.weight]
        assert torch.equal(state["output_basis"], torch.linalg.eigh(state["output_factor"]).eigenvectors)
        a, g = state["input_factor"], state["output_factor"]
        assert_close(state["corrected"].sum(), a.trace() * g.trace() if layer is net[4] else state["corrected"].sum())


@BOTH
def test_the_step_is_the_damped_natural_gradient(kind):  # by hand, in the dense matrices
    (x, y), net = data(), nn.Sequential(nn.Linear(3, 2)).double()
    before = torch.cat([net[0].weight, net[0].bias[:, None]], 1).detach().clone()
    optimizer = kind(net, lr=0.5, momentum=0.0, damping=0.1, relative=False, clip=None, fisher="exact", decay=0.0)
    optimizer.step(Closure.of(net, nn.MSELoss(), x, y))
    gradient = torch.cat([net[0].weight.grad, net[0].bias.grad[:, None]], 1)
    state = optimizer.state[net[0].weight]
    a, g = state["input_factor"], state["output_factor"]
    if kind is Kfac:
        pi = ((a.trace() / 4) / (g.trace() / 2)) ** 0.5
        left, right = g + 0.1**0.5 / pi * torch.eye(2), a + 0.1**0.5 * pi * torch.eye(4)
        expected = before - 0.5 * torch.linalg.inv(left) @ gradient @ torch.linalg.inv(right)
    else:  # one linear layer: A ⊗ G is exact, and so is the corrected diagonal
        matrix = torch.kron(g, a) + 0.1 * torch.eye(8, dtype=F64)
        expected = before - 0.5 * torch.linalg.solve(matrix, gradient.flatten()).view(2, 4)
    assert_close(torch.cat([net[0].weight, net[0].bias[:, None]], 1).detach(), expected, rtol=1e-6, atol=1e-8)


def test_damping_split_and_inverse():
    a, g = 4 * torch.eye(3, dtype=F64), torch.eye(2, dtype=F64)
    assert split(a, g) == 2 and split(a, 0 * g) == 1
    singular = torch.ones(3, 3, dtype=F64)
    assert_close(inverse(singular, 0.5) @ (singular + 0.5 * torch.eye(3)), torch.eye(3, dtype=F64))
    assert bool(torch.isfinite(inverse(-1e-9 * torch.eye(3), 0.0)).all())  # rounding: no Cholesky, eigenvalues clamped


@BOTH
@pytest.mark.parametrize("relative", [True, False])
def test_relative_damping_makes_steps_free_of_the_loss_s_unit(kind, relative):
    (x, y), nets = data(), [deep(nn.Tanh), deep(nn.Tanh)]
    for net, unit in zip(nets, (1.0, 1e-3), strict=True):
        optimizer = kind(net, lr=0.1, relative=relative, clip=None, fisher="exact")
        for _ in range(3):
            optimizer.step(Closure.of(net, lambda z, y, unit=unit: unit * F.mse_loss(z, y), x, y))
    pairs = zip(nets[0].parameters(), nets[1].parameters(), strict=True)
    assert all(torch.allclose(p, q, rtol=1e-9, atol=1e-12) for p, q in pairs) == relative


def test_steps_and_seeds_draw_different_labels():
    def draw(seed, step):
        return torch.randn(4, generator=generator_of_step(seed, step))

    first = draw(0, 0)
    assert torch.equal(first, draw(0, 0))
    for seed, step in ((1, 0), (0, 1), (2, 5)):
        assert not torch.equal(first, draw(seed, step))


def test_clip_bounds_the_step():
    (x, y), nets = data(), [deep(), deep()]
    for net, clip in zip(nets, (None, 1e-4), strict=True):
        Kfac(net, lr=0.5, momentum=0.0, fisher="exact", clip=clip).step(Closure.of(net, nn.MSELoss(), x, y))
    start = deep()
    moves = [[(p - q).flatten() for p, q in zip(net.parameters(), start.parameters(), strict=True)] for net in nets]
    free, clipped = (torch.cat(m).detach() for m in moves)
    gradient = torch.cat([p.grad.flatten() for p in nets[0].parameters()])
    along = -0.5 * (free @ gradient).item()  # η² ⟨D, ∇⟩ with η D = −free and η = ½
    assert_close(clipped, free * (1e-4 / along) ** 0.5, rtol=1e-9, atol=1e-12)


def cnn(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3, groups=1),
        nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 5),
    )  # fmt: skip


def images(n=16, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 1, 6, 6, generator=generator), torch.randint(0, 5, (n,), generator=generator)


def closure_of(net, seed=1):
    return Closure.of(net, nn.CrossEntropyLoss(), *images(seed=seed))


@BOTH
@pytest.mark.parametrize("fisher", ["monte-carlo", "exact", "empirical"])
def test_trains_a_convolutional_net(kind, fisher):
    net = cnn()
    optimizer = kind(net, lr=0.05, fisher=fisher)
    losses = [float(optimizer.step(closure_of(net))) for _ in range(25)]
    assert losses[-1] < 0.05 * losses[0]


def test_empirical_fisher_needs_no_closure():
    nets = [cnn(), cnn()]
    first, second = (Kfac(net, fisher="empirical") for net in nets)
    assert first.needs == {"module"}
    for seed in range(3):
        first.step(closure_of(nets[0], seed))
        closure_of(nets[1], seed)()
        second.step()
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(p, q)


def hooks(model):
    return [hook for module in model.modules() for hook in module._forward_hooks.values()]


def test_hooks_do_not_pile_up_on_copies():
    net = cnn()
    optimizer = Kfac(net)
    for _ in range(3):
        copied = copy.deepcopy(net)
        assert len(hooks(copied)) == 3 and all(isinstance(h, Watch) and h.dead for h in hooks(copied))
        other = Kfac(copied)
        assert len(hooks(copied)) == 3 and not any(h.dead for h in hooks(copied))
        other.step(closure_of(copied))
        net = copied
    assert optimizer.recorder.records == []
    del other
    gc.collect()
    assert all(h.dead for h in hooks(net))


def test_nothing_is_recorded_in_evaluation_or_without_gradients():
    net = cnn()
    recorder = Recorder(net)
    recorder.mode = "outputs"
    with torch.no_grad():
        net(images()[0])
    net.eval()
    net(images()[0])
    assert recorder.records == []
    net.train()
    net(images()[0])
    assert [record.layer for record in recorder.taken()] == [0, 1, 2] and recorder.records == []


def test_what_is_not_its_own_is_trained_by_adamw():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.mix, self.norm = nn.Embedding(7, 4), nn.Linear(4, 4), nn.LayerNorm(4)
            self.out = nn.Linear(4, 7, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, x):
            return self.out(self.norm(self.mix(self.embed(x)))).transpose(1, 2)

    torch.manual_seed(0)
    net, x = Tied(), torch.randint(0, 7, (8, 5))
    optimizer = Kfac(net, lr=0.05, rest=0.1)
    assert optimizer.recorder.layers == [net.mix]
    losses = [float(optimizer.step(Closure.of(net, nn.CrossEntropyLoss(), x, x))) for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]
    assert "mean" in optimizer.state[net.embed.weight] and "mean" not in optimizer.state[net.mix.weight]


@BOTH
def test_goes_on_bit_for_bit_after_a_file(kind):
    nets = [cnn(), cnn(5)]
    first = kind(nets[0], lr=0.02, inverses_every=3, factors_every=2)
    schedule = LambdaLR(first, lambda step: 0.9**step)
    for seed in range(4):
        first.step(closure_of(nets[0], seed))
        schedule.step()
    file = io.BytesIO()
    torch.save([first.state_dict(), nets[0].state_dict(), schedule.state_dict()], file)
    file.seek(0)
    second = kind(nets[1], lr=0.3, inverses_every=3, factors_every=2)
    again = LambdaLR(second, lambda step: 0.9**step)
    states = torch.load(file, weights_only=True)
    for part, state in zip((second, nets[1], again), states, strict=True):
        part.load_state_dict(state)
    for net, optimizer, scheduler in ((nets[0], first, schedule), (nets[1], second, again)):
        for seed in range(4, 9):
            optimizer.step(closure_of(net, seed))
            scheduler.step()
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(p, q)


def test_factors_of_bfloat16_layers_are_float32_and_stay_so():
    net = cnn().to(torch.bfloat16)
    optimizer = Kfac(net, lr=0.01)
    closure = Closure.of(net, lambda z, y: F.cross_entropy(z.float(), y), images()[0].bfloat16(), images()[1])
    optimizer.step(closure)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert optimizer.state[net[0].weight]["input_factor"].dtype == torch.float32
    assert optimizer.state[net[0].weight]["momentum"].dtype == torch.bfloat16


def test_autocast_keeps_factors_in_float32():
    net, (x, y) = cnn(), images()

    def forward():
        with torch.autocast("cpu", torch.bfloat16):
            output = net(x)
        return output.float(), lambda z: F.cross_entropy(z, y)

    optimizer = Kfac(net, lr=0.02)
    losses = [float(optimizer.step(Closure(net.parameters(), forward))) for _ in range(20)]
    assert optimizer.state[net[0].weight]["output_factor"].dtype == torch.float32 and losses[-1] < 0.2 * losses[0]


@BOTH
def test_a_loss_that_is_not_finite_takes_the_last_step_back(kind):
    net = cnn()
    optimizer = kind(net, lr=0.02)
    optimizer.step(closure_of(net))
    good = copy.deepcopy(list(net.parameters()))
    optimizer.step(closure_of(net))
    x, y = images()
    optimizer._good = [(p, g.detach()) for p, g in zip(optimizer.members(), optimizer.members(), strict=True)]
    kept = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(NonFiniteStep, match="the last step was taken back"):
        optimizer.step(Closure.of(net, nn.CrossEntropyLoss(), x * float("nan"), y))
    assert all(torch.equal(p, k) for p, k in zip(net.parameters(), kept, strict=True))
    assert not all(torch.equal(p, g) for p, g in zip(net.parameters(), good, strict=True))


def test_a_diverging_run_is_left_at_the_last_good_point():
    (x, y), net = data(), deep()
    optimizer = Kfac(net, lr=1e150, clip=None, fisher="exact")
    before = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(NonFiniteStep, match="taken back"):
        for _ in range(3):
            optimizer.step(Closure.of(net, nn.MSELoss(), x, y))
    assert all(torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))


def test_errors_say_what_to_do():
    net = cnn()
    with pytest.raises(ValueError, match="needs the model"):
        METHODS["kfac"](net.parameters())
    with pytest.raises(ValueError, match="fisher='true' is unknown"):
        Kfac(net, fisher="true")
    with pytest.raises(ValueError, match="no trainable Linear or Conv"):
        Kfac(nn.LayerNorm(3))
    with pytest.raises(RuntimeError, match="call step\\(closure\\)"):
        Kfac(net).step()
    with pytest.raises(RuntimeError, match=r"closure\.outputs"):
        Kfac(net).step(lambda: torch.zeros(()))
    optimizer = Kfac(net, fisher="empirical")
    net.eval()
    closure_of(net)()
    with pytest.raises(RuntimeError, match="inputs were not seen"):
        optimizer.step()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fisher", ["exact", "empirical"])
def test_factors_are_those_of_curvlinops(fisher):
    curvlinops = pytest.importorskip("curvlinops")
    net, (x, y) = cnn().double().eval(), images()
    x = x.double()
    params = [p for m in net for p in m.parameters() if isinstance(m, nn.Linear | nn.Conv2d)]
    reference = curvlinops.KFACLinearOperator(
        net, nn.CrossEntropyLoss(), params, [(x, y)], separate_weight_and_bias=False, check_deterministic=False,
        fisher_type={"exact": "type-2", "empirical": "empirical"}[fisher],
    )  # fmt: skip
    eye = torch.eye(sum(p.numel() for p in params), dtype=F64)
    dense = reference @ eye
    optimizer = Kfac(net, lr=0.0, fisher=fisher)
    for layer in optimizer.recorder.layers:
        layer.train()  # while the norm stays in evaluation mode
    optimizer._arm(0)
    optimizer.step(Closure.of(net, nn.CrossEntropyLoss(), x, y))
    start = 0
    for layer in optimizer.recorder.layers:
        rows, columns = layer.weight.flatten(1).shape
        weight = torch.arange(rows * columns).view(rows, columns) + start
        bias = torch.arange(rows)[:, None] + start + rows * columns
        order = torch.cat([weight, bias], 1).flatten()
        state = optimizer.state[layer.weight]
        found = torch.kron(state["output_factor"], state["input_factor"])
        assert_close(found, dense[order][:, order], rtol=1e-9, atol=1e-12)
        start += rows * (columns + 1)
