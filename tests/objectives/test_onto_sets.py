import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch.testing import assert_close

from trainwell.objectives import (
    onto_box,
    onto_l1_ball,
    onto_l2_ball,
    onto_max_norm,
    onto_simplex,
    onto_spectral_ball,
)

SETS = {  # projection, and how far a point is outside
    "l2": (lambda w: onto_l2_ball(w, 1.5), lambda w: w.norm() - 1.5),
    "l1": (lambda w: onto_l1_ball(w, 1.5), lambda w: w.abs().sum() - 1.5),
    "box": (lambda w: onto_box(w, -0.3, 0.8), lambda w: torch.maximum(w - 0.8, -0.3 - w).max()),
    "simplex": (onto_simplex, lambda w: torch.maximum((w.sum(-1) - 1).abs().max(), -w.min())),
    "max_norm": (lambda w: onto_max_norm(w, 0.7), lambda w: w.norm(dim=1).max() - 0.7),
    "spectral": (onto_spectral_ball, lambda w: torch.linalg.matrix_norm(w, 2) - 1),
}
every = pytest.mark.parametrize("name", SETS)
matrices = st.lists(st.floats(-10, 10), min_size=12, max_size=12).map(
    lambda values: torch.tensor(values, dtype=torch.float64).view(4, 3)
)


@every
@settings(deadline=None)  # the first call is slow
@given(point=matrices, other=matrices)
def test_it_is_the_nearest_point(name, point, other):
    project, outside = SETS[name]
    nearest, inside = project(point), project(other)
    assert outside(nearest) <= 1e-12
    assert_close(project(nearest), nearest, rtol=1e-12, atol=1e-12)  # idempotent
    angle = ((point - nearest) * (inside - nearest)).sum()  # ≤ 0 for all of the set: the nearest point of a convex set
    assert angle <= 1e-10
    assert (nearest - inside).norm() <= (point - other).norm() + 1e-12  # and no distance grows


@every
def test_a_step_back_towards_the_point_leaves_the_set(name):  # control: nothing nearer in the same direction
    project, outside = SETS[name]
    point = 5 * torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    nearest = project(point)
    assert outside(point) > 0.1 and outside(nearest + 0.1 * (point - nearest)) > 1e-3


@pytest.mark.parametrize("name", ["l1", "simplex"])
def test_scipy_finds_the_same_point(name):
    rng = np.random.default_rng(0)
    for point in 2 * rng.standard_normal((5, 4)):
        if name == "simplex":
            constraints, bounds, start = {"type": "eq", "fun": lambda w: w.sum() - 1}, [(0, None)] * 4, np.full(4, 0.25)
            found = minimize(lambda w, p=point: ((w - p) ** 2).sum(), start, bounds=bounds, constraints=constraints).x
        else:  # w = positive − negative part
            constraints = {"type": "ineq", "fun": lambda w: 1.5 - w.sum()}
            halves = minimize(
                lambda w, p=point: ((w[:4] - w[4:] - p) ** 2).sum(),
                np.zeros(8),
                bounds=[(0, None)] * 8,
                constraints=constraints,
            ).x
            found = halves[:4] - halves[4:]
        assert SETS[name][0](torch.from_numpy(point)).numpy() == pytest.approx(found, abs=2e-4)


def test_closed_forms():
    assert_close(onto_l2_ball(torch.tensor([3.0, 4.0])), torch.tensor([0.6, 0.8]))
    assert_close(onto_l1_ball(torch.tensor([3.0, -1.0, 0.5]), 2.0), torch.tensor([2.0, 0.0, 0.0]))
    assert_close(onto_simplex(torch.tensor([[0.5, 0.5], [2.0, 0.0]])), torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    assert_close(onto_simplex(torch.tensor([1e6, 1e6])), torch.tensor([0.5, 0.5]))
    assert_close(onto_spectral_ball(torch.diag(torch.tensor([3.0, 0.5]))), torch.diag(torch.tensor([1.0, 0.5])))
    assert_close(
        onto_max_norm(torch.tensor([[[3.0, 4.0]], [[0.3, 0.4]]]), 1.0), torch.tensor([[[0.6, 0.8]], [[0.3, 0.4]]])
    )


def test_dividing_by_the_largest_singular_value_is_farther():  # control: what spectral normalization does
    weight = torch.diag(torch.tensor([3.0, 0.5]))
    assert (weight - weight / 3).norm() > (weight - onto_spectral_ball(weight)).norm() + 0.02


@every
def test_zero_stays_finite_and_the_argument_is_left_alone(name):
    weight = torch.zeros(4, 3)
    assert SETS[name][0](weight).isfinite().all()
    weight = torch.full((4, 3), 9.0)
    SETS[name][0](weight)
    assert (weight == 9).all()


def test_projected_gradient_ends_on_the_boundary_and_a_penalty_beyond_it():  # G16: ½(w − a)² + ½μ(w − c)₊²
    a, c, mu = torch.tensor([3.0], dtype=torch.float64), 1.0, 9.0
    projected, penalized = torch.zeros_like(a), torch.zeros_like(a)
    for _ in range(500):
        projected = onto_box(projected - 0.05 * (projected - a), -c, c)
        penalized = penalized - 0.05 * ((penalized - a) + mu * (penalized - c).clamp_min(0))
    assert float(projected) == c
    assert float(penalized) - c == pytest.approx((3 - c) / (1 + mu), rel=1e-9)


def test_errors():
    with pytest.raises(ValueError, match="low 1 is above high 0"):
        onto_box(torch.zeros(1), 1, 0)
    with pytest.raises(ValueError, match="size of the set is -1"):
        onto_l2_ball(torch.zeros(1), -1)
    with pytest.raises(ValueError, match="no matrix"):
        onto_max_norm(torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match="no vectors"):
        onto_simplex(torch.zeros(()))
