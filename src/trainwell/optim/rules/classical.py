"""Gradient descent, heavy ball and Nesterov's step: three settings of ``torch.optim.SGD``, each under its own name.

    gradient descent   x ← x − η g(x)
    heavy ball         b ← β b + g(x),   x ← x − η b              the same iterates as x⁺ = x − η g(x) + β (x − x⁻)
    Nesterov           b ← β b + g(y),   y ← y − η (g(y) + β b)   the same iterates as deck M's
                                         x⁺ = y − η g(y),  y⁺ = x⁺ + β (x⁺ − x)

for a constant rate η; with b at first the first gradient. When the rate falls, torch's forms let the whole sum of past
gradients move at the new rate, the others keep the old steps. Torch's Nesterov holds y in the parameters, the point of
the next gradient; x and y meet at the minimum. The kernels, fused ones too, are torch's; sparse gradients as torch has
them. Weight decay is coupled: λ x is added to g.

On a quadratic with eigenvalues in [μ, L], κ = L/μ, the error falls by a factor a step of (O03 of the theory):

    gradient descent   (κ − 1)/(κ + 1)       η = 2/(L + μ)
    heavy ball         (√κ − 1)/(√κ + 1)     η = 4/(√L + √μ)²,  β = ((√κ − 1)/(√κ + 1))²
    Nesterov           1 − 1/√κ              η = 1/L,           β = (√κ − 1)/(√κ + 1)

Memory: none for gradient descent, one number a parameter else. Source: deck M (momentum methods), deck G (heavy ball);
Cauchy 1847; Polyak 1964, doi:10.1016/0041-5553(64)90137-5; Sutskever et al. 2013 (torch's form).
"""

from typing import Any

from torch.optim import SGD

from trainwell.optim.rules.gradient_rule import check_ranges


class GradientDescent(SGD):
    """Steepest descent without a memory; what batch it sees makes it full-batch or stochastic.

    Args:
        params: parameters or groups.
        lr: η > 0; below 2/L on a quadratic. 0.1 as a start: there is none that fits every scale.
        weight_decay: λ, coupled.
        maximize, fused: as torch's.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        *,
        weight_decay: float = 0.0,
        maximize: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize, fused=fused)


class HeavyBall(SGD):
    """Polyak's momentum.

    Args:
        params: parameters or groups.
        lr: η.
        momentum: β in [0, 1); 0.9 is what most tuned runs of the literature end at.
        weight_decay: λ, coupled.
        maximize, fused: as torch's.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        momentum: float = 0.9,
        *,
        weight_decay: float = 0.0,
        maximize: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_ranges("HeavyBall", {"momentum": momentum})
        super().__init__(params, lr, momentum, weight_decay=weight_decay, maximize=maximize, fused=fused)


class Nesterov(SGD):
    """Nesterov's momentum with a constant β, as torch writes it.

    Args:
        params: parameters or groups.
        lr: η; 1/L on an L-smooth function.
        momentum: β in (0, 1); (√κ − 1)/(√κ + 1) where κ is known (``NesterovSequence`` takes κ itself).
        weight_decay: λ, coupled.
        maximize, fused: as torch's.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        momentum: float = 0.9,
        *,
        weight_decay: float = 0.0,
        maximize: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_ranges("Nesterov", {"momentum": momentum})
        super().__init__(
            params, lr, momentum, weight_decay=weight_decay, nesterov=momentum > 0, maximize=maximize, fused=fused
        )
