"""What is usual: the rate of an optimizer and the steps of a training, by which "too low" is told from "too short".

Ten times the rate and ten times the epochs are the same to gradient flow; which of the two a program lacks only
convention can say. The rates are the defaults of the papers (Adam: Kingma & Ba 2015; RMSprop: Hinton 2012), for SGD
torch's examples': 0.1 without momentum, and 1 − μ as much with momentum μ, which sums 1/(1 − μ) gradients.
"""

import math

from torch.optim import SGD, Adagrad, Optimizer

from trainwell.clinic.subject import Subject

STEPS = 500  # a small program's; of the suite's healthy ones most take 300 to 1000
PLAIN, ADAGRAD, ADAPTIVE = 0.1, 0.01, 1e-3


def usual_rate(optimizer: Optimizer) -> float:
    """The rate that the optimizer's first group would usually have."""
    group = optimizer.param_groups[0]
    if isinstance(optimizer, SGD) or ("momentum" in group and "alpha" not in group and "betas" not in group):
        return PLAIN * (1.0 - min(0.99, float(group.get("momentum") or 0.0)))
    return ADAGRAD if isinstance(optimizer, Adagrad) else ADAPTIVE


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
