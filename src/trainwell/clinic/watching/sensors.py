"""The hooks of the watch: they note what a loop does, and ask the alarms at each moment that one of them wants.

What every step costs is kept to a few microseconds: modes, times and references; the loss is read where it costs no
waiting (on CUDA it is copied beside the backward pass and read before the step). The hooks of layers are there only
for steps that are looked at.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from trainwell.clinic.watching.hook import Hook
from trainwell.clinic.watching.look import Looking, embeddings, weighted_layers
from trainwell.clinic.watching.pace import Pace
from trainwell.clinic.watching.replay import own_loss, tensors_of
from trainwell.clinic.watching.seen import MOST_PASSES, Pass, Seen, Window, keep_arguments, plain_path

PROBED = 3  # parameters whose gradients are looked at when a backward pass begins

Ask = Callable[..., None]


class Sensors:
    """Sits on a net, a loss and the optimizers.

    Args:
        seen: is kept up to date.
        pace: decides which steps are looked at closely, and counts the time that is taken here.
        loss: as given to the watch: a module is hooked, what a function gave is told to :meth:`loss_called`.
        ask: ``ask(moment, …)`` asks the alarms.
    """

    def __init__(self, seen: Seen, pace: Pace, loss: Any, ask: Ask) -> None:
        self.seen, self.pace, self._loss, self._ask = seen, pace, loss, ask
        self._net = seen.net
        self._device = next((p.device for p in seen.net.parameters()), torch.device("cpu"))
        self._handles: list[Any] = []
        self._awake: list[Any] = []
        self._looking: Looking | None = None
        self._cost = 0.0
        self._probes: list[nn.Parameter] = []
        self._pending: list[tuple[Pass, Tensor, Any]] = []
        held = seen.rates
        named = [(name, p) for p in seen.net.parameters() if (name := seen.names.get(id(p))) and id(p) in held]
        self._parameters = [(name, p) for name, p in named if p.numel() > 0]
        early = [p for _, p in self._parameters if p.requires_grad]
        self._canary = min(early[: max(1, len(early) // 4)], key=lambda p: p.numel(), default=None)
        self._layers = [(plain_path(path), layer) for path, layer in weighted_layers(seen.net)]
        self._tables = embeddings(seen.net)
        self._norms = [module for module in seen.net.modules() if isinstance(module, _BatchNorm)]

    @property
    def on(self) -> bool:
        """Whether the hooks are there."""
        return bool(self._handles)

    @property
    def awake(self) -> bool:
        """Whether this step is not passed over."""
        return bool(self._awake)

    def install(self) -> None:
        """Put the hooks in their places."""
        optimizers = self.seen.optimizers
        self._handles = [optimizer.register_step_pre_hook(self._step_begins) for optimizer in optimizers]
        self._handles.append(optimizers[-1].register_step_post_hook(self._step_ended))
        self._wake()
        self._prepare()
        self.seen.window = Window(time.perf_counter(), whole=False)

    def remove(self) -> None:
        """Take all hooks away."""
        self._doze()
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._looking is not None:
            self._looking.remove()
        self._looking = None
        self.seen.window = Window(0.0)

    def _wake(self) -> None:
        """Look at forwards and losses."""
        self._awake = [
            self._net.register_forward_pre_hook(Hook(self._forward_begins), with_kwargs=True),
            self._net.register_forward_hook(Hook(self._forward_ended)),
        ]
        if isinstance(self._loss, nn.Module):
            self._awake.append(self._loss.register_forward_hook(Hook(self.loss_called), with_kwargs=True))

    def _doze(self) -> None:
        """Pass steps over, but count them."""
        for handle in self._awake:
            handle.remove()
        self._awake = []
        self._pending.clear()

    # ---- forward -----------------------------------------------------------------------------------------------------

    def _forward_begins(self, net: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.compiler.is_compiling() or net is not self._net:
            return
        now = time.perf_counter()
        if torch.is_grad_enabled():
            self.batch_begins(args, kwargs, now)
        elif net.training and all(norm.momentum is not None for norm in self._norms):
            self.seen.window.unlearned += 1
        self.pace.spent += time.perf_counter() - now

    def batch_begins(self, args: tuple[Any, ...], kwargs: dict[str, Any], now: float) -> None:
        """Note a forward with gradients."""
        seen, training = self.seen, self._net.training
        window = seen.window
        if window.waited is None:
            window.waited = now - window.began
        window.forwards += 1
        window.in_eval += not training
        seen.batches += 1
        kind = self._device.type
        autocast = (kind, torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else None
        if len(window.passes) == MOST_PASSES:
            del window.passes[0]
        window.passes.append(Pass(seen.batches, args, kwargs, torch.get_rng_state(), autocast, training))

    def _forward_ended(self, net: nn.Module, args: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or net is not self._net or not torch.is_grad_enabled():
            return
        now = time.perf_counter()
        window = self.seen.window
        if window.passes:
            tensor = output if isinstance(output, Tensor) else next(tensors_of(output), None)
            if tensor is not None:
                window.passes[-1].pointer, window.passes[-1].size = tensor.data_ptr(), tensor.numel()
            if self._looking is not None:
                for each in tensors_of(output):
                    self._await_backward(each)
            if self._loss is None and tensor is not output and (loss := own_loss(output)) is not None:
                self.loss_seen(loss, None, {})
        self.pace.spent += time.perf_counter() - now

    # ---- loss --------------------------------------------------------------------------------------------------------

    def loss_called(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any) -> None:
        """Note a call of the loss."""
        if torch.compiler.is_compiling() or not self._awake:
            return
        now = time.perf_counter()
        if isinstance(value, Tensor):
            if value.requires_grad:
                self.loss_seen(value, args, kwargs)
            elif not torch.is_grad_enabled() and self.seen.window.unlearned:
                self.seen.window.unlearned_losses += 1
        self.pace.spent += time.perf_counter() - now

    def loss_seen(self, value: Tensor, args: tuple[Any, ...] | None, kwargs: dict[str, Any]) -> None:
        """Note the value of a loss of training, and see to it that it is read."""
        self.seen.loss_known = True
        passes = self.seen.window.passes
        if self._looking is not None:
            self._await_backward(value)
        one = passes[-1] if passes else Pass(self.seen.batches, (), {}, torch.empty(0), None, True)
        if args is not None and one.loss_args is None:
            keep_arguments(one, args, kwargs)
        scalar = value.detach()
        if scalar.dim() > 0:
            scalar = scalar.mean()
        if scalar.device.type != "cuda":
            self._loss_read(one, scalar.item())
            return
        copied = torch.empty((), dtype=scalar.dtype, pin_memory=True)
        copied.copy_(scalar, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._pending.append((one, copied, event))

    def _loss_read(self, one: Pass, value: float) -> None:
        one.loss = value
        self.seen.window.losses.append(value)
        if value - value != 0.0:
            self._ask("loss", one)

    def _await_backward(self, tensor: Tensor) -> None:
        """Look at gradients when the backward pass reaches this tensor, before it reaches any parameter."""
        if not tensor.requires_grad or not self._probes:
            return
        clean, probes = self.seen.window.clean, self._probes

        def begins(gradient: Tensor) -> None:
            now = time.perf_counter()
            if not any(clean):
                clean.append(not any(p.grad is not None and bool(p.grad.count_nonzero()) for p in probes))
            self.pace.spent += time.perf_counter() - now

        tensor.register_hook(begins)

    # ---- step --------------------------------------------------------------------------------------------------------

    def _step_begins(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """Look at the gradients before they are used: now, or at the end of the closure that computes them."""
        if not self._awake:
            return None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._gradients_ready(optimizer)
            return None

        def computing() -> Any:
            value = closure()
            self._gradients_ready(optimizer)
            return value

        if len(args) > 1:
            return (args[0], computing, *args[2:]), kwargs
        return args, {**kwargs, "closure": computing}

    def _gradients_ready(self, optimizer: Optimizer) -> None:
        now = time.perf_counter()
        for one, copied, event in self._pending:
            event.synchronize()  # the forward is done; the backward still runs
            self._loss_read(one, copied.item())
        self._pending.clear()
        gradient = self._canary.grad if self._canary is not None and self._device.type == "cpu" else None
        if gradient is not None and not gradient.is_sparse:
            total = gradient.sum().item()
            if total - total != 0.0 and getattr(optimizer, "found_inf", None) is None:
                self._ask("gradient")
        if self._looking is not None and self._looking.waiting:
            self._looking.before_step(self.seen.rates)
            self._cost += time.perf_counter() - now
        self.pace.spent += time.perf_counter() - now

    def _step_ended(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        now = time.perf_counter()
        seen = self.seen
        if not self._awake:
            seen.step += 1
            if not self.pace.tired:
                self._wake()
                seen.window = Window(time.perf_counter(), timed=self._device.type != "cuda")
            self.pace.spent += time.perf_counter() - now
            return
        if seen.window.losses:
            value = sum(seen.window.losses) / len(seen.window.losses)
            if seen.first_loss is None:
                seen.first_loss = value
            seen.losses.append(value)
        looked = self._looking is not None
        if looked:
            self._judge(now)
        self._ask("step")
        seen.look, seen.step = None, seen.step + 1
        self._prepare()
        timed = self._device.type != "cuda"
        if looked and not timed:
            torch.cuda.synchronize(self._device)
            timed = True
        if self._looking is None and self.pace.tired:
            self._doze()
        ended = time.perf_counter()
        seen.window = Window(ended, timed=timed)
        self.pace.spent += ended - now

    def _judge(self, now: float) -> None:
        looking, self._looking = self._looking, None
        assert looking is not None
        looking.remove()
        if not looking.waiting and not self.seen.hopeless:
            self.seen.look = look = looking.after_step()
            graded = sorted((p.size, p.key) for p in look.parameters if p.gradient)
            chosen = {key for _, key in graded[:PROBED]}
            self._probes = [p for _, p in self._parameters if id(p) in chosen]
            self._ask("look")
        self.pace.spent += looking.seconds
        self.pace.looked(self._cost + looking.seconds + time.perf_counter() - now)

    def _prepare(self) -> None:
        """Look closely at the next step, if it is due."""
        seen = self.seen
        if seen.hopeless or not (seen.wanted or self.pace.due(seen.step)):
            return
        seen.wanted = False
        now = time.perf_counter()
        parameters = [(name, p) for name, p in self._parameters if p.requires_grad]
        self._looking = Looking(parameters, self._layers, self._tables)
        self._looking.install()
        self._cost = time.perf_counter() - now
