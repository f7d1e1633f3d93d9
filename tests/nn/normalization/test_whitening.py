"""Whitened channels are uncorrelated with variance one, to the accuracy that the method promises."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.nn import DecorrelatedBatchNorm, IterativeNorm

LAYERS = {
    "zca": lambda c, **options: DecorrelatedBatchNorm(c, method="zca", **options),
    "cholesky": lambda c, **options: DecorrelatedBatchNorm(c, method="cholesky", **options),
    "newton": lambda c, **options: IterativeNorm(c, steps=12, **options),
}


def with_covariance(eigenvalues: torch.Tensor, n: int = 300) -> torch.Tensor:
    """A float64 sample of mean 5 whose covariance has exactly these eigenvalues, in random directions."""
    d = len(eigenvalues)
    white, _ = torch.linalg.qr(torch.cat([torch.ones(n, 1), torch.randn(n, d)], 1).double())
    rotation, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64))
    return 5 + n**0.5 * white[:, 1:] @ (rotation * eigenvalues.double().sqrt()).mT


def covariance(y: torch.Tensor) -> torch.Tensor:
    """Covariance of the channels of y, shape (N, C, *)."""
    return torch.cov(y.transpose(0, 1).flatten(1), correction=0)


def off_by(y: torch.Tensor) -> float:
    return float((torch.linalg.eigvalsh(covariance(y.detach())) - 1).abs().max())


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("groups", [1, 2])
def test_covariance_is_the_identity_within_groups(name: str, groups: int) -> None:
    x = with_covariance(torch.linspace(0.5, 2, 6)).unflatten(0, (20, 3, 5)).permute(0, 3, 1, 2)  # (20, 6, 3, 5)
    y = LAYERS[name](6, groups=groups, eps=1e-12).double()(x)
    assert_close(y.transpose(0, 1).flatten(1).mean(1), torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-12)
    whole = covariance(y)
    for block in range(groups):
        part = slice(block * 6 // groups, (block + 1) * 6 // groups)
        assert_close(whole[part, part], torch.eye(6 // groups, dtype=torch.float64), rtol=0, atol=1e-10)
    if groups == 2:  # control: across groups the correlations stay
        assert whole[:3, 3:].abs().max() > 0.05


def test_batch_norm_leaves_the_correlations() -> None:  # control
    x = with_covariance(torch.tensor([4.0, 1.0, 0.1, 0.1]))
    y = nn.BatchNorm1d(4).double()(x)
    assert_close(covariance(y).diagonal(), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-3)
    assert (covariance(y) - torch.eye(4)).abs().max() > 0.2


@pytest.mark.parametrize(
    ("eigenvalues", "steps", "error"),
    [
        (torch.ones(64), 5, 0.41),
        (torch.ones(64), 8, 2.1e-4),
        (torch.logspace(0, -2, 8), 10, 3.7e-6),
    ],
)
def test_reference_errors_of_newton(eigenvalues: torch.Tensor, steps: int, error: float) -> None:
    y = IterativeNorm(len(eigenvalues), steps=steps, eps=1e-14).double()(with_covariance(eigenvalues))
    assert off_by(y) == pytest.approx(error, rel=0.03)  # two digits are given


def test_more_steps_do_no_harm() -> None:
    x = with_covariance(torch.logspace(0, -2, 8)).float()
    layer = IterativeNorm(8, steps=60, eps=1e-9)
    assert off_by(layer(x).double()) < 1e-3
    scaled = torch.cov(x.mT, correction=0)
    scaled, root = scaled / scaled.trace(), torch.eye(8)
    for _ in range(60):  # control: the published recursion, in the same float32
        root = 0.5 * (3 * root - root @ root @ root @ scaled)
    assert not (root @ scaled @ root.mT - torch.eye(8)).abs().max() < 1


def test_each_eigenvalue_follows_the_scalar_iteration() -> None:
    eigenvalues = torch.logspace(0, -3, 5, dtype=torch.float64)
    scaled, p = eigenvalues / eigenvalues.sum(), torch.ones(5, dtype=torch.float64)
    for _ in range(4):
        p = 0.5 * (3 * p - p**3 * scaled)
    y = IterativeNorm(5, steps=4, eps=1e-15).double()(with_covariance(eigenvalues))
    expected = (p.square() * scaled).sort().values
    assert_close(torch.linalg.eigvalsh(covariance(y)), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("method", ["zca", "cholesky"])
def test_eps_shrinks_the_eigenvalues(method: str) -> None:
    eigenvalues = torch.tensor([2.0, 1.0, 0.1], dtype=torch.float64)
    y = DecorrelatedBatchNorm(3, method=method, eps=0.5).double()(with_covariance(eigenvalues))
    expected = (eigenvalues / (eigenvalues + 0.5)).sort().values
    assert_close(torch.linalg.eigvalsh(covariance(y)), expected, rtol=1e-10, atol=0)


def test_zca_is_symmetric_and_cholesky_triangular() -> None:
    x = with_covariance(torch.tensor([3.0, 1.0, 0.2]))
    zca, cholesky = (DecorrelatedBatchNorm(3, method=m, momentum=1.0).double() for m in ("zca", "cholesky"))
    near, far = ((layer(x) - (x - 5)).square().sum() for layer in (zca, cholesky))
    assert near < far  # no whitening is closer to the data than ZCA
    (root,), (factor,) = zca.running_whitening, cholesky.running_whitening
    assert_close(root, root.mT, rtol=1e-12, atol=1e-12)
    assert factor.triu(1).abs().max() == 0
    rotation = factor @ torch.linalg.inv(root)
    assert_close(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", LAYERS)
def test_one_channel_a_group_is_batch_norm(name: str) -> None:
    x = torch.randn(8, 4, 5, dtype=torch.float64) * 3 + 1
    assert_close(LAYERS[name](4, groups=4).double()(x), nn.BatchNorm1d(4).double()(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("n", [7, 2])  # of 4 channels: a full covariance, and a singular one
def test_gradient_by_differences(name: str, n: int) -> None:
    layer = LAYERS[name](4, eps=0.1).double()
    assert torch.autograd.gradcheck(layer, torch.randn(n, 4, dtype=torch.float64, requires_grad=True))


def test_gradient_is_finite_where_eigenvalues_coincide() -> None:
    x = with_covariance(torch.ones(4), n=40).requires_grad_()
    DecorrelatedBatchNorm(4).double()(x).pow(3).sum().backward()
    assert x.grad.isfinite().all()
    cov = torch.eye(4, dtype=torch.float64, requires_grad=True)  # control: eigh's own derivative is not
    values, vectors = torch.linalg.eigh(cov)
    (gradient,) = torch.autograd.grad(((vectors * values.rsqrt()) @ vectors.mT).pow(3).sum(), cov)
    assert not gradient.isfinite().all()


@pytest.mark.parametrize("name", LAYERS)
def test_running_statistics_and_eval_mode(name: str) -> None:
    x = with_covariance(torch.tensor([3.0, 1.0, 0.2, 0.5]))
    layer = LAYERS[name](4, groups=2, momentum=0.25).double()
    y = layer(x)
    assert_close(layer.running_mean, 0.25 * x.mean(0), rtol=1e-12, atol=1e-12)
    for _ in range(200):  # (1 − 0.25)²⁰⁰ = 1e-25
        layer(x)
    layer.eval()
    state = copy.deepcopy(layer.state_dict())
    assert_close(layer(x), y, rtol=1e-9, atol=1e-9)
    assert_close(layer(x[:1]), y[:1], rtol=1e-9, atol=1e-9)  # a batch of one, which training refuses
    assert all(torch.equal(state[key], value) for key, value in layer.state_dict().items())
    other = LAYERS[name](4, groups=2).double().eval()
    other.load_state_dict(state)
    assert torch.equal(other(x), layer(x))


@pytest.mark.parametrize("name", LAYERS)
def test_bfloat16_and_autocast(name: str) -> None:
    x = with_covariance(torch.tensor([3.0, 1.0, 0.2, 0.5])).float()
    layer = LAYERS[name](4)
    y = layer(x)
    low = copy.deepcopy(layer).bfloat16()
    assert low(x.bfloat16()).dtype == torch.bfloat16
    assert_close(layer(x.bfloat16()).float(), y, rtol=0, atol=0.3)  # inputs near 5 are rounded by 0.016, std 0.45
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(layer(x), y, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it compiles
def test_compiled_whole(name: str, training: bool) -> None:
    x = torch.randn(16, 4, 2)
    layer = LAYERS[name](4, groups=2).train(training)
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend="aot_eager")
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    for module, z in zip((layer, compiled), inputs, strict=True):
        module(z).pow(3).sum().backward()
    assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-4, atol=1e-4)
    assert_close(compiled.running_whitening, layer.running_whitening)


@pytest.mark.parametrize("kind", [DecorrelatedBatchNorm, IterativeNorm])
def test_bad_arguments_are_refused(kind: type) -> None:
    for options, reason in [
        ({"groups": 4}, "6 channels do not divide into groups=4"),
        ({"groups": 0}, "groups=0"),
        ({"eps": 0.0}, "eps=0.0"),
        ({"momentum": 0.0}, "momentum=0.0"),
    ]:
        with pytest.raises(ValueError, match=reason):
            kind(6, **options)
    with pytest.raises(ValueError, match="one value per channel"):
        kind(6)(torch.randn(1, 6))
    with pytest.raises(ValueError, match=r"shape \(4, 5\)"):
        kind(6)(torch.randn(4, 5))
    with pytest.raises(ValueError, match="method='pca'"):
        DecorrelatedBatchNorm(6, method="pca")
    with pytest.raises(ValueError, match="steps=0"):
        IterativeNorm(6, steps=0)
