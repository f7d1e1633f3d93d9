import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import (
    RETRACTIONS,
    constraint_hook,
    onto_stiefel,
    retract,
    stiefel_step,
    tangent,
    tangent_gradients_,
)

every = pytest.mark.parametrize("method", RETRACTIONS)
shapes = pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4), (5, 2, 3, 3)])


def matrix(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def unevenness(weight):
    return (torch.linalg.svdvals(weight.flatten(1)) - 1).abs().max()


@shapes
def test_tangent_vectors_keep_the_gram_matrix_to_first_order_and_their_rest_is_normal(shape):
    w, g = onto_stiefel(matrix(*shape)), matrix(*shape, seed=1)
    xi = tangent(w, g)
    flat, step = (t.flatten(1) if t.flatten(1).shape[0] >= t.flatten(1).shape[1] else t.flatten(1).T for t in (w, xi))
    assert (flat.T @ step + step.T @ flat).abs().max() < 1e-12
    assert_close(tangent(w, xi), xi, rtol=1e-12, atol=1e-12)  # a projection
    assert abs((xi * (g - xi)).sum()) < 1e-10  # orthogonal
    assert (flat.T @ g.flatten(1).reshape(flat.shape)).shape  # shapes fit


@every
@shapes
def test_retractions_stay_on_the_manifold_and_agree_with_the_step_to_first_order(method, shape):
    w = onto_stiefel(matrix(*shape))
    xi = tangent(w, matrix(*shape, seed=1))
    errors = []
    for t in (1e-2, 1e-3):
        moved = retract(w, t * xi, method=method)
        assert moved.shape == w.shape and unevenness(moved) < 1e-12
        errors.append((moved - w - t * xi).norm())
    assert 50 < errors[0] / errors[1] < 200  # the error falls as t²: 100
    assert unevenness(w + 1e-2 * xi) > 1e-6  # control: without the retraction
    assert_close(retract(w, 0 * xi, method=method), w, rtol=1e-12, atol=1e-12)


@every
def test_descent_solves_the_procrustes_problem(method):
    a, b = matrix(20, 5), matrix(20, 5, seed=1)
    u, _, vh = torch.linalg.svd(a.T @ b)
    best = u @ vh  # argmin ‖AW − B‖_F over orthogonal W
    w = best @ retract(torch.eye(5).double(), tangent(torch.eye(5).double(), 0.3 * matrix(5, 5, seed=2)))
    assert (w - best).norm() > 0.1
    for _ in range(400):
        w = stiefel_step(w, 2 * a.T @ (a @ w - b), 0.01, method=method)
    assert_close(w, best, rtol=1e-7, atol=1e-7)
    assert unevenness(w) < 1e-12


def test_hooks_make_sgd_riemannian_descent():
    a, b = matrix(20, 5), matrix(20, 5, seed=1)
    layer = nn.Linear(5, 5, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(onto_stiefel(matrix(5, 5, seed=3)))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    optimizer.register_step_pre_hook(lambda *_: tangent_gradients_(layer))
    optimizer.register_step_post_hook(constraint_hook(layer, "orthogonal"))
    (layer(a) - b).square().sum().backward()
    expected = stiefel_step(layer.weight.detach(), layer.weight.grad.clone(), 0.01)
    optimizer.step()
    assert_close(layer.weight.detach(), expected, rtol=1e-12, atol=1e-12)


def test_the_polar_factor_is_the_nearest_and_its_gain_scales_it():
    w = matrix(5, 3)
    nearest = onto_stiefel(w)
    assert all((w - nearest).norm() <= (w - torch.linalg.qr(matrix(5, 3, seed=s)).Q).norm() for s in range(1, 30))
    assert_close(onto_stiefel(w, 2.0), 2 * nearest)
    assert_close(tangent(2 * nearest, w), tangent(nearest, w), rtol=1e-12, atol=1e-12)


def test_errors():
    with pytest.raises(ValueError, match="no retraction is called 'exp'"):
        retract(torch.eye(3), torch.eye(3), method="exp")
    with pytest.raises(ValueError, match="no matrix"):
        onto_stiefel(torch.zeros(3))
