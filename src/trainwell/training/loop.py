"""The loop: epochs of steps, validation, checkpoints, and stepping back from a loss that is not finite.

All that the loop needs to go on is in :meth:`Loop.state`; it is complete after every step, so a run can be taken up in
the middle of an epoch. What happens at a step (looks at the loss, checkpoints) depends on its number alone, never on
the clock, so that a resumed run does the same.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from trainwell.errors import InputError, JobError
from trainwell.optim.second_order.guarded import NonFiniteStep
from trainwell.training import stopping
from trainwell.training.averaging import Average
from trainwell.training.batches import FromLoader, Source, all_steps, refuse_nonfinite_targets
from trainwell.training.best import Best
from trainwell.training.best_weights import BestWeights, copied
from trainwell.training.checkpoint import (
    Checkpoints,
    load_module,
    load_optimizer,
    random_state,
    set_random_state,
)
from trainwell.training.evaluation import score
from trainwell.training.journal import Journal
from trainwell.training.lookout import Lookout, Trouble
from trainwell.training.modes import frozen, set_training
from trainwell.training.program import Program
from trainwell.training.rates import current_rate, scale_rates
from trainwell.training.settings import Training
from trainwell.training.state import Teller
from trainwell.training.step import Forward, Stepper, batch_length
from trainwell.training.weights import save_weights

PATIENCE_WITH_NAN = 8


class Loop:
    """Runs a program to its end; see the module's text.

    Args:
        program: with an optimizer instance over ``program.model``'s parameters, on ``device``.
        train, val: batches on ``device``; ``val`` may be None.
        training: with numbers for ``checkpoint_every`` and ``log_every``.
        checkpoints, journal, teller: where state, metrics and events go.
        fingerprint: tells data and settings apart; a checkpoint with another one is refused.
    """

    def __init__(
        self,
        program: Program,
        train: Source,
        val: Source | None,
        training: Training,
        *,
        device: torch.device,
        folder: Path | None,
        checkpoints: Checkpoints,
        journal: Journal,
        teller: Teller,
        fingerprint: dict[str, str],
    ) -> None:
        self.program, self.train, self.val, self.training = program, train, val, training
        self.folder, self.checkpoints, self.journal, self.teller = folder, checkpoints, journal, teller
        self.fingerprint = fingerprint
        self.model: nn.Module = program.model
        self.optimizer: Optimizer = program.optimizer  # type: ignore[assignment]
        self.scheduler = program.scheduler
        self.frozen = frozen(self.model)
        self.forward = Forward(program, training.dtype, device)
        twice = getattr(program.objective, "twice_differentiated", False)  # which compiled models do not allow
        model: Any = torch.compile(self.model) if training.compile and not twice else self.model
        self.stepper = Stepper(
            self.forward,
            model,
            self.optimizer,
            self.scheduler,
            clip_grad=program.clip_grad,
            accumulate=training.accumulate,
            say=self._say,
        )
        self.stepper.everything = partial(train.epoch, 1)
        self.average = Average(self.model, training.ema) if training.ema else None
        self.best = Best(training.monitor, training.patience, val.n if val else 0)
        self.best_weights = BestWeights(self.best, checkpoints.folder)
        self.lookout = Lookout()
        self.task = program.guessed_task()
        self.threshold = training.threshold
        self.history: list[dict[str, float]] = []
        self.step, self.epoch, self.step_in_epoch = 0, 1, 0
        self.factor, self.backs = 1.0, 0
        self._back_to: int | None = None  # the step that the run stepped back to last
        self.finished = False
        self.seconds_before, self.started = 0.0, time.perf_counter()
        self._epoch_random: dict[str, Any] = {}
        self._resumed_inside = False
        self._generators = train.generators if isinstance(train, FromLoader) else []
        teller.state.epochs, teller.state.steps_per_epoch = program.epochs, train.batches
        teller.state.steps, teller.state.batch_size = all_steps(program, train), train.batch_size
        teller.state.model, teller.state.optimizer, teller.state.folder = self.model, self.optimizer, folder
        teller.state.say = self._say

    @property
    def evaluated(self) -> nn.Module:
        """The model that is validated and kept: the average where there is one."""
        return self.average.model if self.average else self.model

    @property
    def seconds(self) -> float:
        """Time spent in the run, over all resumes."""
        return self.seconds_before + time.perf_counter() - self.started

    def run(self) -> None:
        """Take up the newest checkpoint, if there is one, and train to the end.

        Raises:
            Stopped: after a signal, when all is saved.
            JobError: if the loss stays non-finite, or nothing can be saved.
        """
        with stopping.shielded():
            self._take_up()
            self._tell("run_start")
            while not self.finished:
                self._run_epoch()
            self._publish()

    def _take_up(self) -> None:
        state, warnings = self.checkpoints.newest()
        for warning in warnings:
            self._say(warning)
        if state is None:
            self.journal.rewind(0)
            for message in self.teller.messages:
                self.journal.log(message)
            self.save()
            return
        for what, mine in self.fingerprint.items():
            if state["fingerprint"].get(what) != mine:
                raise InputError(
                    f"resume: the checkpoint in {self.folder} was made with another {what}.",
                    f"Resume with the {what} that the run was started with, or train into a new folder.",
                )
        self.restore(state)
        self.journal.rewind(state["position"])
        self.seconds_before = state["seconds"]
        self._resumed_inside = self.step_in_epoch > 0

    def _run_epoch(self) -> None:
        self.train.begin(self.epoch)
        state = self.teller.state
        state.batch_size, state.steps_per_epoch = self.train.batch_size, self.train.batches
        if self.step_in_epoch == 0:
            self._epoch_random = random_state(self._generators)
            self._tell("epoch_start")
        began, before = time.perf_counter(), self.step
        if not self._train_epoch():
            return
        if self.step > before:
            rate = (self.step - before) * self.train.batch_size / (time.perf_counter() - began)
            self.journal.timing("epoch", epoch=self.epoch, seconds=time.perf_counter() - began, samples_per_second=rate)
        scores = self._validate()
        self._close_epoch(scores)

    def _batches(self) -> Iterator[Any]:
        """The rest of this epoch's batches, with the random generators as they were when it was left."""
        if not (self._resumed_inside and isinstance(self.train, FromLoader)):
            return self.train.epoch(self.epoch, self.step_in_epoch)
        here = random_state(self._generators)
        set_random_state(self._epoch_random, self._generators)
        rest = self.train.epoch(self.epoch, 0)
        for _ in range(self.step_in_epoch):
            next(rest)
        set_random_state(here, self._generators)
        return rest

    def _train_epoch(self) -> bool:
        """Train to the end of the epoch; False if it was thrown back to an earlier point."""
        if self.step_in_epoch >= self.train.batches or self.teller.state.stopping:
            return True
        set_training(self.model, self.frozen)
        state, stepper, lookout, callbacks = self.teller.state, self.stepper, self.lookout, bool(self.teller.callbacks)
        every, save_every, clipping = self.training.log_every, self.training.checkpoint_every, self.program.clip_grad
        batches = self._batches()
        self._resumed_inside = False
        assert isinstance(every, int) and isinstance(save_every, int)  # resolved by fit
        last = self.train.batches
        for batch in batches:
            number = self.step + 1
            looking = number % every == 0 or self.step_in_epoch + 1 == last or number % save_every == 0
            try:
                loss, norm = stepper(batch, looking and clipping is None)
            except NonFiniteStep as error:  # a method that looks at the loss itself
                self.step, self.step_in_epoch = number, self.step_in_epoch + 1
                self._step_back(Trouble("loss", error.value, 0))
                return False
            self.step, self.step_in_epoch = number, self.step_in_epoch + 1
            lookout.collect(loss, len(batch[1]) if type(batch) is tuple else batch_length(batch), norm)
            if self.average:
                self.average.update(self.step)
            if callbacks:
                state.loss = loss
                self._tell("step_end")
            if looking and not self._look(number % every == 0 or self.step_in_epoch == last):
                return False
            if number % save_every == 0:
                self.save()
            if stopping.wished():
                self._stop()
            if state.stopping or (looking and self._out_of_time()):
                state.stopping = True
                return lookout.empty or self._look(True)
        return True

    def _look(self, write: bool) -> bool:
        """Read the losses since the last look; False if one is not finite and the run stepped back."""
        over = self.step_in_epoch == self.train.batches or self.teller.state.stopping
        trouble = self.lookout.trouble(weights_finite=not over or self._finite())
        if trouble is not None:
            self._step_back(trouble)
            return False
        if write:
            position = self.epoch - 1 + self.step_in_epoch / self.train.batches
            rate, norm = current_rate(self.optimizer), self.lookout.norm
            self.journal.metrics(
                "step", step=self.step, epoch=position, loss=self.lookout.take(), lr=rate, grad_norm=norm
            )
        return True

    def _step_back(self, trouble: Trouble) -> None:
        """Restore the last good state at half the rate."""
        self.backs += 1
        factor, backs, reached, step = self.factor * 0.5, self.backs, self.step, self.step - trouble.steps_ago
        place = f"epoch {self.epoch}, batch {self.step_in_epoch - trouble.steps_ago} of {self.train.batches}"
        refuse_nonfinite_targets(self.train)
        good = self.checkpoints.last_good(self._back_to)
        if good is None or backs > PATIENCE_WITH_NAN:
            raise JobError(
                f"fit: the {trouble.what} is {trouble.value} at step {step} ({place}), also after going back "
                f"{backs - 1} times with the rate down to {current_rate(self.optimizer):.2g}.",
                "Look for extreme values in the data, or try another initialization, precision.dtype=float32, "
                "or a norm.",
            )
        self.restore(good)
        scale_rates(self.optimizer, self.scheduler, factor / self.factor)
        self.factor, self.backs, self._back_to = factor, backs, self.step
        self.journal.metrics("stepped_back", from_step=step, to_step=self.step, factor=factor, value=str(trouble.value))
        self._say(
            f"The {trouble.what} became {trouble.value} at step {step} ({place}): went back to step {self.step} "
            "and halved the rate "
            f"(now {factor:g} of what was asked, {reached - self.step} steps are done again)."
        )
        self._tell("stepped_back")

    def _averaged(self) -> AbstractContextManager[None]:
        """While this lasts the model has the weights that count: the average that a schedule-free method keeps."""
        context: AbstractContextManager[None] = getattr(self.optimizer, "evaluation", nullcontext)()
        return context

    def _validate(self) -> dict[str, float]:
        if self.val is None:
            return {}
        self._tell("validation_start")
        before = random_state(self._generators)
        try:
            with self._averaged(), stopping.exposed():
                scores = score(self.evaluated, self.val, self.forward, self.task, self.threshold)
        except stopping.Stopped:
            set_random_state(before, self._generators)  # validation is done again from its beginning
            self._stop()
        return {f"val_{name}": value for name, value in scores.items()}

    def _close_epoch(self, scores: dict[str, float]) -> None:
        bare = {name.removeprefix("val_"): value for name, value in scores.items()}
        if bare and self.training.monitor not in ("auto", "last", *bare):
            raise InputError(
                f"training.monitor: there is no validation score {self.training.monitor!r}.",
                f"Choose one of {', '.join(bare)}.",
            )
        row = {
            "epoch": self.epoch,
            "step": self.step,
            "train_loss": self.lookout.close_epoch(),
            **scores,
            "lr": current_rate(self.optimizer),
        }
        if hasattr(self.scheduler, "observe"):
            self.scheduler.observe(bare.get("loss", row["train_loss"]))
        with self._averaged():
            better = self.best_weights.offer(self.epoch, bare, self.evaluated)
        self.history.append(row)
        self.journal.metrics("epoch", **row, best=better)
        self.teller.state.metrics, self.teller.state.best_epoch = row, self.best.epoch
        self._tell("validation_end")
        state = self.teller.state
        if self.best.out_of_patience and self.epoch < self.program.epochs:
            self._say(
                f"Stopped after epoch {self.epoch}: no better validation score for {self.training.patience} epochs "
                f"(best: epoch {self.best.epoch})."
            )
            state.stopping = True
        elif self._out_of_time() and self.epoch < self.program.epochs:
            self._say(
                f"Stopped after epoch {self.epoch}: the time budget of {self.training.max_minutes:g} minutes is spent."
            )
            state.stopping = True
        self.finished = self.epoch >= self.program.epochs or state.stopping
        self.epoch, self.step_in_epoch = self.epoch + 1, 0
        if self.finished:
            self.save()
        elif stopping.wished():
            self._stop()

    def _stop(self) -> None:
        """Save for a signal and leave."""
        if self.folder:
            self.save(regular=False)
        stopping.check(self.folder)

    def _out_of_time(self) -> bool:
        return self.training.max_minutes > 0 and self.seconds > 60 * self.training.max_minutes

    def _publish(self) -> None:
        """Write the final weights, and put the best ones into the model."""
        with self._averaged():
            final = copied(self.evaluated)
        kept = self.best_weights.weights or final
        if self.folder:
            save_weights(final, self.folder / "model.safetensors")
            save_weights(kept, self.folder / "best.safetensors")
        own = self.model.state_dict()
        with torch.no_grad():
            for name, tensor in kept.items():
                own[name].copy_(tensor)
        self.model.eval()
        self._tell("run_end")

    # ---- state -------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that the run needs to go on from here."""
        self.journal.sync()
        return {
            "step": self.step,
            "epoch": self.epoch,
            "step_in_epoch": self.step_in_epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler is not None else None,
            "average": self.average.model.state_dict() if self.average else None,
            "random": random_state(self._generators),
            "epoch_random": self._epoch_random,
            "lookout": self.lookout.state(),
            "best": self.best_weights.state(),
            "history": self.history,
            "factor": self.factor,
            "backs": self.backs,
            "back_to": self._back_to,
            "accumulate": self.stepper.accumulate,
            "clipper": self.stepper.clipper.state_dict() if self.stepper.clipper is not None else None,
            "finished": self.finished,
            "position": self.journal.position(),
            "seconds": self.seconds,
            "messages": self.teller.messages,
            "fingerprint": self.fingerprint,
        }

    def _finite(self) -> bool:
        return all(bool(torch.isfinite(p).all()) for p in self.model.parameters() if p.requires_grad)

    def save(self, *, regular: bool = True) -> None:
        """Save a checkpoint, with the best weights beside it."""
        if regular and not self._finite():
            return  # the next look finds the loss non-finite and steps back to the checkpoint before
        self.best_weights.save(self.step if regular else None)
        self.checkpoints.save(self.state(), regular=regular)
        if regular:
            self.best_weights.forget(self.checkpoints.steps())
        self.journal.timing("checkpoint", step=self.step)
        self._tell("checkpoint_saved")

    def restore(self, state: dict[str, Any]) -> None:
        """Put the run back to a saved state."""
        load_module(self.model, state["model"], "resume")
        load_optimizer(self.optimizer, state["optimizer"])
        if self.scheduler is not None and state["scheduler"] is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.average and state["average"] is not None:
            load_module(self.average.model, state["average"], "resume")
        set_random_state(state["random"], self._generators)
        self.step, self.epoch, self.step_in_epoch = state["step"], state["epoch"], state["step_in_epoch"]
        self._epoch_random = state["epoch_random"]
        device = next(iter(self.model.parameters())).device
        self.lookout.load(state["lookout"], device)
        self.best_weights.load(state["best"])
        self.factor, self.backs, self._back_to = state["factor"], state["backs"], state["back_to"]
        self.stepper.accumulate = state["accumulate"]
        if self.stepper.clipper is not None and state.get("clipper") is not None:
            self.stepper.clipper.load_state_dict(state["clipper"])
        self.history, self.finished = [dict(row) for row in state["history"]], state["finished"]
        self.teller.messages[:0] = [m for m in state["messages"] if m not in self.teller.messages]
        self._resumed_inside = self.step_in_epoch > 0

    def _say(self, text: str) -> None:
        self.journal.log(text)
        self.teller.say(text)

    def _tell(self, event: str) -> None:
        state = self.teller.state
        state.step, state.step_in_epoch = self.step, self.step_in_epoch
        state.epoch = self.epoch - 1 if self.finished else self.epoch
        state.lr, state.seconds = current_rate(self.optimizer), self.seconds
        self.teller.tell(event)
