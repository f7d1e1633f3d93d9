"""A network as theory sees it: its layers in the order of execution, without weights and without torch.

``trainwell.nn.trace`` makes a ``Chain`` from a module; initialization, theory and clinic read it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

KINDS = (
    "input",
    "linear",
    "conv",
    "norm",
    "activation",
    "pool",
    "flatten",
    "embedding",
    "dropout",
    "scale",
    "output",
    "other",
)


@dataclass(frozen=True)
class Layer:
    """One step of the forward pass: a module without children, or a function that the model calls between modules.

    Attributes:
        path: where it is in the module tree, ``"body.blocks.0.linear"``; a function is its caller's path and its own
            name with parentheses, ``"body.blocks.0.add()"``.
        kind: one of ``KINDS``. ``input`` prepares raw data, ``scale`` multiplies by a number or adds one, ``output``
            restores the target's units, ``other`` is the rest: additions of branches, recurrent layers, attention.
        name: the class (``"Linear"``) or the function (``"add"``); an activation has its class's name either way.
        input_shape: of the first tensor it reads, without the batch; () if none, or if it is one number a sample.
        output_shape: of the first tensor it gives, without the batch.
        fan_in: inputs that one output sums over: in_features, or channels of a group × kernel size; 0 without weight.
        fan_out: outputs that one input reaches: out_features, or channels × kernel size; 0 without weight.
        parameters: how many numbers it owns that training may change; those shared with an earlier layer count there.
        detail: its settings as torch prints them, ``"3, 16, kernel_size=(3, 3), stride=(1, 1)"``; of a function
            ``"parameter=pos factor=2.0"``: tensors of the model and numbers that it uses.
        reads: steps of the chain whose outputs it reads, in the order of its arguments; −1 is the net's input, and ()
            stands for the step before.
    """

    path: str
    kind: str
    name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    fan_in: int = 0
    fan_out: int = 0
    parameters: int = 0
    detail: str = ""
    reads: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Layer: kind={self.kind!r} of {self.path!r} is not one of {', '.join(KINDS)}.")


@dataclass(frozen=True)
class Chain:
    """The layers of a network in the order in which the forward pass runs them.

    Attributes:
        layers: a module that runs twice stands here twice.
        incomplete: a sentence on what the chain doesn't show, and why; "" where it shows everything.

    Example:
        >>> chain = Chain((Layer("0", "linear", "Linear", (2,), (3,), fan_in=2, fan_out=3, parameters=9),))
        >>> len(chain), chain.parameters
        (1, 9)
    """

    layers: tuple[Layer, ...]
    incomplete: str = ""

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @property
    def parameters(self) -> int:
        """How many trainable numbers the layers own together; shared ones count once."""
        return sum(layer.parameters for layer in self.layers)

    def of_kind(self, *kinds: str) -> tuple[Layer, ...]:
        """The layers whose kind is among ``kinds``, in the order of execution."""
        return tuple(layer for layer in self.layers if layer.kind in kinds)
