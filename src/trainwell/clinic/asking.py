"""The program's loss, to be asked with answers that were made up."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.clinic.duplicate import duplicate


def own_loss(loss: Any) -> Any:
    """A copy that may be asked anything: what it keeps of that does not reach the program's."""
    return duplicate(loss) if isinstance(loss, nn.Module) else loss


def written_in(loss: Any, *libraries: str) -> bool:
    """Whether the loss, a module or a function, comes from one of these libraries (``"torch"``)."""
    places = type(loss).__module__, str(getattr(loss, "__module__", ""))
    return any(place.startswith(f"{library}.") for place in places for library in libraries)


def asked(loss: Any, output: Tensor, y: Any) -> Tensor:
    """The loss of an answer, with a gradient where the answer wants one, and without warnings of shapes."""
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value: Tensor = loss(output, y)
    return value
