"""Three paths make the gradient of batch normalization; the deck's formula for the second does not."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from trainwell.nn import batchnorm_gradients, normalize_batch

SHAPES = [(8, 3), (4, 3, 5), (3, 2, 4, 4), (2, 2, 2, 3, 2)]


def case(shape: tuple[int, ...]) -> list[torch.Tensor]:
    """x far from zero mean, γ and β, float64."""
    x = 3 + 2 * torch.randn(shape, dtype=torch.float64)
    return [t.requires_grad_() for t in (x, torch.rand(shape[1]).double() + 0.5, torch.randn(shape[1]).double())]


def relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((actual - expected).norm() / expected.norm()).detach())


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_to_autograd(shape: tuple[int, ...]) -> None:
    x, weight, bias = inputs = case(shape)
    grad = torch.randn(shape, dtype=torch.float64)
    reference = F.batch_norm(x, None, None, weight, bias, training=True)
    y = normalize_batch(x, weight, bias)
    assert relative(y, reference) < 1e-12
    expected = torch.autograd.grad(reference, inputs, grad)
    for actual, wanted in zip(torch.autograd.grad(y, inputs, grad), expected, strict=True):
        assert relative(actual, wanted) < 1e-12
    paths = batchnorm_gradients(x.detach(), weight.detach(), grad)
    assert relative(paths.input, expected[0]) < 1e-12
    assert relative(paths.weight, expected[1]) < 1e-12 and relative(paths.bias, expected[2]) < 1e-12


def test_first_and_second_derivative_by_differences() -> None:
    inputs = case((5, 2, 3))
    assert torch.autograd.gradcheck(normalize_batch, inputs)
    assert torch.autograd.gradgradcheck(normalize_batch, inputs)


def test_gradient_has_no_component_along_one_nor_along_the_output() -> None:
    x, weight, _ = case((64, 4))
    grad = torch.randn(64, 4, dtype=torch.float64)
    gradient = batchnorm_gradients(x.detach(), weight.detach(), grad, eps=1e-9).input
    normalized = F.batch_norm(x.detach(), None, None, training=True, eps=1e-9)
    assert gradient.sum(0).abs().max() < 1e-12
    assert (gradient * normalized).sum(0).abs().max() < 1e-7  # O(ε · ‖u‖)


def test_the_deck_and_fewer_paths_are_rejected() -> None:  # control
    x, weight, _ = (t.detach() for t in case((16, 3)))
    grad = torch.randn(16, 3, dtype=torch.float64)
    paths = batchnorm_gradients(x, weight, grad)
    centred = x - x.mean(0)
    s = (centred.square().mean(0) + 1e-5).sqrt()
    deck = -0.5 * (grad * weight).sum(0) / s**3 * 2 * centred / 16  # K: Σ u without the factor (z − μ)
    assert relative(paths.direct + deck + paths.through_mean, paths.input) > 0.1
    assert relative(paths.direct, paths.input) > 0.1  # μ and σ² held constant
    assert relative(paths.direct + paths.through_mean, paths.input) > 0.05  # σ² held constant


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it compiles
def test_compiled_whole() -> None:
    inputs = case((6, 3))
    compiled = torch.compile(normalize_batch, fullgraph=True, backend="aot_eager")
    grad = torch.randn(6, 3, dtype=torch.float64)
    for actual, expected in zip(
        torch.autograd.grad(compiled(*inputs), inputs, grad),
        torch.autograd.grad(normalize_batch(*inputs), inputs, grad),
        strict=True,
    ):
        assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "channels", "eps", "reason"),
    [
        ((1, 3), 3, 1e-5, "one value per channel"),
        ((4, 3), 2, 1e-5, r"weight \(2,\)"),
        ((4, 3), 3, 0.0, "eps=0.0"),
    ],
)
def test_bad_input_is_refused(shape: tuple[int, ...], channels: int, eps: float, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        normalize_batch(torch.randn(shape), torch.ones(channels), torch.zeros(channels), eps)
