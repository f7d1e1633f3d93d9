"""Gradual unfreezing: train the last layers first, and one more group of layers every few epochs.

In epoch e (from 1) the last 1 + ⌊(e − 1) / every⌋ groups of ``optim.layer_groups`` are trainable. It depends on the
epoch alone, so that a run taken up in the middle of an epoch goes on as if nothing had happened.

Parameters that wait get no gradient (``grad is None``), and torch's optimizers, fused ones too, pass over such
parameters: no step, no weight decay, no momentum, and Adam's bias correction counts from their first own step. They are
in the optimizer from the start, so a schedule holds for them too. Torch's fused SGD takes momentum buffers for all
parameters of a group or for none (2.13: a TypeError), so those that join get one of zeros, with which SGD's first step
is the same (but for ``dampening``, which then acts on it too). An average of the weights (EMA) of a parameter that
does not move is that parameter. Norms keep training mode, waiting or not: their moments follow the new data.
Source: Howard & Ruder 2018, §3.3, arXiv:1801.06146.
"""

import torch
from torch import nn

from trainwell.training.layer_rates import layer_groups
from trainwell.training.state import State


class GradualUnfreezing:
    """A callback for ``fit``: ``fit(program, callbacks=[GradualUnfreezing(every=2)])``.

    Parameters that are frozen when the run starts stay frozen and make no group; after the run all are as before.

    Args:
        every: epochs between two groups, at least 1.

    Raises:
        ValueError: if ``every`` is below 1, or (when the run starts) nothing is trainable.
    """

    def __init__(self, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"GradualUnfreezing: every={every}. Give at least 1 epoch.")
        self.every = every
        self._groups: list[list[nn.Parameter]] = []

    def __call__(self, event: str, state: State) -> None:
        if event == "run_start":
            self._begin(state.model)
        if event in ("run_start", "epoch_start", "stepped_back"):
            self._hold(len(self._groups) - self.trainable(state.epoch))
            if isinstance(state.optimizer, torch.optim.SGD):
                fill_momenta(state.optimizer)
        elif event == "run_end":
            self._hold(0)

    def trainable(self, epoch: int) -> int:
        """How many groups, counted from the output, are trainable in this epoch (from 1)."""
        return min(len(self._groups), 1 + (max(epoch, 1) - 1) // self.every)

    def _begin(self, model: nn.Module | None) -> None:
        assert model is not None
        self._hold(0)  # what an interrupted run of this callback left held
        parameters = dict(model.named_parameters())
        groups = [[parameters[name] for name in names] for names in layer_groups(model)]
        self._groups = [kept for group in groups if (kept := [p for p in group if p.requires_grad])]
        if not self._groups:
            raise ValueError("GradualUnfreezing: no parameter is trainable. Freeze fewer.")

    def _hold(self, held: int) -> None:
        for place, group in enumerate(self._groups):
            for parameter in group:
                parameter.requires_grad_(place >= held)


def fill_momenta(optimizer: torch.optim.SGD) -> None:
    """Give trainable parameters a momentum of zeros where others of their group, updated by one kernel, have one."""
    for group in optimizer.param_groups:
        waiting = [p for p in group["params"] if p.requires_grad and not _has_momentum(optimizer, p)]
        if group.get("fused") and group["momentum"] and any(_has_momentum(optimizer, p) for p in group["params"]):
            for parameter in waiting:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter, requires_grad=False)


def _has_momentum(optimizer: torch.optim.SGD, parameter: nn.Parameter) -> bool:
    return parameter in optimizer.state and optimizer.state[parameter].get("momentum_buffer") is not None
