"""Cure that puts a normalization behind layers with weights, before their activations."""

from dataclasses import replace

from torch import nn
from torch.nn.modules.conv import _ConvNd

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.initialization import drawn_anew, redraw_
from trainwell.clinic.cures.surgery import replace_modules
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program

SMALL = 8  # samples a batch from which on batch normalization is taken, layer normalization below
_BATCH = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def normalize_layers(subject: Subject, paths: list[str]) -> Cure:
    """Put batch normalization (layer normalization where batches are small) behind these layers, and draw them anew."""
    small, seed = subject.program.batch_size < SMALL, subject.seed

    def apply(program: Program) -> Program:
        redraw_(program.model, program, seed=seed)
        model = replace_modules(program.model, paths, lambda old: nn.Sequential(old, _norm(old, small)))
        return replace(program, model=model)

    model = subject.program.model
    changes = tuple(
        Change(f"model.{path}", (old := model.get_submodule(path)), f"nn.Sequential({old}, {_norm(old, small)})")
        for path in paths
    )
    return Cure(f"normalize behind {len(paths)} layers", (*changes, drawn_anew()), apply)


def without_running_statistics(subject: Subject, paths: list[str]) -> Cure:
    """Group normalization in the place of batch normalization: the same in training and evaluation."""

    def apply(program: Program) -> Program:
        return replace(program, model=replace_modules(program.model, paths, _grouped))

    model = subject.program.model
    changes = tuple(
        Change(f"model.{path}", str(old := model.get_submodule(path)), str(_grouped(old))) for path in paths
    )
    return Cure(f"group normalization in place of {len(paths)} batch normalizations", changes, apply)


def _grouped(old: nn.Module) -> nn.Module:
    channels = int(old.num_features)  # type: ignore[arg-type]
    groups = next(count for count in (4, 2, 1) if (channels % count == 0 and channels >= 2 * count) or count == 1)
    made = nn.GroupNorm(groups, channels)
    return made.to(next(iter([*old.parameters(), *old.buffers()]))).train(old.training)


def hidden_layers(subject: Subject) -> list[str]:
    """Paths of the layers with weights that an activation follows, called once, with no normalization in between."""
    chain = subject.chain
    calls = [layer.path for layer in chain.of_kind("linear", "conv")]
    last = max((i for i, layer in enumerate(chain.layers) if layer.kind in ("linear", "conv")), default=0)
    found = []
    for place, layer in enumerate(chain.layers):
        if layer.kind != "activation" or place > last:
            continue
        for read in layer.reads or (place - 1,):
            before = chain.layers[read] if read >= 0 else None
            if before is not None and before.kind in ("linear", "conv") and not before.path.endswith("()"):
                found.append(before.path)
    return [path for path in dict.fromkeys(found) if calls.count(path) == 1]


def _norm(layer: nn.Module, small: bool) -> nn.Module:
    weight = next(layer.parameters())
    if isinstance(layer, _ConvNd):
        made: nn.Module = (
            nn.GroupNorm(1, layer.out_channels) if small else _BATCH[len(layer.kernel_size)](layer.out_channels)
        )
    else:
        made = nn.LayerNorm(weight.shape[0])
    return made.to(weight)
