"""Residual branches of a traced net: which layers with weights end a branch that is added to what it reads."""

from trainwell.theory.chain import Chain


def branch_ends(chain: Chain) -> list[str]:
    """Paths of the last layers with weights of the branches x + f(x), in their order; each called once.

    Of the two that an addition reads, the branch is the one that runs through weights on its way from the other.
    """
    calls = [layer.path for layer in chain.of_kind("linear", "conv")]
    found = list[str]()
    for layer in chain.layers:
        if layer.name != "add" or len(layer.reads) != 2:
            continue
        for branch, stream in (layer.reads, layer.reads[::-1]):
            end = _last_weights(chain, branch, stream)
            if end is not None and calls.count(end) == 1:
                found.append(end)
                break
    return list(dict.fromkeys(found))


def _last_weights(chain: Chain, place: int, stream: int) -> str | None:
    """The first layer with weights met on the way back from ``place``, if that way comes from the step ``stream``."""
    end = None
    while place > stream and place >= 0:
        layer = chain.layers[place]
        if layer.kind in ("linear", "conv") and end is None and not layer.path.endswith("()"):
            end = layer.path
        reads = layer.reads or (place - 1,)
        if len(reads) != 1:
            return None
        place = reads[0]
    return end if place == stream else None
