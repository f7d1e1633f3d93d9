"""Layers of another width: a module like the old one, with other numbers of inputs or outputs, drawn anew."""

from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding, nn.RNNBase)
TAKING = (*WEIGHTED, _BatchNorm, nn.LayerNorm)


def arriving(module: nn.Module, x: Tensor) -> int:
    """Width of what comes to a module: channels of a convolution or a batch norm, else the last axis."""
    return x.shape[1] if isinstance(module, _ConvNd | _BatchNorm) else x.shape[-1]


def inputs_of(module: nn.Module) -> int | None:
    """How many numbers a module takes of each position; None where any number will do."""
    if isinstance(module, nn.Linear):
        return module.in_features
    if isinstance(module, _ConvNd):
        return module.in_channels
    if isinstance(module, nn.RNNBase):
        return module.input_size
    if isinstance(module, _BatchNorm):
        return module.num_features
    if isinstance(module, nn.LayerNorm):
        return module.normalized_shape[-1] if len(module.normalized_shape) == 1 else None
    return None


def outputs_of(module: nn.Module) -> int | None:
    """How many numbers a module with weights gives for each position; None of what has no such number of its own."""
    if isinstance(module, nn.Linear):
        return module.out_features
    if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd) and module.groups == 1:
        return module.out_channels
    if isinstance(module, nn.Embedding):
        return module.embedding_dim
    if isinstance(module, nn.RNNBase) and not module.proj_size:
        return module.hidden_size
    return None


def resized(old: nn.Module, inputs: int | None = None, outputs: int | None = None) -> nn.Module:
    """A module like ``old`` with other widths, its weights drawn as its kind draws them.

    A table of embeddings keeps the standard deviation of its entries.

    Raises:
        ValueError: if modules of this kind have no widths that can be changed.
    """
    new = _made(old, inputs, outputs)
    reference = next(old.parameters(), None)
    if reference is not None:
        new = new.to(reference.device, reference.dtype)
    return new.train(old.training)


def _made(old: nn.Module, inputs: int | None, outputs: int | None) -> nn.Module:
    kind: Any = type(old)
    if type(old) is nn.Linear:
        return nn.Linear(inputs or old.in_features, outputs or old.out_features, old.bias is not None)
    if type(old) in (nn.Conv1d, nn.Conv2d, nn.Conv3d) and isinstance(old, _ConvNd) and old.groups == 1:
        made: nn.Module = kind(
            inputs or old.in_channels, outputs or old.out_channels, old.kernel_size, old.stride, old.padding,
            old.dilation, 1, old.bias is not None, old.padding_mode,
        )  # fmt: skip
        return made
    if type(old) is nn.Embedding:
        table = nn.Embedding(old.num_embeddings, outputs or old.embedding_dim, old.padding_idx)
        nn.init.normal_(table.weight, std=float(old.weight.detach().std(correction=0)) or 1.0)
        return table
    if type(old) in (nn.RNN, nn.GRU, nn.LSTM) and isinstance(old, nn.RNNBase) and not old.proj_size:
        more: dict[str, Any] = {"nonlinearity": old.nonlinearity} if isinstance(old, nn.RNN) else {}
        cell: nn.Module = kind(
            inputs or old.input_size, outputs or old.hidden_size, old.num_layers, bias=old.bias,
            batch_first=old.batch_first, dropout=old.dropout, bidirectional=old.bidirectional, **more,
        )  # fmt: skip
        return cell
    if type(old) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d) and isinstance(old, _BatchNorm):
        norm: nn.Module = kind(inputs, old.eps, old.momentum, old.affine, old.track_running_stats)
        return norm
    if type(old) is nn.LayerNorm and inputs is not None:
        return nn.LayerNorm(inputs, old.eps, old.elementwise_affine)
    raise ValueError(f"resized: {type(old).__name__} has no width that could be changed.")
