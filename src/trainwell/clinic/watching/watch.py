"""``watch``: sits beside any training loop and says what goes wrong, once a problem, the moment it happens.

At every step it notes modes, times and the loss; a step that :class:`Pace` finds affordable it looks at closely. What
is not finite is traced to layer and operation on a copy. The loop computes what it would without, bit for bit.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.clinic.codes import CODES
from trainwell.clinic.finding import INFO, Finding
from trainwell.clinic.watching import alarming, showing
from trainwell.clinic.watching.pace import PROMISED, Pace
from trainwell.clinic.watching.replay import Replay
from trainwell.clinic.watching.seen import HOPELESS, Seen, Window, named_parameters
from trainwell.clinic.watching.sensors import Sensors
from trainwell.errors import InputError

Told = Callable[[Finding], Any]


def on_stderr(finding: Finding) -> None:
    """Say a finding in a sentence."""
    print(f"trainwell: {showing.sentence(finding)}", file=sys.stderr, flush=True)


class Watch:
    """Watches a training loop between ``start()`` and ``stop()``, or inside ``with``.

    Args:
        net: that is called in the loop.
        optimizer: that steps, or several in the order in which they step.
        loss: a module is seen where the loop calls it; of a function call ``w.loss`` in its place.
        loader: of the training batches, to see their order.
        told: is given each finding, in place of a sentence on stderr.
        share: of a step's time that the watch may take.

    Attributes:
        findings: so far, in the order in which they were spoken.
        loss: as given, a function in a wrapper that shows the watch its calls.
        seen: what is known of the loop.
        pace: how often it is looked at, and the time that took.

    Raises:
        InputError: for a net that is no module, or an optimizer that is none.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        loss: Callable[..., Tensor] | None = None,
        loader: Any = None,
        *,
        told: Told | None = None,
        share: float = PROMISED,
    ) -> None:
        optimizers = _checked(net, optimizer, loss, share)
        self._given, self._told = loss, told or on_stderr
        self.findings: list[Finding] = []
        self.loss: Any = loss if loss is None or isinstance(loss, nn.Module) else self._called
        self.pace = Pace(share)
        self.seen = Seen(net, optimizers, loader, Replay(net, loss), named_parameters(net), Window(0.0))
        self._sensors = Sensors(self.seen, self.pace, loss, self._ask)
        self._alarms = [alarm() for alarm in alarming.alarms()]
        self._asked = {moment: [a for a in self._alarms if hasattr(a, moment)] for moment in alarming.MOMENTS}
        self._failed: list[str] = []
        self._steps_before = 0

    def start(self) -> "Watch":
        """Begin to watch."""
        if not self._sensors.on:
            self.pace.begin()
            self._ask("start")
            self._sensors.install()
        return self

    def stop(self) -> "Watch":
        """Watch no longer; all hooks are gone."""
        if self._sensors.on:
            self._sensors.remove()
            self.pace.end()
        return self

    def __enter__(self) -> "Watch":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def observe(self, loss: Tensor) -> None:
        """Show the watch a loss that it does not see by itself, right after it was computed."""
        if self._sensors.awake:
            self._sensors.loss_seen(loss, None, {})

    def _called(self, *args: Any, **kwargs: Any) -> Any:
        assert self._given is not None
        value = self._given(*args, **kwargs)
        self._sensors.loss_called(None, args, kwargs, value)
        return value

    # ---- speaking ----------------------------------------------------------------------------------------------------

    def _ask(self, moment: str, *about: Any) -> None:
        for alarm in self._asked[moment]:
            if moment == "step" and self.seen.step % getattr(alarm, "EVERY", 1):
                continue
            try:
                for finding in getattr(alarm, moment)(self.seen, *about):
                    self._say(finding)
            except Exception as error:  # the watch must not end the loop that it watches; it says what it has missed
                self._asked = {at: [a for a in each if a is not alarm] for at, each in self._asked.items()}
                self._failed.append(
                    f"{alarm.BLIND}: {alarm.__module__.rpartition('.')[2]} failed at step {self.seen.step} "
                    f"({type(error).__name__}: {error})"
                )

    def _say(self, finding: Finding) -> None:
        """Speak, unless the same was said before, or a cause that brings it about."""
        spoken = self.seen.spoken
        if finding.code in spoken:
            return
        spoken.add(finding.code)
        finding = replace(finding, evidence={"step": self.seen.step, **finding.evidence})
        for i, cause in enumerate(self.findings):
            if finding.code in CODES[cause.code].explains and finding.code not in HOPELESS:
                self.findings[i] = replace(cause, symptoms=(*cause.symptoms, finding.code))
                return
        own = CODES[finding.code].explains
        self.findings.append(replace(finding, symptoms=tuple(f.code for f in self.findings if f.code in own)))
        self._told(self.findings[-1])

    # ---- showing -----------------------------------------------------------------------------------------------------

    @property
    def healthy(self) -> bool:
        """Whether nothing above ``info`` was found so far."""
        return all(finding.severity == INFO for finding in self.findings)

    @property
    def steps(self) -> int:
        """Optimizer steps that were watched."""
        return self.seen.step - 1

    @property
    def blind(self) -> list[str]:
        """What it cannot see here, and why."""
        missing = {"loss"} if self._given is None and not self.seen.loss_known else set()
        missing |= {"loader"} if self.seen.loader is None else set()
        told = {name: [a.BLIND for a in self._alarms if name in getattr(a, "NEEDS", ())] for name in sorted(missing)}
        found = [f"without {name}: {'; '.join(dict.fromkeys(each))}" for name, each in told.items() if each]
        if self.steps and self._given is not None and not self.seen.loss_known:
            hint = "the loop does not call it" if isinstance(self._given, nn.Module) else "call w.loss in its place"
            found.append(f"the loss is never seen: {hint}")
        if self.steps and not self.seen.batches:
            found.append("the net's forward is never seen: the loop calls parts of it; give the part that it calls")
        return [*found, *self._failed]

    def to_dict(self) -> dict[str, Any]:
        """Findings, blind spots and cost in JSON's types."""
        cost = {"seconds": round(self.pace.spent, 4), "share": round(self.pace.part, 4), "looks": self.pace.looks}
        return {
            "healthy": self.healthy,
            "steps": self.steps,
            "findings": [finding.to_dict() for finding in self.findings],
            "blind": self.blind,
            "cost": cost,
        }

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1)

    def __str__(self) -> str:
        return showing.text(self)

    def __repr__(self) -> str:
        return f"<Watch: {showing.headline(self)}>"

    def _repr_html_(self) -> str:
        return showing.html(self)


def watch(
    net: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    loss: Callable[..., Tensor] | None = None,
    loader: Any = None,
    *,
    told: Told | None = None,
    share: float = PROMISED,
) -> Watch:
    """Watch a training loop: ``with tw.watch(net, optimizer, loss=loss_fn, loader=loader) as w: …``.

    See :class:`Watch` for the arguments.
    """
    return Watch(net, optimizer, loss, loader, told=told, share=share)


def _checked(net: Any, optimizer: Any, loss: Any, share: float) -> tuple[Optimizer, ...]:
    """The optimizers, as they are below what wraps them."""
    if not isinstance(net, nn.Module):
        raise InputError(f"watch: the net is a {type(net).__name__}, not an nn.Module.", "Give the net, then the rest.")
    given = optimizer if isinstance(optimizer, tuple | list) else [optimizer]
    bare = [_bare(one) for one in given]
    for one in bare:
        if not isinstance(one, Optimizer):
            raise InputError(
                f"watch: the optimizer is a {type(one).__name__}, not a torch.optim.Optimizer.",
                "Give the optimizer, or a list of several.",
            )
    if not bare:
        raise InputError("watch: no optimizer is given.", "Give the one that steps in the loop.")
    if loss is not None and not callable(loss):
        raise InputError(
            f"watch: the loss is a {type(loss).__name__}, which cannot be called.",
            "Give the function of (output, target), not its value; w.observe(value) takes values.",
        )
    if not 0 < share <= 1:
        raise InputError(f"watch: share is {share}.", "Give a part of a step's time above 0, as 0.03.")
    return tuple(bare)


def _bare(optimizer: Any) -> Any:
    """The optimizer inside wrappers, as those of ``accelerate`` and ``lightning``."""
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    return optimizer
