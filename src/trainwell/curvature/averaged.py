"""The mean loss of a model over batches, evaluated without leaving a trace.

    L(w) = Σ_b s_b L_b(w) / Σ_b s_b,    s_b = what the mean L_b divides by: the samples of batch b,

in cross-entropy the class weights of the targets that are not ignored: exact for batches of unequal size. The model is
used as it is (mode, precision, hooks); its loss must be a function of parameters and batch alone, hence dropout off.
Buffers, random states, gradients and modes stay as they were. Attention runs on PyTorch's MATH kernel, the only one
that can be differentiated twice, weight_norm on plain operations (its kernel's second derivative is wrong); autocast
is switched off: curvature is that of the function in the parameters' dtype.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from trainwell.curvature.weight_norm_kernel import unfused
from trainwell.errors import InputError

SAME = 100.0  # multiples of the dtype's eps within which two evaluations count as equal (order of sums on a GPU)


class MeanLoss:
    """The mean of ``loss(model(x), y)`` over batches.

    Args:
        model: in the mode it is to be examined in.
        loss: ``(outputs, y) -> scalar``, a mean over samples.
        batches: one batch (x, y), or an iterable of them; an iterator is read into a list.
        names: of the parameters to use; all that require gradients if None.

    Raises:
        InputError: if there is no such parameter, no batch, several dtypes or devices, a loss that is a sum, not
            finite, or different when evaluated twice.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        batches: Any,
        names: Iterable[str] | None = None,
    ) -> None:
        self.model, self.loss = model, loss
        self.names, self.parameters = trainable(model, names)
        self.batches = as_batches(batches)
        self._state = torch.get_rng_state()
        if getattr(loss, "reduction", "mean") != "mean":
            raise InputError(
                f"curvature: the loss has reduction={getattr(loss, 'reduction', None)!r}.",
                "Use reduction='mean': operators are means over samples.",
            )
        self._check()

    @property
    def dtype(self) -> torch.dtype:
        return self.parameters[0].dtype

    @property
    def device(self) -> torch.device:
        return self.parameters[0].device

    @property
    def shapes(self) -> list[torch.Size]:
        return [p.shape for p in self.parameters]

    def value(self) -> Tensor:
        """The mean loss, detached."""
        return self.average(lambda x, y: self.loss(self.model(x), y).detach())

    def gradient(self) -> list[Tensor]:
        """The gradient of the mean loss, one tensor a parameter; ``.grad`` is not touched."""
        total = self.average(lambda x, y: torch.cat([g.reshape(-1) for g in self.batch_gradient(x, y)]))
        return [
            part.view(s) for part, s in zip(total.split([s.numel() for s in self.shapes]), self.shapes, strict=True)
        ]

    def batch_gradient(self, x: Any, y: Any) -> list[Tensor]:
        """The gradient of one batch's loss; call it inside :meth:`average`."""
        parts = torch.autograd.grad(self.loss(self.model(x), y), self.parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, parts, strict=True)]

    def average(self, part: Callable[[Any, Any], Tensor], share: Callable[[Any, Any], float] | None = None) -> Tensor:
        """Σ s_b part(x_b, y_b) / Σ s_b, in the parameters' dtype, summed in float32 or better.

        Args:
            part: detached, of one shape in all batches.
            share: s_b of a batch; what the loss divides by if None.
        """
        share = share or self.share
        total, weight = None, 0.0
        with self.quiet():
            for x, y in self.batches:
                s = share(x, y)
                if s == 0:
                    continue
                value = part(x, y)
                value = value.to(torch.promote_types(value.dtype, torch.float32)) * s
                total, weight = value if total is None else total.add_(value), weight + s
        if total is None:
            raise InputError("curvature: the batches hold no sample.", "Give at least one batch with one sample.")
        return (total / weight).to(self.dtype)

    def share(self, x: Any, y: Any) -> float:
        """What the mean loss of a batch divides by (up to a factor that all batches have in common)."""
        if not hasattr(self.loss, "ignore_index") or not isinstance(y, Tensor) or y.is_floating_point():
            return float(samples(x))
        counted = y[y != self.loss.ignore_index]
        weight = getattr(self.loss, "weight", None)
        return float(len(counted) if weight is None else weight[counted].sum())

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Gradients on and autocast off inside; buffers and random states are put back afterwards."""
        buffers = [(b, b.clone()) for b in self.model.buffers()]
        own = getattr(self.batches, "generator", None)
        own_state = own.get_state() if isinstance(own, torch.Generator) else None
        devices = [self.device] if self.device.type == "cuda" else []
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=devices))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(torch.autocast(self.device.type, enabled=False))
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.enter_context(unfused())
            torch.set_rng_state(self._state)  # a shuffling loader gives the same order in every product
            try:
                yield
            finally:
                with torch.no_grad():
                    for buffer, saved in buffers:
                        buffer.copy_(saved)
                if own_state is not None:
                    own.set_state(own_state)  # type: ignore[union-attr]

    def _check(self) -> None:
        with self.quiet(), torch.no_grad():
            for x, y in self.batches:
                first, second = (self.loss(self.model(x), y) for _ in range(2))
                break
            else:
                raise InputError("curvature: there is no batch.", "Give (x, y) or an iterable of such batches.")
        if first.numel() != 1:
            raise InputError(f"curvature: the loss has shape {tuple(first.shape)}.", "Give a scalar mean over samples.")
        if not torch.isfinite(first):
            raise InputError(f"curvature: the loss is {first.item()}.", "Go back to parameters where it is finite.")
        if (first - second).abs() > SAME * torch.finfo(first.dtype).eps * first.abs():
            raise InputError(
                f"curvature: the loss of one batch is {first.item():.8g} once and {second.item():.8g} again.",
                "Switch its randomness off: model.eval(), or dropout and noise alone.",
            )


def trainable(model: nn.Module, names: Iterable[str] | None) -> tuple[tuple[str, ...], list[Tensor]]:
    """Names and tensors of the parameters to use, of one dtype and device."""
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if names is not None:
        chosen = list(names)
        missing = [name for name in chosen if name not in found]
        if missing:
            raise InputError(
                f"curvature: the model has no trainable parameter {missing[0]!r}.", f"It has {', '.join(found)}."
            )
        found = {name: found[name] for name in chosen}
    if not found:
        raise InputError("curvature: no parameter requires gradients.", "Call requires_grad_(True) on those to use.")
    kinds = {(p.dtype, p.device) for p in found.values()}
    if len(kinds) > 1:
        raise InputError(
            f"curvature: the parameters have {len(kinds)} dtypes or devices: "
            f"{', '.join(sorted(f'{dtype} on {device}' for dtype, device in kinds))}.",
            "Name parameters of one kind, or convert the model with .to(...).",
        )
    return tuple(found), list(found.values())


def as_batches(batches: Any) -> Iterable[tuple[Any, Any]]:
    """A batch (x, y) as a list of one, an iterator as a list, anything else as it is."""
    if isinstance(batches, tuple | list) and len(batches) == 2 and isinstance(batches[1], Tensor):
        return [tuple(batches)]
    if isinstance(batches, Iterator):
        return list(batches)
    if not isinstance(batches, Iterable) or isinstance(batches, Tensor):
        raise InputError(
            f"curvature: batches is a {type(batches).__name__}.", "Give (x, y) or an iterable of such batches."
        )
    return batches


def samples(x: Any) -> int:
    """Samples of a batch: the length of the first tensor in it."""
    while not isinstance(x, Tensor):
        if not isinstance(x, Mapping | Sequence) or not x:
            raise InputError(
                f"curvature: the input of a batch is a {type(x).__name__}.",
                "Give a tensor, or a dict or tuple of them.",
            )
        x = next(iter(x.values())) if isinstance(x, Mapping) else x[0]
    return len(x)
