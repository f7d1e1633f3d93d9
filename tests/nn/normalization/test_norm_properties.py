"""What defines each normalization, and what it does not share with its neighbours."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import trainwell.nn as tn

DOUBLE = {"rtol": 1e-12, "atol": 1e-12}


def sample(*shape: int) -> torch.Tensor:
    return 2 + 3 * torch.randn(shape, dtype=torch.float64)


def test_ghost_batches_are_normalized_alone_and_in_order() -> None:
    x, ghost, plain = sample(10, 3, 2), tn.GhostBatchNorm(3, size=4).double(), nn.BatchNorm1d(3).double()
    expected = torch.cat([plain(part) for part in (x[:4], x[4:7], x[7:])])  # 10 = 4 + 3 + 3
    assert_close(ghost(x), expected, **DOUBLE)
    assert_close(ghost.running_mean, plain.running_mean, **DOUBLE)
    assert_close(ghost.running_var, plain.running_var, **DOUBLE)


def test_one_ghost_batch_is_batch_norm_and_several_are_not() -> None:
    x = sample(8, 3)
    expected = nn.BatchNorm1d(3).double()(x)
    assert_close(tn.GhostBatchNorm(3, size=8).double()(x), expected, **DOUBLE)
    assert (tn.GhostBatchNorm(3, size=4).double()(x) - expected).abs().max() > 0.05  # control
    with pytest.raises(ValueError, match="size=1"):
        tn.GhostBatchNorm(3, size=1)


def test_renorm_is_batch_norm_without_room_and_eval_mode_with_all_of_it() -> None:
    x, y = sample(6, 3, 4), sample(6, 3, 4)
    inf = float("inf")
    narrow, wide = tn.BatchRenorm(3, r_max=1.0, d_max=0.0).double(), tn.BatchRenorm(3, r_max=inf, d_max=inf).double()
    plain = nn.BatchNorm1d(3, momentum=0.01).double()
    assert_close(narrow(x), plain(x), **DOUBLE)
    assert_close(narrow.running_mean, plain.running_mean, **DOUBLE)
    assert_close(narrow.running_var, plain.running_var, **DOUBLE)
    wide(x)
    expected = wide.eval()(y)
    assert_close(wide.train()(y), expected, **DOUBLE)  # both by the statistics that stood before
    assert (narrow(y) - narrow.eval()(y)).abs().max() > 0.5  # control


def test_renorm_gradient_passes_no_correction() -> None:
    """∂L/∂x is batch normalization's times r, as r and d are constants."""
    x = sample(6, 3).requires_grad_()
    grad = torch.randn(6, 3, dtype=torch.float64)
    layer = tn.BatchRenorm(3, r_max=100.0, d_max=100.0).double()
    (actual,) = torch.autograd.grad(layer(x), x, grad)
    (plain,) = torch.autograd.grad(nn.BatchNorm1d(3).double()(x), x, grad)
    r = ((x.var(0, correction=0) + 1e-5) / (1 + 1e-5)).sqrt().detach()  # running variance 1
    assert_close(actual, plain * r, **DOUBLE)
    with pytest.raises(ValueError, match=r"r_max=0\.5"):
        tn.BatchRenorm(3, r_max=0.5)


def test_noise_moves_the_moments_of_every_step() -> None:
    x = sample(4000, 2)
    layer, plain = tn.NoisyBatchNorm(2).double(), nn.BatchNorm1d(2).double()
    steps = torch.stack([layer(x).detach() for _ in range(200)])
    means, deviations = steps.mean(1), steps.std(1)
    # means ~ U(−½, ½): std 0.289, largest near ½; deviations ~ √(U(1, 1.25)² + 2 · 0.01/3)
    assert means.abs().max() < 0.52 and means.std().item() == pytest.approx(0.289, rel=0.15)
    assert deviations.min() > 0.99 and deviations.max() < 1.27 and deviations.std() > 0.05
    assert plain(x).mean(0).abs().max() < 1e-12  # control: without the noise they stand still
    quiet = tn.NoisyBatchNorm(2, mean_range=0.0, scale_range=1.0, jitter=0.0).double()
    assert_close(quiet(x), plain(x), **DOUBLE)
    with pytest.raises(ValueError, match=r"scale_range=0\.5"):
        tn.NoisyBatchNorm(2, scale_range=0.5)


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(5, 3), nn.Conv1d(4, 6, 3, groups=2), nn.Conv2d(2, 3, 3), nn.Conv3d(2, 3, 2)],
    ids=lambda layer: type(layer).__name__,
)
def test_standardized_weights(layer: nn.Module) -> None:
    layer = tn.standardize_weight_(layer.double(), eps=1e-12)
    rows = layer.weight.flatten(1)
    assert_close(rows.mean(1), torch.zeros_like(rows[:, 0]), **DOUBLE)
    assert_close(rows.var(1, correction=0), torch.ones_like(rows[:, 0]), rtol=1e-9, atol=0)
    original = layer.parametrizations.weight.original
    (gradient,) = torch.autograd.grad(layer.weight.pow(3).sum(), original)
    gradient, vectors = gradient.flatten(1), original.detach().flatten(1)
    assert gradient.sum(1).abs().max() < 1e-9 * gradient.abs().max()
    assert (gradient * vectors).sum(1).abs().max() < 1e-9 * gradient.abs().max()  # ∂L/∂w ⊥ w up to ε
    before = layer.weight.detach().clone()
    with torch.no_grad():
        original.mul_(7).add_(3)
    assert_close(layer.weight.detach(), before, rtol=1e-8, atol=1e-8)


def test_plain_weights_have_gradients_along_themselves() -> None:  # control
    weight = nn.Linear(5, 3).double().weight
    (gradient,) = torch.autograd.grad(weight.pow(3).sum(), weight)
    assert (gradient * weight).sum(1).abs().min() > 1e-3 * gradient.abs().max()


def test_weights_that_cannot_be_standardized() -> None:
    with pytest.raises(ValueError, match="ConvTranspose1d has no weight"):
        tn.standardize_weight_(nn.ConvTranspose1d(2, 2, 3))
    with pytest.raises(ValueError, match="one value per output"):
        tn.standardize_weight_(nn.Conv2d(4, 4, 1, groups=4))


@pytest.mark.parametrize(("over", "axis"), [("features", 1), ("batch", 0)])
def test_columns_or_rows_are_standardized_and_not_both(over: str, axis: int) -> None:
    x, eps = sample(30, 20), 1e-5
    y = tn.ColumnNorm(over, eps=eps)(x)
    variance = x.var(axis, correction=0)
    assert y.mean(axis).abs().max() < 1e-14
    assert_close(y.var(axis, correction=0), variance / (variance + eps), **DOUBLE)
    assert y.mean(1 - axis).abs().max() > 0.1  # control: the other axis
    library = nn.functional.layer_norm(x, (20,)) if axis else nn.functional.batch_norm(x, None, None, training=True)
    assert_close(y, library, **DOUBLE)


def test_over_features_a_sample_stands_alone() -> None:
    x = sample(8, 5)
    alone = [torch.cat([tn.ColumnNorm(over)(x[i : i + 2])[:1] for i in range(7)]) for over in ("features", "batch")]
    assert torch.equal(alone[0], tn.ColumnNorm("features")(x)[:7])
    assert (alone[1] - tn.ColumnNorm("batch")(x)[:7]).abs().max() > 0.1  # control
    with pytest.raises(ValueError, match="over='rows'"):
        tn.ColumnNorm("rows")
