"""What is usual: the rate of an optimizer and the steps of a training, by which "too low" is told from "too short".

Ten times the rate and ten times the epochs are the same to gradient flow; which of the two a program lacks only
convention can say. The rates are the defaults of the papers (Adam: Kingma & Ba 2015; RMSprop: Hinton 2012; Adadelta:
Zeiler 2012), for SGD torch's examples': 0.1 without momentum, and 1 − μ as much with momentum μ, which sums 1/(1 − μ)
gradients.
"""

import math

from torch.optim import SGD, Adadelta, Adagrad, Optimizer, Rprop

from trainwell.clinic.subject import Subject

STEPS = 500  # a small program's; of the suite's healthy ones most take 300 to 1000
PLAIN, ADAPTIVE = 0.1, 1e-3
OTHERS: tuple[tuple[type[Optimizer], float], ...] = ((Adadelta, 1.0), (Adagrad, 0.01), (Rprop, 0.01))


def usual_rate(optimizer: Optimizer) -> float:
    """The rate that the optimizer's first group would usually have."""
    group = optimizer.param_groups[0]
    if isinstance(optimizer, SGD) or ("momentum" in group and "alpha" not in group and "betas" not in group):
        return PLAIN * (1.0 - min(0.99, float(group.get("momentum") or 0.0)))
    return next((rate for kind, rate in OTHERS if isinstance(optimizer, kind)), ADAPTIVE)


def mean_rate(subject: Subject) -> float:
    """The program's rate, mean over its schedule."""
    return float(subject.rates.mean())


def peak_rate(subject: Subject) -> float:
    """The highest rate of its schedule."""
    return float(subject.rates.max())


def rate_lacks(subject: Subject) -> float:
    """log₁₀ of the usual rate over the program's; below 0 where it is higher than usual."""
    return math.log10(usual_rate(subject.optimizer) / max(mean_rate(subject), 1e-30))


def steps_lack(subject: Subject) -> float:
    """log₁₀ of the usual number of steps over the program's."""
    return math.log10(STEPS / max(1, subject.steps))


def total_motion(subject: Subject) -> float:
    """At most how far all steps move the weights, over their size: Σ η |∇L| / (1 − μ) / |w|; inf for other than SGD.

    Adaptive methods move by the rate, whatever the gradient. A gradient that is clipped counts as clipped.
    """
    group = subject.optimizer.param_groups[0]
    norms = [norm for norm in subject.opening.norms if math.isfinite(norm)]
    if type(subject.optimizer) is not SGD or not norms:
        return math.inf
    size = math.sqrt(sum(float(p.detach().square().sum()) for p in subject.program.model.parameters()))
    longest = min(max(norms), clipped_at(subject))
    step = mean_rate(subject) * longest / (1.0 - min(0.99, float(group.get("momentum") or 0.0)))
    return subject.steps * step / max(size, 1e-30)


def clipped_at(subject: Subject) -> float:
    """The norm at which gradients are clipped; inf where they are not, or otherwise than by their norm."""
    limit = subject.program.clip_grad
    return float(limit) if isinstance(limit, int | float) and limit > 0 else math.inf
