"""An exponentially growing rate instead of weight decay.

Where the loss does not change when a weight is scaled, L(cw) = L(w) (a normalization follows it), SGD with momentum γ,
rate η and weight decay λ,

    b ← γ b + g + λ w,    w ← w − η b,

takes the same directions w / ‖w‖ as SGD without decay at the growing rates η̃_t = η α^{−2t−1}, t = 0, 1, …:

    w̃_t = α^{−t} w_t,    α the larger root of α² − (1 + γ − λη) α + γ = 0,    real for λη ≤ (1 − √γ)²

(γ = 0: α = 1 − λη), if its first buffer is b̃ = −(1 − α) w₀ / (ηα) rather than 0. Every trained weight has to be scale
invariant. Rates grow without end: the schedule stops at 1e30 times the first. The equality is of torch's plain
momentum, not of Nesterov's.
Source: deck M says no more than "schedules"; Li & Arora 2020, Theorem 2.12, arXiv:1910.07454.
"""

import math

import torch
from torch.optim import Optimizer


def contraction(lr: float, weight_decay: float, momentum: float = 0.0) -> float:
    """α, the factor by which weight decay shrinks a weight in a step; dimensionless, in (0, 1].

    Raises:
        ValueError: if λη > (1 − √γ)²: the decay overshoots, and no growing rate does the same.

    Example:
        >>> round(contraction(0.1, 5e-4, 0.9), 6)
        0.999498
    """
    product, bound = lr * weight_decay, (1.0 - math.sqrt(momentum)) ** 2
    if not 0.0 <= product <= bound:
        raise ValueError(
            f"growing rate: lr · weight_decay = {product:.3g} must lie in [0, (1 − √momentum)²] = [0, {bound:.3g}]. "
            "Take a smaller weight decay."
        )
    b = 1.0 + momentum - product
    return 0.5 * (b + math.sqrt(max(0.0, b * b - 4.0 * momentum)))


@torch.no_grad()
def without_decay_(optimizer: Optimizer) -> Optimizer:
    """Set the weight decay of a fresh ``torch.optim.SGD`` to 0 and its first buffers to what the growing rate needs.

    Then ``schedule(optimizer, "growing", steps, warmup=0, options={"weight_decay": …})`` with the decay that it had
    gives the same directions of scale-invariant weights.

    Raises:
        ValueError: for another optimizer, Nesterov momentum, dampening, or one that has made steps.
    """
    groups = optimizer.param_groups
    plain = all(not group.get("nesterov") and not group.get("dampening") for group in groups)
    if not isinstance(optimizer, torch.optim.SGD) or not plain or optimizer.state:
        raise ValueError(
            "without_decay_: the growing rate equals weight decay for torch.optim.SGD without Nesterov momentum and "
            "dampening, before its first step. Build such a one."
        )
    for group in groups:
        alpha = contraction(group["lr"], group["weight_decay"], group["momentum"])
        for p in group["params"]:
            if group["momentum"]:
                optimizer.state[p]["momentum_buffer"] = p.detach() * (-(1.0 - alpha) / (group["lr"] * alpha))
        group["weight_decay"] = 0.0
    return optimizer
