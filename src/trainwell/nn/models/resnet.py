"""Residual networks for images of any size, and the same networks without shortcuts.

For small images (He et al. §4.2), 6n + 2 layers: a 3×3 convolution, three stages of n blocks with 16, 32 and 64
channels, global average, linear. ``resnet20`` (n = 3) has 269 722 parameters for 3 channels and 10 classes with padded
shortcuts ("option A") and 272 474 with projections ("option B"); ``resnet56`` (n = 9) has 853 018; ``plain20`` and
``plain56`` have the same layers and no way round them.

For photographs (§4.1): four stages of 64 … 512 channels, projections where the shape changes; ``resnet18`` has 2, 2, 2,
2 basic blocks and 11 689 512 parameters, ``resnet50`` has 3, 4, 6, 3 bottlenecks and 25 557 032, for 3 channels and
1000 classes. Its stem, a 7×7 convolution of stride 2 and a 3×3 max-pool of stride 2, is a 3×3 convolution of stride 1
where a side is shorter than 64 pixels.

Convolutions start from Kaiming's normal distribution (He et al. 2015) as there. We add the zero in each residual branch
by which every block starts as its shortcut (``trainwell.nn.blocks.residual``).
Source: He et al. 2016, "Deep Residual Learning for Image Recognition", arXiv:1512.03385.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from trainwell.errors import InputError
from trainwell.nn.blocks.fixup import FixupBlock, ScalarShift
from trainwell.nn.blocks.residual import BasicBlock, Bottleneck, PlainBlock, PreactivationBlock, Style
from trainwell.nn.blocks.stochastic_depth import survival_probabilities
from trainwell.nn.nonlinear.activations import gain

BLOCKS: tuple[str, ...] = ("basic", "bottleneck", "preactivation", "fixup")


@dataclass(frozen=True)
class _Plan:
    """What distinguishes one network from another."""

    name: str
    inputs: tuple[int, ...]
    width: int  # channels of the stem
    channels: tuple[int, ...]  # that a block of each stage gives
    blocks: tuple[int, ...]  # of each stage
    block: str
    bottleneck: bool
    style: Style
    dropped: float = 0.0  # how often stochastic depth leaves out the last block
    large: bool = field(default=False)  # the stem for photographs

    def __post_init__(self) -> None:
        if len(self.inputs) != 3:
            raise ValueError(f"{self.name} takes images (C, H, W), these samples have shape {self.inputs}. Use mlp.")

    def make_block(self, channels_in: int, channels_out: int, stride: int, survival: float) -> nn.Module:
        kinds: dict[str, Callable[..., nn.Module]] = {
            "plain": PlainBlock,
            "basic": functools.partial(BasicBlock, survival=survival),
            "bottleneck": functools.partial(Bottleneck, survival=survival),
            "preactivation": functools.partial(PreactivationBlock, survival=survival, bottleneck=self.bottleneck),
            "fixup": functools.partial(
                FixupBlock, survival=survival, bottleneck=self.bottleneck, branches=sum(self.blocks)
            ),
        }
        return kinds[self.block](channels_in, channels_out, stride, style=self.style)


def resnet20(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 16,
    blocks: int = 3,
    block: str = "basic",
    activation: str = "relu",
    norm: str | None = None,
    shortcut: str = "pad",
    stochastic_depth: float = 0.0,
    squeeze_excite: bool = False,
    identity_start: bool = True,
) -> nn.Module:
    """Build the 20-layer residual network of He et al. for images of any size.

    Args:
        inputs: (C, H, W) of one image.
        outputs: number of logits or values.
        width: channels of the first stage; the next two have twice and four times as many.
        blocks: residual blocks a stage; 6 · blocks + 2 layers.
        block: one of ``BLOCKS``; ``bottleneck`` gives each stage four times as many channels and 9 · blocks + 2 layers.
        activation: one of ``trainwell.nn.ACTIVATIONS`` that keeps the number of channels.
        norm: one of ``trainwell.nn.NORMS``; ``batch`` if None, but ``none`` in Fixup's blocks.
        shortcut: one of ``trainwell.nn.SHORTCUTS``; ``identity`` serves only where no stage changes the shape.
        stochastic_depth: how often the last block's branch is left out in training, 0 … 1; earlier ones more seldom.
        squeeze_excite: whether each branch ends in channel gates (``trainwell.nn.SqueezeExcite``).
        identity_start: whether each block starts as its shortcut; Fixup's always do.

    Raises:
        ValueError: if the samples are no images, or an option is not known or does not fit the others.
    """
    _check_block(block)
    wide = 4 if block == "bottleneck" else 1
    style = Style(activation, _norm_for(block, norm), shortcut, squeeze_excite, identity_start)
    name = f"resnet{6 * blocks + 2}"
    channels = (wide * width, 2 * wide * width, 4 * wide * width)
    plan = _Plan(name, inputs, width, channels, (blocks,) * 3, block, block == "bottleneck", style, stochastic_depth)
    return _network(plan, outputs)


def resnet56(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 16,
    blocks: int = 9,
    block: str = "basic",
    activation: str = "relu",
    norm: str | None = None,
    shortcut: str = "pad",
    stochastic_depth: float = 0.0,
    squeeze_excite: bool = False,
    identity_start: bool = True,
) -> nn.Module:
    """Build the 56-layer residual network of He et al.; arguments as of ``resnet20``."""
    return resnet20(
        inputs,
        outputs,
        width=width,
        blocks=blocks,
        block=block,
        activation=activation,
        norm=norm,
        shortcut=shortcut,
        stochastic_depth=stochastic_depth,
        squeeze_excite=squeeze_excite,
        identity_start=identity_start,
    )


def plain20(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 16,
    blocks: int = 3,
    activation: str = "relu",
    norm: str = "batch",
    squeeze_excite: bool = False,
) -> nn.Module:
    """Build ``resnet20`` without its shortcuts: as many layers and parameters; arguments as there."""
    style = Style(activation, norm, "identity", squeeze_excite, identity_start=False)
    channels = (width, 2 * width, 4 * width)
    plan = _Plan(f"plain{6 * blocks + 2}", inputs, width, channels, (blocks,) * 3, "plain", False, style)
    return _network(plan, outputs)


def plain56(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 16,
    blocks: int = 9,
    activation: str = "relu",
    norm: str = "batch",
    squeeze_excite: bool = False,
) -> nn.Module:
    """Build ``resnet56`` without its shortcuts; arguments as of ``resnet20``."""
    return plain20(
        inputs,
        outputs,
        width=width,
        blocks=blocks,
        activation=activation,
        norm=norm,
        squeeze_excite=squeeze_excite,
    )


def resnet18(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 64,
    block: str = "basic",
    activation: str = "relu",
    norm: str | None = None,
    shortcut: str = "projection",
    stochastic_depth: float = 0.0,
    squeeze_excite: bool = False,
    identity_start: bool = True,
) -> nn.Module:
    """Build the 18-layer residual network of He et al. for photographs.

    Args:
        inputs: (C, H, W) of one image; below 64 pixels a side the stem keeps the image's size.
        outputs: number of logits or values.
        width: channels of the first stage; the next three have 2, 4 and 8 times as many.
        block: one of ``BLOCKS``; ``preactivation`` and ``fixup`` have two 3×3 convolutions.

    The other options are those of ``resnet20``; the stem of a pre-activated network has no normalization.

    Raises:
        ValueError: if the samples are no images, or an option is not known or does not fit the others.
    """
    _check_block(block)
    style = Style(activation, _norm_for(block, norm), shortcut, squeeze_excite, identity_start)
    wide = 4 if block == "bottleneck" else 1
    return _network(
        _photograph_plan("resnet18", inputs, width, wide, (2, 2, 2, 2), block, style, stochastic_depth), outputs
    )


def resnet50(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 64,
    block: str = "bottleneck",
    activation: str = "relu",
    norm: str | None = None,
    shortcut: str = "projection",
    stochastic_depth: float = 0.0,
    squeeze_excite: bool = False,
    identity_start: bool = True,
) -> nn.Module:
    """Build the 50-layer residual network of He et al. for photographs; arguments as of ``resnet18``.

    ``preactivation`` and ``fixup`` have bottlenecks here; ``basic`` makes it ResNet-34.
    """
    _check_block(block)
    style = Style(activation, _norm_for(block, norm), shortcut, squeeze_excite, identity_start)
    wide = 1 if block == "basic" else 4
    return _network(
        _photograph_plan("resnet50", inputs, width, wide, (3, 4, 6, 3), block, style, stochastic_depth), outputs
    )


def _photograph_plan(
    name: str,
    inputs: tuple[int, ...],
    width: int,
    wide: int,
    blocks: tuple[int, ...],
    block: str,
    style: Style,
    dropped: float,
) -> _Plan:
    channels = tuple(wide * width * 2**stage for stage in range(4))
    large = min(inputs[1:], default=0) >= 64
    return _Plan(name, inputs, width, channels, blocks, block, wide == 4, style, dropped, large)


def _network(plan: _Plan, outputs: int) -> nn.Module:
    layers = _stem(plan)
    survival = iter(survival_probabilities(sum(plan.blocks), plan.dropped))
    before = plan.width
    for stage, (channels, count) in enumerate(zip(plan.channels, plan.blocks, strict=True)):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            layers.append(plan.make_block(before, channels, stride, next(survival)))
            before = channels
    if plan.block == "preactivation":
        layers += [plan.style.normalization(before), plan.style.nonlinearity()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if plan.block == "fixup":
        layers.append(ScalarShift())
    net = nn.Sequential(*layers, nn.Linear(before, outputs))
    _start_(net, plan)
    return net


def _stem(plan: _Plan) -> list[nn.Module]:
    bias = plan.style.norm == "none" and plan.block != "fixup"
    size, stride = (7, 2) if plan.large else (3, 1)
    layers: list[nn.Module] = [nn.Conv2d(plan.inputs[0], plan.width, size, stride, padding=size // 2, bias=bias)]
    if plan.block == "fixup":
        layers += [ScalarShift(), plan.style.nonlinearity()]
    elif plan.block != "preactivation":
        layers += [plan.style.normalization(plan.width), plan.style.nonlinearity()]
    if plan.large:
        layers.append(nn.MaxPool2d(3, 2, padding=1))
    return layers


def _start_(net: nn.Sequential, plan: _Plan) -> None:
    """Draw all convolutions by Kaiming's rule, biases 0; then what has to start otherwise."""
    factor = math.sqrt(2) if plan.style.activation == "relu" else gain(plan.style.activation)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=factor / math.sqrt(module.weight[0].numel()))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in net.modules():
        if isinstance(module, FixupBlock):
            module.start_()
        elif isinstance(module, BasicBlock | Bottleneck | PreactivationBlock) and plan.style.identity_start:
            module.start_as_shortcut_()
    head: nn.Linear = net[-1]  # type: ignore[assignment]
    nn.init.zeros_(head.bias)
    if plan.block == "fixup":
        nn.init.zeros_(head.weight)


def _check_block(block: str) -> None:
    if block not in BLOCKS:
        raise InputError(f"block={block!r} is not known.", f"Use one of {', '.join(BLOCKS)}.")


def _norm_for(block: str, norm: str | None) -> str:
    if block != "fixup":
        return norm or "batch"
    if norm not in (None, "none"):
        raise InputError(f"block='fixup' has no normalization, norm={norm!r} does not fit.", "Leave norm out.")
    return "none"
