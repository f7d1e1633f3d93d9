"""Dropout layers by name. All keep the mean of what they read while training and hand it on in evaluation.

    name      multiplies by                                    variance of the factor
    inverted  m/(1 − p), one m per number                       p/(1 − p)
    spatial   m/(1 − p), one m per channel                      p/(1 − p)
    gaussian  N(1, p/(1 − p)), one per number                   p/(1 − p)
    alpha     sets to SELU's lower limit and restores mean 0 and variance 1
    none      1                                                 0

p is the probability of *dropping* (deck G; deck M's p is that of keeping). Weights are dropped by ``dropconnect_``.
Source: Srivastava et al. 2014, JMLR 15 (dropout, Gaussian); Tompson et al. 2015, arXiv:1411.4280 (spatial); Klambauer
et al. 2017, arXiv:1706.02515, §3 (alpha).
"""

from torch import nn

from trainwell.errors import InputError
from trainwell.nearest_name import nearest
from trainwell.nn.dropping.gaussian_dropout import GaussianDropout

DROPOUTS: tuple[str, ...] = ("none", "inverted", "spatial", "gaussian", "alpha")

_SPATIAL = {0: nn.Dropout, 1: nn.Dropout1d, 2: nn.Dropout2d, 3: nn.Dropout3d}


def dropout(name: str, probability: float, dimensions: int = 0) -> nn.Module:
    """Make the dropout layer called ``name``.

    Args:
        name: one of ``DROPOUTS``.
        probability: of dropping, in [0, 1).
        dimensions: 0 for inputs (N, C), 1 to 3 for (N, C, L…): ``spatial`` drops whole channels of those; with 0 a
            channel is one number, and it is ``inverted``.

    Raises:
        InputError: if there is none of this name, or a number is outside its range.
    """
    if name not in DROPOUTS:
        hint = nearest(name, DROPOUTS, f"Use one of {', '.join(DROPOUTS)}.")
        raise InputError(f"dropout={name!r} is not known.", hint)
    if not 0 <= probability < 1:
        raise InputError(f"dropout probability {probability} is not in [0, 1).", "Use the share to drop, such as 0.1.")
    if dimensions not in _SPATIAL:
        raise InputError(f"dropout for {dimensions} dimensions is not known.", "Use 0, 1, 2 or 3.")
    if name == "none" or probability == 0:
        return nn.Identity()
    if name == "spatial":
        return _SPATIAL[dimensions](probability)
    return {"inverted": nn.Dropout, "gaussian": GaussianDropout, "alpha": nn.AlphaDropout}[name](probability)
