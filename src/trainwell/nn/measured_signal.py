"""Second moments and gradient norms of a real net at initialization, layer by layer, over seeds.

Of every layer with weights (linear, convolution, attention, recurrent), z its output: the mean of z², and ‖∂L/∂z‖ over
that of the last one, L = Σ v · output with v ~ N(0, 1): a gradient that knows nothing of the net, as theory takes it.
Norms run in training mode, dropout is off.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainwell.nn.models.circulant_layer import CirculantLinear
from trainwell.nn.models.recurrent_layers import RecurrentLayer
from trainwell.nn.operations import kind_of

Array = NDArray[np.float64]
_WHOLE = (nn.MultiheadAttention, nn.RNNBase, RecurrentLayer, CirculantLinear)
"""Layers with weights that are neither linear layers nor convolutions."""


@dataclass(frozen=True)
class MeasuredSignal:
    """What was seen, a row per seed and a column per layer with weights, in the order in which they ran.

    Attributes:
        paths: of the layers.
        moment: mean of z² over units and samples, shape (seeds, layers).
        gradient: ‖∂L/∂z‖², over that of the last layer, of the whole batch.
    """

    paths: tuple[str, ...]
    moment: Array
    gradient: Array

    def mean_moment(self) -> tuple[Array, Array]:
        """Mean over seeds and its standard error."""
        return mean_and_error(self.moment)

    def gradient_norm(self) -> tuple[Array, Array]:
        """Root of the mean over seeds of the squared norm, and its standard error: what theory predicts."""
        mean, error = mean_and_error(self.gradient)
        root = np.sqrt(mean)
        return root, np.divide(error, 2 * root, out=np.zeros_like(root), where=root > 0)


def mean_and_error(values: Array) -> tuple[Array, Array]:
    """Return mean and standard error over the first axis; the error of one value is nan."""
    count = len(values)
    if count < 2:
        return values.mean(0), np.full(values.shape[1:], np.nan)
    return values.mean(0), values.std(0, ddof=1) / count**0.5


def measure_signal(build: Callable[[], nn.Module], example: Tensor, seeds: int) -> MeasuredSignal:
    """Build a net for each seed 0, 1, … and run it forward and back on ``example``.

    Args:
        build: returns a new net, drawn with torch's global random state, which is put back afterwards.
        example: a batch, float64 or float32; the nets are converted to its type.
        seeds: how many, 1 or more.

    Raises:
        ValueError: if the nets have no linear layer or convolution, or give no tensor.
    """
    rows = []
    with torch.random.fork_rng(devices=[]):
        for seed in range(seeds):
            torch.manual_seed(seed)
            net = build().to(example.dtype).train()
            for module in net.modules():
                if kind_of(module) == "dropout":
                    module.eval()
            rows.append(_one_pass(net, example))
    return MeasuredSignal(rows[0][0], np.array([row[1] for row in rows]), np.array([row[2] for row in rows]))


def _one_pass(net: nn.Module, example: Tensor) -> tuple[tuple[str, ...], list[float], list[float]]:
    seen: list[tuple[str, Tensor]] = []
    handles = []
    for path, module in net.named_modules():
        if kind_of(module) in ("linear", "conv") or isinstance(module, _WHOLE):

            def keep(_: nn.Module, args: Any, output: Any, path: str = path) -> Any:
                first, *others = output if isinstance(output, tuple) else (output,)
                seen.append((path, first))
                copy = first.clone()  # what follows may work in place
                return (copy, *others) if others else copy

            handles.append(module.register_forward_hook(keep))
    try:
        output = net(example)
        if not isinstance(output, Tensor):
            raise ValueError(f"measure_signal: the net gives {type(output).__name__}, not a tensor.")
        if not seen:
            raise ValueError("measure_signal: the net runs no linear layer and no convolution.")
        pulled = torch.autograd.grad(
            output, [signal for _, signal in seen], torch.randn_like(output), allow_unused=True
        )
    finally:
        for handle in handles:
            handle.remove()
    squares = [0.0 if gradient is None else float(gradient.double().square().sum()) for gradient in pulled]
    last = squares[-1] if squares and squares[-1] else float("nan")
    moments = [float(signal.detach().double().square().mean()) for _, signal in seen]
    return tuple(path for path, _ in seen), moments, [square / last for square in squares]
