"""Many experiments, each in a process of its own: one that crashes takes no other with it, and nothing is run twice.

A finished experiment is remembered at once, so that a second call goes on where the first was stopped.
"""

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from trainwell.errors import InputError, JobError
from trainwell.lab.catalogue import Entry
from trainwell.lab.single import Options, described, run

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
CRASHED, NOT_RUN = "crashed", "not run"
Runner = Callable[[Entry, Options], dict[str, Any]]


@dataclass
class Outcome:
    """Results in the order of the experiments; ``stopped`` is the signal that ended the series early, if one did."""

    results: list[dict[str, Any]] = field(default_factory=list)
    stopped: int | None = None


@dataclass
class _Job:
    entry: Entry
    process: BaseProcess
    answer: Connection
    began: float


def run_many(
    chosen: Sequence[Entry],
    options: Options = Options(),  # noqa: B008
    *,
    jobs: int = 2,
    told: Callable[[dict[str, Any], int, int], None] = lambda result, done, all: None,
    runner: Runner = run,
) -> Outcome:
    """Run experiments side by side, ``jobs`` at a time with one thread each.

    Args:
        chosen: the experiments.
        options: for all of them.
        jobs: processes at a time, 1 or more.
        told: is called with every result as it comes, how many there are, and of how many.
        runner: runs one experiment in its process.

    Returns:
        A result for each that was run; one that crashed has the verdict ``crashed``, one that lacks something (data,
        memory) ``not run``, both an ``error`` that says why.
    """
    left, running, outcome = list(chosen), list[_Job](), Outcome()
    with _one_thread(), _signals(outcome):
        try:
            while (left or running) and outcome.stopped is None:
                while left and len(running) < jobs:
                    running.append(_start(left.pop(0), options, runner))
                wait([job.answer for job in running], timeout=0.2)
                for job in [job for job in running if job.answer.poll() or not job.process.is_alive()]:
                    running.remove(job)
                    outcome.results.append(_collect(job))
                    told(outcome.results[-1], len(outcome.results), len(chosen))
        finally:
            for job in running:
                job.process.kill()
                job.process.join()
    order = [entry.id for entry in chosen]
    outcome.results.sort(key=lambda result: order.index(result["id"]))
    return outcome


def _start(entry: Entry, options: Options, runner: Runner) -> _Job:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(there, runner, entry, options), daemon=True)
    process.start()
    there.close()
    return _Job(entry, process, here, time.perf_counter())


def _work(answer: Connection, runner: Runner, entry: Entry, options: Options) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what a Ctrl-C means
    try:
        answer.send(runner(entry, options))
    except (InputError, JobError) as error:
        answer.send({"error": str(error), "verdict": NOT_RUN})
    except Exception as error:
        where = traceback.format_exc(limit=-3)
        answer.send({"error": f"{type(error).__name__}: {error}", "traceback": where})


def _collect(job: _Job) -> dict[str, Any]:
    try:
        result = job.answer.recv()
    except EOFError:
        job.process.join()
        result = {"error": f"The process ended with exit code {job.process.exitcode}.", "traceback": ""}
    job.process.join()
    if "error" not in result:
        return result
    seconds = time.perf_counter() - job.began
    return described(job.entry) | {"verdict": CRASHED, "checks": [], "seconds": seconds} | result


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let the processes started here use one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _signals(outcome: Outcome) -> Iterator[None]:
    """Note SIGINT and SIGTERM in the outcome while the block runs."""

    def note(number: int, frame: object) -> None:
        outcome.stopped = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
