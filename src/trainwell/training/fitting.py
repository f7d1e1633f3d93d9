"""``fit``: run a program."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from trainwell.errors import InputError
from trainwell.training import stopping
from trainwell.training.batches import InMemory, source
from trainwell.training.checkpoint import Checkpoints, load_optimizer
from trainwell.training.evaluation import ordered
from trainwell.training.journal import Journal
from trainwell.training.loop import Loop
from trainwell.training.machine import resolve_device, settled
from trainwell.training.program import Program, leaves, make_optimizer
from trainwell.training.run import Run
from trainwell.training.scores import names
from trainwell.training.settings import Training
from trainwell.training.state import Callback, Teller

LOOKS_AN_EPOCH = 20
SHORTEST_STRETCH = 10  # steps between looks at the loss; a look waits for the device
CHECKPOINT_STEPS = 1000  # between checkpoints at least, where nothing was measured


def fit(
    program: Program,
    *,
    training: Training | None = None,
    folder: str | Path | None = None,
    callbacks: Iterable[Callback] = (),
    resume: bool = False,
    teller: Teller | None = None,
    fingerprint: dict[str, str] | None = None,
) -> Run:
    """Train the program's model in place, and leave the weights of its best epoch in it.

    Args:
        program: what to run.
        training: seed, device, precision, averaging, stopping, checkpoints; defaults if None.
        folder: run folder for checkpoints, metrics and weights; None keeps everything in memory.
        callbacks: functions ``f(event, state)``; see ``training.state``.
        resume: go on from the checkpoint in ``folder`` instead of refusing a folder that has one.
        teller: tells the callbacks and keeps the messages; made from ``callbacks`` if None.
        fingerprint: what a checkpoint must agree with (name → hash) to be resumed, besides the data's shape.

    Returns:
        The run with its history; the model is in evaluation mode.

    Raises:
        InputError: for a program that cannot run, or a folder that holds another run.
        JobError: if the loss stays non-finite or the disk is full.
        Stopped: (a KeyboardInterrupt) after SIGINT or SIGTERM, when the state is saved.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> X = torch.linspace(-1, 1, 64)[:, None]
        >>> program = Program(nn.Linear(1, 1), (X, 3 * X), nn.MSELoss(), lambda p: torch.optim.SGD(p, lr=0.1),
        epochs=40)
        >>> round(fit(program).history[-1]["train_loss"], 3)
        0.0
    """
    training = training or Training()
    device = resolve_device(training.device)
    path = Path(folder) if folder is not None else None
    if path and not resume and list((path / "checkpoint").glob("*.pt")):
        raise InputError(f"fit: {path} already holds a run.", "Resume it (resume=True) or name another folder.")
    if path:
        make_folder(path)
    teller = teller or Teller(callbacks)
    with stopping.listening(), settled(training, device):
        ready = _on_device(program, training, device)
        train = source(ready.train, ready.batch_size, ready.shuffle, training.seed, device, ready.growth)
        val = ordered(ready.val, _validation_batch(ready), device) if ready.val is not None else None
        _check(train, ready, training)
        training = resolve_steps(training, train.batches)
        journal = Journal(path)
        try:
            loop = Loop(
                ready,
                train,
                val,
                training,
                device=device,
                folder=path,
                checkpoints=Checkpoints(path),
                journal=journal,
                teller=teller,
                fingerprint={**(fingerprint or {}), "data": data_fingerprint(ready)},
            )
            loop.run()
            stopping.check(path)  # a signal during the last save: what follows a run shall not begin
            return Run(
                model=ready.model,
                task=loop.task,
                folder=path,
                history=loop.history,
                best_epoch=loop.best.epoch,
                seconds=loop.seconds,
                notes=list(teller.messages),
                loss=ready.loss,
                threshold=loop.threshold,
                device=device,
                journal_lines=journal.lines,
                monitored=_monitored(loop),
            )
        finally:
            journal.close()


def _monitored(loop: Loop) -> str:
    scores = (
        {k.removeprefix("val_"): v for k, v in loop.history[-1].items() if k.startswith("val_")} if loop.history else {}
    )
    name = loop.best.decided_by(scores)
    return f"val_{name}" if name else ""


def make_folder(path: Path) -> None:
    """Make the folder, or say in a sentence why it cannot be written.

    Raises:
        InputError: if it is a file or cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"The run folder {path} cannot be written: {error.strerror}.", "Name another with -o."
        ) from error


def resolve_steps(training: Training, batches: int) -> Training:
    """Numbers for ``log_every`` and ``checkpoint_every`` where they are ``auto``."""
    look = max(SHORTEST_STRETCH, -(-batches // LOOKS_AN_EPOCH))
    changes: dict[str, Any] = {}
    if training.log_every == "auto":
        changes["log_every"] = look
    if training.checkpoint_every == "auto":
        changes["checkpoint_every"] = max(batches, CHECKPOINT_STEPS)
    return training.model_copy(update=changes)


def data_fingerprint(program: Program) -> str:
    """A hash of sizes, batch size and targets: enough to tell other data or another order of them."""
    text = f"{program.batch_size} {program.epochs} {program.shuffle}"
    digest = hashlib.sha256(text.encode())
    if isinstance(program.train, tuple | list):
        for leaf in leaves(program.train[0]):
            digest.update(str(tuple(leaf.shape)).encode())
        y = torch.as_tensor(program.train[1]).cpu().contiguous()
        digest.update(y.numpy().tobytes() if y.dtype != torch.bfloat16 else y.float().numpy().tobytes())
    return digest.hexdigest()[:16]


def _validation_batch(program: Program) -> int:
    return max(program.batch_size, 256)


def _on_device(program: Program, training: Training, device: torch.device) -> Program:
    """The program with model and optimizer on the device, in the memory layout asked for, built in this order."""
    model = program.model.to(device)
    if training.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if isinstance(program.loss, nn.Module):
        program.loss.to(device)
    optimizer = program.optimizer
    if isinstance(optimizer, Optimizer):
        if optimizer.state:
            load_optimizer(optimizer, optimizer.state_dict())
    else:
        optimizer = make_optimizer(program, model)
    scheduler = program.scheduler
    if scheduler is not None and not hasattr(scheduler, "step"):
        scheduler = scheduler(optimizer)
    return replace(program, model=model, optimizer=optimizer, scheduler=scheduler)


def _check(train: Any, program: Program, training: Training) -> None:
    if isinstance(train, InMemory) and train.batches == 0:
        raise InputError("fit: there is no training batch.", "Give more than one sample.")
    if isinstance(train, InMemory) and program.batch_size > train.n:
        raise InputError(
            f"fit: batch_size {program.batch_size} is larger than the {train.n} training samples.",
            f"Give at most {train.n}.",
        )
    known = names(program.guessed_task())
    if program.val is not None and training.monitor not in ("auto", "last", *known):
        raise InputError(
            f"training.monitor: there is no validation score {training.monitor!r}.",
            f"Choose one of {', '.join(known)}.",
        )
