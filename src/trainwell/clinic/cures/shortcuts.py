"""Shortcuts: x + layer(x) in place of layer(x), wherever a layer keeps the shape; branches that start at zero."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.initialization import drawn_anew, redraw_
from trainwell.clinic.cures.surgery import replace_modules
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program


class Shortcut(nn.Module):
    """x + scale · layer(x)."""

    def __init__(self, layer: nn.Module, scale: float = 1.0) -> None:
        super().__init__()
        self.layer, self.scale = layer, scale

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.layer(x)
        return x + self.scale * branch


def add_shortcuts(subject: Subject, paths: list[str], *, redraw: bool = True) -> Cure:
    """Carry the input of these layers past them; branches are scaled by 1/√L, so that depth blows nothing up."""
    scale, seed = len(paths) ** -0.5, subject.seed

    def apply(program: Program) -> Program:
        if redraw:
            redraw_(program.model, program, seed=seed)
        return replace(program, model=replace_modules(program.model, paths, lambda old: Shortcut(old, scale)))

    changes = tuple(Change(f"model.{path}", "layer(x)", f"x + {scale:.2g} * layer(x)") for path in paths)
    changes += (drawn_anew(),) if redraw else ()
    return Cure(f"shortcuts past {len(paths)} layers", changes, apply)


def start_at_zero(subject: Subject, ends: list[str]) -> Cure:
    """Residual branches that add nothing at first: their last layers start at zero (Zhang, Dauphin and Ma 2019)."""
    seed = subject.seed

    def apply(program: Program) -> Program:
        redraw_(program.model, program, seed=seed)
        with torch.no_grad():
            for path in ends:
                for parameter in program.model.get_submodule(path).parameters():
                    parameter.zero_()
        return program

    changes = tuple(Change(f"model.{path}.weight", "as drawn", 0.0) for path in ends)
    return Cure(f"start {len(ends)} residual branches at zero", (*changes, drawn_anew()), apply)


def keeping(subject: Subject) -> list[str]:
    """Paths of the linear layers and convolutions that give the shape they read, and are called once."""
    seen: dict[str, int] = {}
    found = []
    for layer in subject.chain.of_kind("linear", "conv"):
        seen[layer.path] = seen.get(layer.path, 0) + 1
        if not layer.path.endswith("()") and layer.input_shape == layer.output_shape:
            found.append(layer.path)
    return [path for path in found if seen[path] == 1]
