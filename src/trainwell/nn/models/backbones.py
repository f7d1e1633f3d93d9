"""Image networks of the package timm as bodies, under the names ``timm:resnet18``, ``timm:vit_tiny_patch16_224``, ….

The module is timm's own, so its parameters have timm's names and weight files made with timm fit. It also knows how
its published weights want their images: ``pretrained_mean`` and ``pretrained_std``, per channel of x / 255. A body that
starts from such weights should see images standardized by these and not by the new data's own statistics; one that
starts from scratch needs them not.

timm imports torchvision. Where torchvision's compiled part does not fit the installed torch (a CUDA build beside a CPU
torch), importing it fails at the first operator that it wants to describe and cannot find. For our import of timm we
then declare the operators it names (``torchvision::nms``, ``qnms``) without any code, and warn: torchvision and timm
can be imported, and only calling these detection operators fails, which no image classifier does.
"""

import importlib
import re
import sys
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError

PREFIX = "timm:"
MOST_OPERATORS = 20  # that we declare before we give up

_declared: list[torch.library.Library] = []  # they last as long as their libraries


def timm_backbone(
    name: str, inputs: tuple[int, ...], outputs: int, *, drop_rate: float = 0.0, drop_path_rate: float = 0.0
) -> nn.Module:
    """Build one of timm's image networks, with weights drawn as timm draws them.

    Args:
        name: ``timm:NAME`` or ``NAME``, with or without the tag of its weights (``resnet18.a1_in1k``).
        inputs: (C, H, W) of one image, C = 1 or 3.
        outputs: number of logits or values.
        drop_rate: share of the features before the head silenced in training.
        drop_path_rate: share of the last residual branch dropped in training.

    Returns:
        timm's module, with ``pretrained_mean`` and ``pretrained_std`` (tuples of C numbers) and ``timm_name``.

    Raises:
        InputError: if timm is not installed, has no such model, or the model takes no such images.
    """
    timm = _timm()
    bare = name.removeprefix(PREFIX)
    if len(inputs) != 3 or inputs[0] not in (1, 3):
        raise InputError(
            f"{PREFIX}{bare} takes images of 1 or 3 channels, these samples have shape {inputs}.",
            "Use mlp, or a model of your own.",
        )
    if not timm.is_model(bare):
        near = _near(bare, timm.list_models())
        raise InputError(
            f"timm has no model {bare!r}.", f"Did you mean {', '.join(near)}?" if near else "See its list."
        )
    options: dict[str, Any] = {"drop_rate": drop_rate, "drop_path_rate": drop_path_rate}
    options = {key: value for key, value in options.items() if value}
    settings = timm.get_pretrained_cfg(bare)
    if settings is not None and settings.fixed_input_size and tuple(settings.input_size[1:]) != inputs[1:]:
        options["img_size"] = tuple(inputs[1:])
    try:
        model = timm.create_model(bare, in_chans=inputs[0], num_classes=outputs, **options)
        _probe(model, inputs, outputs)
    except (RuntimeError, TypeError, ValueError, AssertionError, IndexError) as error:
        size = "×".join(map(str, settings.input_size[1:])) if settings is not None else "larger"
        raise InputError(
            f"{PREFIX}{bare} does not take images of shape {inputs}: {(str(error).splitlines() or ['?'])[0]}",
            f"Its own size is {size} (data.image_size), or choose another model.",
        ) from error
    _remember(model, bare, inputs[0])
    return model


def is_timm(model: nn.Module) -> bool:
    """Was this module made by :func:`timm_backbone`?"""
    return isinstance(getattr(model, "timm_name", None), str)


def hub_weights(model: nn.Module) -> dict[str, Tensor]:
    """The published weights of a :func:`timm_backbone`, downloaded or from the hub's cache on this machine.

    Raises:
        InputError: if the hub cannot be reached or has no weights of this model.
    """
    name = str(model.timm_name)
    try:
        return dict(_timm().create_model(name, pretrained=True).state_dict())
    except Exception as error:  # the hub's client and its network layers raise errors of many classes
        raise InputError(
            f"The weights of {PREFIX}{name} could not be fetched from the hub "
            f"({type(error).__name__}: {(str(error).splitlines() or ['no reason given'])[0][:160]}).",
            "Download its model.safetensors where there is a network and give the file (--weights FILE).",
        ) from error


def adapted_weights(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights as this backbone needs them: for its number of channels and its image size.

    The first convolution of a model for grey images is the sum of the pretrained kernels over the colours: the answer
    is that of the colour image whose channels are all equal. Positions of a transformer are interpolated to the
    model's size, and old formats are renamed, by timm's own filter for that kind of model.

    Args:
        model: of :func:`timm_backbone`.
        state: tensors by timm's names; others pass unchanged.
    """
    filtered = dict(state)
    own = model.state_dict()
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    firsts: Any = getattr(model, "pretrained_cfg", {}).get("first_conv") or ()
    stems = [f"{path}.weight" for path in ((firsts,) if isinstance(firsts, str) else firsts)]
    if convert is not None and any(stem in state for stem in stems):
        filtered = dict(convert(filtered, model))
    for stem in stems:
        for key in [key for key in filtered if key == stem or key.endswith(f".{stem}")]:
            weight = filtered[key]
            if stem in own and weight.dim() == 4 and own[stem].shape[1] == 1 and weight.shape[1] == 3:
                filtered[key] = weight.sum(1, keepdim=True)
    return filtered


def _timm() -> Any:
    for _ in range(MOST_OPERATORS):
        try:
            return importlib.import_module("timm")
        except ModuleNotFoundError as error:
            what = error.name or "timm"
            raise InputError(
                f"timm models need the package {what}, which is not installed.", "Run: pip install 'trainwell[timm]'"
            ) from error
        except RuntimeError as error:
            found = re.search(r"operator (torchvision)::(\w+) does not exist", str(error))
            if found is None:
                raise
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{found[2]}() -> ()")
            _declared.append(library)
            warnings.warn(
                f"torchvision's compiled part does not fit this torch; its operator {found[2]} is declared without "
                "code, so that timm can be imported.",
                stacklevel=3,
            )
    raise InputError("timm cannot be imported beside this torchvision.", "Install the torchvision of your torch.")


def _near(name: str, names: list[str]) -> list[str]:
    import difflib

    return difflib.get_close_matches(name, names, 3, 0.6)


@torch.no_grad()
def _probe(model: nn.Module, inputs: tuple[int, ...], outputs: int) -> None:
    """One forward pass, since timm checks sizes only there.

    Raises:
        ValueError: if the answer has another shape.
    """
    modes = [(module, module.training) for module in model.modules()]
    answer = model.eval()(torch.zeros(1, *inputs))
    for module, mode in modes:
        module.training = mode
    if tuple(answer.shape) != (1, outputs):
        raise ValueError(f"it answers with shape {tuple(answer.shape)}")


def _remember(model: Any, name: str, channels: int) -> None:
    settings = getattr(model, "pretrained_cfg", {})
    mean, std = settings.get("mean") or (0.485, 0.456, 0.406), settings.get("std") or (0.229, 0.224, 0.225)
    model.timm_name = name
    model.pretrained_mean = tuple(mean) if channels == len(mean) else (sum(mean) / len(mean),)
    model.pretrained_std = tuple(std) if channels == len(std) else (sum(std) / len(std),)
