"""Cures of convolutions that see too little."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.surgery import replace_modules
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program

SIDE = 3  # of the new kernels


def widen_kernels(subject: Subject, paths: Sequence[str]) -> Cure:
    """Kernels of three places in each direction, padded so that shapes stay; the weights are drawn anew."""

    def apply(program: Program) -> Program:
        return replace(program, model=replace_modules(program.model, paths, _wider))

    model = subject.program.model
    changes = tuple(Change(f"model.{path}.kernel_size", 1, SIDE) for path in paths if model.get_submodule(path))
    return Cure(f"kernels of {SIDE} in place of 1", changes, apply)


def _wider(old: nn.Module) -> nn.Module:
    assert isinstance(old, _ConvNd)
    kind: Any = type(old)
    made: nn.Module = kind(
        old.in_channels, old.out_channels, SIDE, stride=old.stride, padding=SIDE // 2, groups=old.groups,
        bias=old.bias is not None, device=old.weight.device, dtype=old.weight.dtype,
    )  # fmt: skip
    return made.train(old.training)
