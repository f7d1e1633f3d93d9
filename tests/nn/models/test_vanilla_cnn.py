"""The vanilla CNN: its start is critical and isometric, checkpoints change nothing, 10 000 layers fit into 2 GiB."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from trainwell.init import delta_orthogonal_
from trainwell.nn import trace, vanilla_cnn
from trainwell.nn.models.vanilla import second_moment_of
from trainwell.theory import critical


def test_second_moment_falls_with_the_depth():
    assert second_moment_of(10_000) == pytest.approx(80_000**-0.5)
    assert second_moment_of(800) == pytest.approx(1 / 80)
    assert second_moment_of(1) == second_moment_of(0) == 0.1


def test_chosen_second_moment_spreads_squared_singular_values_by_one():
    """Var φ'(√q z)² ≈ 8 q² a layer, for tanh on the edge of chaos: 1 over all layers, by quadrature to 10 %."""
    z, weights = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(101))
    for depth in (100_000, 1_000_000):
        slope = 1 - torch.tanh(z * second_moment_of(depth) ** 0.5).square()
        mean, square = (float((weights * slope**power).sum() / weights.sum()) for power in (2, 4))
        assert depth * (square / mean**2 - 1) == pytest.approx(1, rel=0.1)


def test_kernels_are_delta_orthogonal_at_the_edge_of_chaos():
    model = vanilla_cnn((3, 8, 8), 4, width=16, depth=9)
    sigma_w, sigma_b = critical("tanh", second_moment_of(9))
    torch.manual_seed(5)
    deep = vanilla_cnn((3, 8, 8), 4, width=16, depth=1)
    for module in model.segments.modules():
        if isinstance(module, nn.Conv2d):
            centre = module.weight[:, :, 1, 1]
            assert module.weight.count_nonzero() == centre.count_nonzero()
            assert_close(torch.linalg.svdvals(centre), torch.full((16,), sigma_w))
    biases = torch.cat([m.bias for m in model.segments.modules() if isinstance(m, nn.Conv2d)])
    assert biases.std().item() == pytest.approx(sigma_b, rel=4 * (0.5 / biases.numel()) ** 0.5)
    weight = deep.segments[0][1].weight
    torch.manual_seed(5)
    nn.Conv2d(16, 16, 3)  # its own start comes first
    sigma_w, _ = critical("tanh", second_moment_of(1))
    assert torch.equal(weight, delta_orthogonal_(torch.empty(16, 16, 3, 3), sigma_w))


@pytest.mark.parametrize("activation", ["tanh", "hard_tanh", "identity"])
def test_signal_stays_at_the_second_moment(activation):
    depth = 64
    model = vanilla_cnn((3, 8, 8), 4, width=64, depth=depth, activation=activation)
    with torch.no_grad():
        z = model.stem(torch.randn(8, 3, 8, 8))
        q = second_moment_of(depth)
        assert z.square().mean().item() == pytest.approx(q, rel=0.3)
        assert model.segments(z).square().mean().item() == pytest.approx(q, rel=0.5)


def test_halving_the_image_keeps_the_second_moment():
    stem = vanilla_cnn((3, 32, 32), 4, width=64, depth=64).stem
    assert len(stem) == 3  # two convolutions of stride 2
    with torch.no_grad():
        moment = stem(torch.randn(8, 3, 32, 32)).square().mean().item()
    assert moment == pytest.approx(second_moment_of(64), rel=0.3)


def gradient_ratio(model: nn.Module) -> float:
    """Norm of the gradient before the deep part over that behind it."""
    z = model.stem(torch.randn(4, 1, 8, 8)).detach().requires_grad_()
    h = model.segments(z)
    direction = torch.randn_like(h)
    (gradient,) = torch.autograd.grad(h, z, direction)
    return float(gradient.norm() / direction.norm())


def pulled_back(model: nn.Module) -> torch.Tensor:
    """Singular values of eight orthonormal directions behind the deep part, pulled back through it."""
    z = model.stem(torch.randn(1, 1, 8, 8)).detach().requires_grad_()
    h = model.segments(z)
    directions = torch.linalg.qr(torch.randn(h.numel(), 8))[0].T
    gradients = [torch.autograd.grad(h, z, d.view_as(h), retain_graph=True)[0].flatten() for d in directions]
    return torch.linalg.svdvals(torch.stack(gradients).double())


def test_all_gradients_keep_their_norm_through_200_layers_and_gaussian_kernels_lose_most():
    model = vanilla_cnn((1, 8, 8), 4, width=16, depth=200, checkpointed=False)
    values = pulled_back(model)
    assert values.min() > 0.6 and values.max() < 1.8 and values.max() / values.min() < 1.5
    sigma_w = critical("tanh", second_moment_of(200)).sigma_w
    with torch.no_grad():
        for module in model.segments.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.normal_(std=sigma_w / (9 * 16) ** 0.5)
    values = pulled_back(model)
    assert values.max() / values.min() > 3  # control: orthogonality removed


def test_off_the_edge_of_chaos_the_gradient_is_lost():  # control: σ_w a tenth smaller
    model = vanilla_cnn((1, 8, 8), 4, width=16, depth=100)
    with torch.no_grad():
        for module in model.segments.modules():
            if isinstance(module, nn.Conv2d):
                module.weight *= 0.9
    assert gradient_ratio(model) < 0.01


def test_checkpoints_change_no_bit():
    torch.manual_seed(0)
    plain = vanilla_cnn((1, 8, 8), 4, width=8, depth=100, checkpointed=False)
    torch.manual_seed(0)
    saving = vanilla_cnn((1, 8, 8), 4, width=8, depth=100)
    assert saving.checkpointed and not vanilla_cnn((1, 8, 8), 4, depth=99, width=4).checkpointed
    assert [len(segment) for segment in saving.segments] == [20] * 10  # √100 layers of two modules
    x, y = torch.randn(4, 1, 8, 8), torch.arange(4)
    losses = []
    for model in (plain, saving):
        losses.append(F.cross_entropy(model(x), y))
        losses[-1].backward()
    assert torch.equal(*losses)
    assert all(torch.equal(p.grad, q.grad) for p, q in zip(plain.parameters(), saving.parameters(), strict=True))


def test_images_are_halved_to_eight_pixels():
    for side, last in ((5, 5), (8, 8), (9, 5), (28, 7), (32, 8), (200, 7)):
        assert vanilla_cnn((1, side, side), 3, width=4, depth=1).stem(torch.zeros(1, 1, side, side)).shape[-1] == last


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_is_traced_and_pads_as_asked(padding):
    model = vanilla_cnn((3, 12, 9), 4, width=8, depth=120, padding=padding)
    chain = trace(model, torch.randn(1, 3, 12, 9))
    assert chain.incomplete == "" and chain.parameters == sum(p.numel() for p in model.parameters())
    assert sum(layer.kind == "conv" for layer in chain.layers) == 122 - 1
    assert {m.padding_mode for m in model.modules() if isinstance(m, nn.Conv2d)} == {padding}


def test_circular_padding_commutes_with_shifts():
    model = vanilla_cnn((1, 8, 8), 4, width=8, depth=5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    x = torch.randn(2, 1, 8, 8)
    assert_close(model(x.roll(3, 3)), model(x), rtol=1e-4, atol=1e-5)  # the head averages over pixels
    zeros = vanilla_cnn((1, 8, 8), 4, width=8, depth=5, padding="zeros")
    zeros.load_state_dict(model.state_dict())
    assert (zeros(x.roll(3, 3)) - zeros(x)).abs().max() > 1e-3  # control


def test_works_under_torch_func_without_checkpoints():
    model = vanilla_cnn((1, 8, 8), 4, width=4, depth=4)
    parameters, x = dict(model.named_parameters()), torch.randn(3, 1, 8, 8)

    def loss(given: dict[str, torch.Tensor], sample: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(model, given, (sample[None],)).square().sum()

    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    model(x).square().sum().backward()
    assert_close(gradients["head.3.weight"].sum(0), model.head[3].weight.grad)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"vanilla_cnn takes images .* shape \(7,\)"):
        vanilla_cnn((7,), 3)
    with pytest.raises(ValueError, match="padding='reflect' is not known"):
        vanilla_cnn((1, 8, 8), 3, padding="reflect")
    with pytest.raises(ValueError, match="sigmoid has no edge of chaos"):
        vanilla_cnn((1, 8, 8), 3, activation="sigmoid")
    with pytest.raises(ValueError, match="activation='maxout' changes the number of channels"):
        vanilla_cnn((1, 8, 8), 3, activation="maxout")


MEMORY = """
import sys, torch
from trainwell.nn import vanilla_cnn
from trainwell.training.memory import peak_bytes
depth, batch, checkpointed = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
torch.set_num_threads(1)
model = vanilla_cnn((1, 28, 28), 10, width=32, depth=depth, checkpointed=checkpointed)
built = peak_bytes()
model(torch.randn(batch, 1, 28, 28)).square().sum().backward()
first, last = (model.segments[i][1].weight.grad.norm().item() for i in (0, -1))
assert all(p.grad.isfinite().all() for p in model.parameters())
print(built / 2**20, peak_bytes() / 2**20, first / last)
"""


def measured(depth: int, batch: int, checkpointed: bool = True) -> tuple[float, float, float]:
    """MiB after building, MiB at the peak, and the first layer's gradient over the last segment's."""
    command = [sys.executable, "-c", MEMORY, str(depth), str(batch), str(checkpointed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    built, peak, ratio = map(float, done.stdout.split())
    return built, peak, ratio


def kept_for_backward(model: nn.Module, x: torch.Tensor) -> int:
    """Bytes of the activations that the forward pass keeps; inside checkpoints nothing is kept."""
    weights = {p.data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(x).square().sum()
    total = sum(kept.values())
    loss.backward()
    return total


def test_500_layers_run_forward_and_backward_and_keep_next_to_nothing():
    x = torch.randn(4, 1, 28, 28)
    activations = 500 * 4 * 32 * 49 * 4  # bytes that φ gives in 500 layers, all of which their gradients need
    model = vanilla_cnn((1, 28, 28), 10, depth=500)
    assert kept_for_backward(model, x) < 0.1 * activations
    gradients = [segment[1].weight.grad.norm() for segment in model.segments]
    assert max(gradients) < 10 * min(gradients)
    model.checkpointed = False
    assert kept_for_backward(model, x) >= activations  # control


@pytest.mark.slow
def test_checkpoints_save_measured_memory():
    _, peak, _ = measured(500, 64)
    _, control, _ = measured(500, 64, checkpointed=False)
    activations = 500 * 64 * 32 * 49 * 4 / 2**20  # 191 MiB
    assert control - peak > 0.7 * activations


@pytest.mark.slow
def test_10_000_layers_run_forward_and_backward_in_less_than_two_gibibytes():
    built, peak, ratio = measured(10_000, 4)
    assert peak < 2048, f"{built:.0f} MiB built, {peak:.0f} MiB at the peak"
    assert 0.01 < ratio < 100
