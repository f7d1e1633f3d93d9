"""Start from another run: its weights where they fit, and a new head where the answers are others.

The head is the last linear layer: of the forward pass where an example is given, else of the module tree. A new one
starts from N(0, (0.1)² / fan_in) with bias 0: its first outputs, and the first gradients that reach the body, are a
tenth of what unit-variance outputs would give, so that a random head does not undo what was learned (Kumar et al. 2022,
"Fine-tuning can distort pretrained features", arXiv:2202.10054).
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.data import Schema
from trainwell.errors import InputError
from trainwell.nn import Predictor, trace
from trainwell.nn.models.backbones import adapted_weights, hub_weights, is_timm
from trainwell.nn.prepare import TableInput
from trainwell.training.matching import Matched, load_matching, read_state

HEAD_SCALE = 0.1
HUB = "hub"


def head_of(model: nn.Module, *, example: Any = None) -> str:
    """Path of the model's last linear layer.

    Args:
        model: any module.
        example: a batch; with it the last layer of the forward pass is found, else the one registered last.

    Raises:
        ValueError: if there is none.
    """
    modules = dict(model.named_modules())
    paths = [path for path, module in modules.items() if isinstance(module, nn.Linear)]
    if example is not None:
        paths = [layer.path for layer in trace(model, example) if isinstance(modules.get(layer.path), nn.Linear)]
    if not paths:
        raise ValueError("head_of: the model has no linear layer. Name its head and replace it yourself.")
    return paths[-1]


def new_head_(model: nn.Module, outputs: int, *, example: Any = None, generator: torch.Generator | None = None) -> str:
    """Replace the model's last linear layer by a fresh one and return its path.

    The new layer is of the old one's class and has its settings, input size, device and dtype; weights are drawn from
    N(0, 0.01 / fan_in), the bias is 0.

    Args:
        model: changed in place.
        outputs: of the new head, at least 1.
        example: see :func:`head_of`.
        generator: source of randomness; the global one if None.

    Raises:
        ValueError: if there is no linear layer, its weight is computed from other parameters, or outputs < 1.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 10))
        >>> new_head_(net, 3), net[2].out_features
        ('2', 3)
    """
    if outputs < 1:
        raise ValueError(f"new_head_: outputs={outputs}. Give at least 1.")
    path = head_of(model, example=example)
    old = model.get_submodule(path)
    if not isinstance(old._parameters.get("weight"), nn.Parameter):
        raise ValueError(f"new_head_: the weight of {path} is computed from other parameters. Remove that first.")
    head: Any = copy.deepcopy(old)
    weight = old.weight.new_empty(outputs, head.in_features)  # type: ignore[operator]
    head.weight = nn.Parameter(weight.normal_(0.0, HEAD_SCALE * head.in_features**-0.5, generator=generator))
    if head.bias is not None:
        head.bias = nn.Parameter(head.bias.new_zeros(outputs))
    head.out_features = outputs
    if not path:
        raise ValueError("new_head_: the model is a single linear layer. Make a new one.")
    model.set_submodule(path, head)
    return path


def init_from(model: nn.Module, weights: str | Path | Mapping[str, Tensor], *, schema: Schema | None = None) -> Matched:
    """Start from other weights: :func:`load_matching`, with care for what belongs to the data.

    ``restore`` (the unit of a regression's target) always stays the model's own, and so does a head whose classes are
    others, though their number be the same. The statistics of ``prepare`` come with the weights, since the body was
    trained on inputs standardized by them; a table's only where its columns are the same.

    Args:
        model: a ``Predictor`` or any other module.
        weights: as for :func:`load_matching`; ``hub`` fetches those of a timm backbone.
        schema: of the data that the model will be trained on; with it and a run folder, classes and columns are
            compared.

    Raises:
        InputError: as :func:`load_matching`, or if the hub cannot be reached.
    """
    body = model.body if isinstance(model, Predictor) else model
    source = _schema_beside(weights)
    if weights == HUB:
        if not is_timm(body):
            raise InputError("Weights from the hub are only known for timm models.", "Name a file or a run folder.")
        origin, state = "the hub", hub_weights(body)
    else:
        origin, state = read_state(weights)
    if is_timm(body):
        state = adapted_weights(body, state)
    leave, notes = ["restore.*"], []
    head = head_of(model) if any(isinstance(module, nn.Linear) for module in model.modules()) else ""
    if schema and source and schema.classes != source.classes and len(schema.classes) == len(source.classes):
        leave.append(f"{head}.*")
        notes.append(f"The head {head} is new: its {len(schema.classes)} classes are others than the weights'.")
    if isinstance(model, Predictor) and not _same_inputs(model, schema, source):
        leave.append("prepare.*")
        notes.append("The statistics of the inputs are those of the new data: the columns are others, or not known.")
    found = load_matching(model, state, leave=leave)
    if f"{head}.weight" in found.mismatched:
        mine, theirs = found.mismatched[f"{head}.weight"]
        notes.append(f"The head {head} is new: {mine[0]} outputs of {mine[1]} inputs, the weights' has {theirs[0]}.")
    elif head and f"{head}.weight" in found.missing:
        notes.append(f"The head {head} is new: the weights have none of that name.")
    return replace(found, origin=origin, notes=tuple(notes))


def use_pretrained_statistics_(model: nn.Module) -> bool:
    """Standardize images as the pretrained backbone's own training did; returns whether the model has such a backbone.

    The body of a ``Predictor`` says so by ``pretrained_mean`` and ``pretrained_std`` (see ``nn.timm_backbone``).
    """
    mean = getattr(model.body, "pretrained_mean", None) if isinstance(model, Predictor) else None
    own = getattr(model.prepare, "mean", None) if isinstance(model, Predictor) else None
    if mean is None or not isinstance(own, Tensor) or own.numel() != len(mean):
        return False
    with torch.no_grad():
        own.copy_(own.new_tensor(mean))
        model.prepare.std.copy_(own.new_tensor(model.body.pretrained_std))  # type: ignore[union-attr, operator]
    return True


def _schema_beside(weights: str | Path | Mapping[str, Tensor]) -> Schema | None:
    if isinstance(weights, Mapping):
        return None
    path = Path(weights).expanduser()
    file = (path if path.is_dir() else path.parent) / "schema.json"
    return Schema.from_json(file.read_text(encoding="utf-8")) if file.is_file() else None


def _same_inputs(model: Predictor, schema: Schema | None, source: Schema | None) -> bool:
    """Do the statistics of ``prepare`` mean the same in both? Without schemas: unless it is a table's."""
    if not isinstance(model.prepare, TableInput):
        return True
    if schema is None or source is None:
        return False
    return [(c.name, c.categories) for c in (*schema.numbers(), *schema.categories())] == [
        (c.name, c.categories) for c in (*source.numbers(), *source.categories())
    ]
