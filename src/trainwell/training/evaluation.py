"""Passes over data without training: scores after an epoch, and all outputs for the final metrics."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.training.batches import FromDataset, InMemory, Source, source
from trainwell.training.modes import evaluating
from trainwell.training.scores import Scores
from trainwell.training.step import Forward, parts

Progress = Callable[[float], None]


def ordered(data: Any, batch_size: int, device: torch.device) -> Source:
    """Batches in the order of the data, the last one of any size."""
    batches = source(data, batch_size, False, 0, device)
    if isinstance(batches, InMemory | FromDataset):
        batches.batches = -(-batches.n // batch_size)
    return batches


@torch.no_grad()
def score(
    model: nn.Module,
    batches: Source,
    forward: Forward,
    task: str,
    threshold: float = 0.5,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Loss and scores of the model in evaluation mode; the mode is put back."""
    scores = Scores(task, forward.program.loss, threshold)
    with evaluating(model):
        for i, batch in enumerate(batches.epoch(1)):
            if forward.program.step is not None:
                scores.add(None, None, forward.loss(model, batch), forward.share(batch))
            else:
                x, y, *weight = parts(batch)
                output = forward.output(model, x)
                scores.add(output, y, forward.loss_of(output, y, weight[0] if weight else None), forward.share(batch))
            if progress:
                progress((i + 1) / batches.batches)
    return scores.result()


def outputs(
    model: nn.Module, x: Any, *, batch_size: int, device: torch.device, progress: Progress | None = None
) -> Tensor:
    """Outputs for all of X in float32 and evaluation mode, on the CPU; the mode is put back.

    Args:
        x: tensors or arrays with the samples first (or a tuple or dict of them).
        batch_size: samples a pass, bounding the memory.
    """
    with evaluating(model):
        return torch.cat(list(_outputs(model, x, batch_size, device, progress)))


@torch.no_grad()
def _outputs(
    model: nn.Module, x: Any, batch_size: int, device: torch.device, progress: Progress | None
) -> Iterator[Tensor]:
    from trainwell.training.predictions import head

    batches = ordered((x, None), batch_size, device)
    for i, batch in enumerate(batches.epoch(1)):
        yield head(model(batch[0])).float().cpu()
        if progress:
            progress((i + 1) / batches.batches)
