"""An elementwise torch function as theory sees it: moments of what has no closed form in ``trainwell.theory``.

The function is evaluated at 20 001 midpoints of z in [−10, 10], its derivative by autograd: good to 1e-6 also for
functions with a kink anywhere. A jump's own derivative is not seen.
"""

import copy

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from trainwell.theory.gaussian import Array, Function, as_variance
from trainwell.theory.gaussian_moments import Nonlinearity

_STEP = 1e-3
_NODES = (np.arange(20_001) - 10_000) * _STEP
_DENSITY = np.exp(-_NODES * _NODES / 2) * (_STEP / np.sqrt(2 * np.pi))


class Elementwise(Nonlinearity):
    """Mean, second moment, slope and growth of a module that maps each number by itself, in evaluation mode.

    Args:
        module: it is copied; its parameters, if any, are as they are now.
    """

    kinks = ()

    def __init__(self, module: nn.Module) -> None:
        self.name = type(module).__name__
        self._module = copy.deepcopy(module).eval().cpu().double().requires_grad_(False)

    @torch.no_grad()
    def value(self, x: ArrayLike) -> Array:
        """Return φ(x), elementwise."""
        return self._module(torch.tensor(np.asarray(x, dtype=np.float64))).numpy()

    def derivative(self, x: ArrayLike) -> Array:
        """Return φ'(x), elementwise, by autograd."""
        with torch.enable_grad():
            leaf = torch.tensor(np.asarray(x, dtype=np.float64), requires_grad=True)
            y = self._module(leaf.clone())
            if not y.requires_grad:
                return np.zeros(leaf.shape)
            return torch.autograd.grad(y.sum(), leaf)[0].numpy()

    def mean(self, q: ArrayLike) -> Array:
        """Return E φ(u), u ~ N(0, q)."""
        return self._expect(self.value, q)

    def second_moment(self, q: ArrayLike) -> Array:
        """Return E φ(u)², u ~ N(0, q)."""
        return self._expect(lambda x: self.value(x) ** 2, q)

    def slope_moment(self, q: ArrayLike) -> Array:
        """Return E φ'(u)², u ~ N(0, q)."""
        return self._expect(lambda x: self.derivative(x) ** 2, q)

    def growth(self, q: ArrayLike) -> Array:
        """Return d/dq E φ(u)² for q > 0."""
        return self._expect(lambda x: x * self.value(x) * self.derivative(x), q) / as_variance(q)

    def _expect(self, function: Function, q: ArrayLike) -> Array:
        return function(np.sqrt(as_variance(q))[..., None] * _NODES) @ _DENSITY
