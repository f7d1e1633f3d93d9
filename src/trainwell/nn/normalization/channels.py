"""What every normalization by channel requires of its input."""

from torch import Tensor, nn


def require_channels(layer: nn.Module, x: Tensor, channels: int) -> None:
    """Require the shape (N, channels, *).

    Raises:
        ValueError: if the input has another one.
    """
    if x.dim() < 2 or x.shape[1] != channels:
        raise ValueError(
            f"{type(layer).__name__}: input of shape {tuple(x.shape)}, but num_features={channels} needs "
            f"(N, {channels}, *)."
        )


def require_values(layer: nn.Module, x: Tensor, channels: int) -> None:
    """Require two values per channel or more, without which the batch has no variance.

    Raises:
        ValueError: if there are fewer.
    """
    if x.numel() <= channels:
        raise ValueError(
            f"{type(layer).__name__}: input of shape {tuple(x.shape)} has one value per channel in train mode, and one "
            "value has no variance. Use a larger batch, or model.eval()."
        )


def require_positive(layer: nn.Module, eps: float) -> None:
    """Require ε > 0.

    Raises:
        ValueError: if it is not.
    """
    if not eps > 0:
        raise ValueError(f"{type(layer).__name__}: eps={eps} would divide by zero. Use eps > 0, say 1e-5.")
