"""The methods by name: what each is, what it costs, what it needs, and its default rate with the reason.

A method is a class of ``torch.optim`` or of this room; ``METHODS["adamw"](parameters, lr)`` builds it with weight decay
on matrices alone. What a method needs beside gradients stands in its ``needs``, see ``method_entry``.
"""

from trainwell.nearest_name import nearest
from trainwell.optim.deterministic.full_batch_entries import FULL_BATCH
from trainwell.optim.method_entry import Method
from trainwell.optim.rules.adaptive_entries import ADAPTIVE
from trainwell.optim.rules.first_order_entries import FIRST_ORDER
from trainwell.optim.second_order.second_order_entries import SECOND_ORDER
from trainwell.optim.step_length.step_length_entries import STEP_LENGTHS

METHODS: dict[str, Method] = {
    **FIRST_ORDER,
    **ADAPTIVE,
    **FULL_BATCH,
    **SECOND_ORDER,
    **STEP_LENGTHS,
}


def method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        ValueError: if there is none, with the nearest name.
    """
    if name not in METHODS:
        hint = nearest(name, METHODS, f"Methods: {', '.join(METHODS)}.")
        raise ValueError(f"no method is called {name!r}. {hint}")
    return METHODS[name]
