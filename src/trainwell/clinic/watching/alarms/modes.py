"""The net in the wrong mode: trained in ``eval()``, or validated in ``train()``.

Only layers that act differently in both modes count, norms with running moments and dropout, and of those that are in
evaluation mode only what belongs to trained weights: a frozen backbone is often left in ``eval()`` on purpose. Forwards
without gradients in training mode that come at every step are part of the method (a generator that only feeds a
discriminator, pseudo-labels, targets of a value function); what comes after many steps without any is a validation,
unless it measures the norms' moments anew (``update_bn``, which is told by a momentum of None).
"""

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from trainwell.clinic.finding import Finding
from trainwell.clinic.watching.alarming import found
from trainwell.clinic.watching.seen import Seen

QUIET = 8  # steps without such forwards, after which a pair of them is a validation
PAIR = 2  # a single one may be a picture of what the net does by now


class Alarm:
    """See the file's text."""

    BLIND = "training in eval() and validation in train()"

    def __init__(self) -> None:
        self._quiet = 0

    def step(self, seen: Seen) -> Iterator[Finding]:
        """Look at the modes of all forwards of the window."""
        window = seen.window
        if "wrong-mode" in seen.spoken:
            return
        if window.forwards and window.in_eval == window.forwards:
            layers = _asleep(seen)
            if layers:
                yield _in_eval(seen, layers)
        if window.unlearned_losses or (window.unlearned >= PAIR and self._quiet >= QUIET):
            layers = _awake(seen.net)
            if layers:
                yield _in_train(seen, layers)
        self._quiet = 0 if window.unlearned else self._quiet + 1


def _in_eval(seen: Seen, layers: list[str]) -> Finding:
    message = (
        f"The net is trained in eval() mode: {_some(layers)} use{'s' * (len(layers) == 1)} running moments or drop "
        "nothing. Call net.train() before the steps, and again after each validation."
    )
    return found("wrong-mode", layers[0], message, {"mode": "eval", "layers": len(layers)}, 0.1)


def _in_train(seen: Seen, layers: list[str]) -> Finding:
    message = (
        f"The net is evaluated in train() mode (forwards without gradients): {_some(layers)} "
        f"take{'s' * (len(layers) == 1)} moments of the batch or drop units, and running moments learn from what is "
        "evaluated. Call net.eval() before, and net.train() after."
    )
    return found("wrong-mode", layers[0], message, {"mode": "train", "layers": len(layers)}, 0.1)


def _some(layers: list[str]) -> str:
    return layers[0] if len(layers) == 1 else f"{layers[0]} and {len(layers) - 1} more"


def _asleep(seen: Seen) -> list[str]:
    """Layers in evaluation mode that belong to trained weights: their own, or those of the layer before."""
    held = seen.rates
    trained, layers = False, []
    for path, module in seen.net.named_modules():
        own = list(module.parameters(recurse=False))
        if own:
            trained = any(p.requires_grad and id(p) in held for p in own)
        if trained and not module.training and _differs(module):
            layers.append(path or "the net")
    return layers


def _awake(net: nn.Module) -> list[str]:
    """Layers in training mode that would act differently in evaluation."""
    layers = [(path or "the net", module) for path, module in net.named_modules() if module.training]
    return [path for path, module in layers if _differs(module)]


def _differs(module: nn.Module) -> bool:
    if isinstance(module, _NormBase):
        return module.track_running_stats
    return isinstance(module, _DropoutNd | nn.AlphaDropout) and module.p > 0
