"""The watch in trainwell's own engine: a callback ``f(event, state)`` of its runs."""

from dataclasses import replace
from typing import Any

from torch import nn

from trainwell.clinic.finding import Finding
from trainwell.clinic.watching import showing
from trainwell.clinic.watching.pace import PROMISED
from trainwell.clinic.watching.watch import Told, Watch, on_stderr
from trainwell.training.state import State


class WatchedRun:
    """Watches a run: ``tw.fit(program, callbacks=[WatchedRun(loss=program.loss)])``.

    A run that steps back to an earlier state is watched anew from there; steps are counted as the run does.

    Args:
        loss: the program's, if it is a module: it is seen where the engine calls it. Without it the loss is read after
            each step, and what goes wrong in the net is found by its gradients.
        loader: the program's training loader, where it has one.
        told: is given each finding, in place of a sentence on stderr.
        in_run: say it among the sentences of the run, which its bar, log and report show, in place of stderr.
        share: of a step's time that it may take.

    Attributes:
        watch: of the latest run, since it last stepped back; None before one begins.
        findings: of the latest run, each code once.
    """

    def __init__(
        self,
        loss: Any = None,
        loader: Any = None,
        *,
        told: Told | None = None,
        in_run: bool = False,
        share: float = PROMISED,
    ) -> None:
        self._loss = loss if isinstance(loss, nn.Module) else None
        self._loader, self._told, self._in_run, self._share = loader, told or on_stderr, in_run, share
        self._state, self._before = State(), 0
        self.watch: Watch | None = None
        self.findings: list[Finding] = []

    def __call__(self, event: str, state: State) -> None:
        if event == "run_start":
            self.findings = []
        if event in ("run_start", "stepped_back") and state.model is not None and state.optimizer is not None:
            if self.watch is not None:
                self.watch.stop()
            self._state, self._before = state, state.step
            self.watch = Watch(
                state.model, state.optimizer, self._loss, self._loader, told=self._say, share=self._share
            ).start()
        elif self.watch is None:
            return
        elif event == "step_end" and self._loss is None and state.loss is not None:
            self.watch.observe(state.loss)
        elif event == "run_end":
            self.watch.stop()

    def _say(self, finding: Finding) -> None:
        if any(finding.code == known.code for known in self.findings):
            return  # said before the run stepped back
        step = self._before + int(finding.evidence["step"])
        finding = replace(finding, evidence={**finding.evidence, "step": step})
        self.findings.append(finding)
        if self._in_run:
            self._state.say(f"At {showing.sentence(finding)}")
        else:
            self._told(finding)
