"""Smooth problems with known minima beside those of Moré, Garbow & Hillstrom: quadratics and a logistic regression."""

import torch
from mgh_problems import TestProblem
from torch import Tensor


def quadratic(condition_number: float, n: int = 20, seed: int = 0) -> TestProblem:
    """½ Σ λᵢ (Q(x − 1))ᵢ² with λ from 1 to κ at equal ratios, in rotated axes, from 0; written as residuals."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
    root = torch.logspace(0, torch.log10(torch.tensor(condition_number)).item() / 2, n, dtype=torch.float64)

    def residuals(x: Tensor) -> Tensor:
        return root * (q @ (x - 1)) / 2**0.5

    return TestProblem(f"quadratic_{condition_number:.0e}", 0, residuals, (0.0,) * n, (0.0,))


QUADRATICS = [quadratic(10.0**k) for k in range(1, 9)]


class Logistic(TestProblem):
    """Mean logistic loss of 200 samples in 10 dimensions with unequal scales, and 1e-3/2 ‖w‖²."""

    def fun(self, x: Tensor) -> Tensor:
        inputs, sign = _samples()
        return torch.nn.functional.softplus(-sign * (inputs @ x)).mean() + 0.5e-3 * x.square().sum()


def _samples() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(200, 10, generator=generator, dtype=torch.float64) * torch.logspace(-1, 1, 10).double()
    truth = torch.randn(10, generator=generator, dtype=torch.float64)
    noise = torch.randn(200, generator=generator, dtype=torch.float64)
    return inputs, torch.sign(inputs @ truth + 3 * noise)


def _lowest(problem: Logistic) -> float:
    """Newton's method by hand, in closed form for the Hessian: XᵀSX/N + λI."""
    inputs, sign = _samples()
    w = problem.x0()
    for _ in range(60):
        p = torch.sigmoid(-sign * (inputs @ w))
        gradient = -(inputs.T @ (sign * p)) / len(sign) + 1e-3 * w
        hessian = (inputs.T * (p * (1 - p))) @ inputs / len(sign) + 1e-3 * torch.eye(10, dtype=torch.float64)
        step = torch.linalg.solve(hessian, gradient)
        share = 1.0
        while problem.fun(w - share * step) > problem.fun(w) and share > 1e-12:
            share /= 2
        w = w - share * step
    return float(problem.fun(w))


_unknown = Logistic("logistic", 0, lambda x: x, (0.0,) * 10, ())
LOGISTIC = Logistic("logistic", 0, lambda x: x, (0.0,) * 10, (_lowest(_unknown),))
