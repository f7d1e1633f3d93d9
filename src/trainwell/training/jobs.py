"""The jobs behind the verbs: each takes a data set or a run folder to its result, and says what it does."""

import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainwell.data import Dataset, SplitOptions
from trainwell.data.loading import load as load_data
from trainwell.errors import InputError
from trainwell.objectives import Attack
from trainwell.training import stopping
from trainwell.training.assess import Assessment, assess
from trainwell.training.build import build_program
from trainwell.training.decide import decide
from trainwell.training.defaults import resolve
from trainwell.training.draft import Before, Draft, running
from trainwell.training.environment import environment
from trainwell.training.fitting import fit, make_folder
from trainwell.training.journal import Journal, plain
from trainwell.training.names import check_names
from trainwell.training.program import Program
from trainwell.training.rate import RateSearch, search_rate
from trainwell.training.recipe import Recipe
from trainwell.training.restore import read_recipe, restore_run
from trainwell.training.run import Run
from trainwell.training.state import Callback, Teller
from trainwell.training.unfreezing import GradualUnfreezing
from trainwell.training.userfile import absolute, load_function, names_file, refuse_inside
from trainwell.training.weights import write_text

REWRITTEN = ("recipe.toml", "schema.json", "environment.json")  # in the folder of a run that is resumed


def train(
    spec: str,
    recipe: Recipe,
    *,
    callbacks: Iterable[Callback] = (),
    before: Before | None = None,
    watch: Callback | None = None,
) -> Run:
    """Train from data to report, into ``recipe.output.folder`` (or a new ``runs/NAME-N``).

    Args:
        spec: path or known name of the data.
        recipe: what to do; open fields are decided from the data or measured.
        callbacks: functions ``f(event, state)``.
        before: looks at the run before it begins, and may revise it; where ``training.exam`` is true.
        watch: one callback more, where ``training.watch`` is true.

    Raises:
        InputError: for wrong data or recipe, or a folder that holds a run already.
        JobError: if the run fails.
        Stopped: after a signal; ``folder`` says where it can be resumed.
    """
    recipe = _absolute_names(recipe.model_copy(update={"data": recipe.data.with_(source=_absolute_source(spec))}))
    check_names(recipe)
    teller = Teller(callbacks)
    folder = new_folder(recipe)
    with stopping.listening():
        try:
            dataset = read_data(recipe, teller)
        except stopping.Stopped as stop:
            make_folder(folder)
            write_text(folder / "recipe.toml", recipe.to_toml())
            stop.folder = folder
            raise
        return _in_folder(folder, resolve(recipe, dataset), dataset, teller, before, watch)


def resume(folder: str | Path, *, callbacks: Iterable[Callback] = (), watch: Callback | None = None) -> Run:
    """Go on with a run that was stopped, from its last checkpoint, as if nothing had happened; see :func:`train`.

    Raises:
        InputError: if the folder holds no run, or its recipe or checkpoints do not fit.
    """
    folder = Path(folder)
    recipe = read_recipe(folder)
    for name in (recipe.model.name, recipe.loss.name, recipe.training.metric):
        if names_file(name):
            refuse_inside(name, folder)
    teller = Teller(callbacks)
    with stopping.listening():
        try:
            dataset = read_data(recipe, teller)
        except stopping.Stopped as stop:
            stop.folder = folder
            raise
        return _in_folder(folder, resolve(recipe, dataset), dataset, teller, watch=watch)


def _in_folder(
    folder: Path,
    recipe: Recipe,
    dataset: Dataset,
    teller: Teller,
    before: Before | None = None,
    watch: Callback | None = None,
) -> Run:
    """Decide what is open, train, assess, report; a Stopped that leaves here knows the folder."""
    try:
        with _undone(folder):
            make_folder(folder)
            write_text(folder / "recipe.toml", recipe.to_toml())
            write_text(folder / "schema.json", dataset.schema.to_json())
            write_text(folder / "environment.json", environment(dataset))
            teller.state.folder = folder
            if recipe.training.metric:
                load_function(recipe.training.metric)  # a wrong name shall not show after the training
            if recipe.training.tensorboard:
                from trainwell.training.tensorboard import tensorboard_callback

                teller.callbacks = (*teller.callbacks, tensorboard_callback(folder))
            if watch is not None and recipe.training.watch:
                teller.callbacks = (*teller.callbacks, watch)
            if recipe.training.unfreeze_every:
                teller.callbacks = (GradualUnfreezing(recipe.training.unfreeze_every), *teller.callbacks)
            began = time.perf_counter()
            fresh = not any((folder / "checkpoint").glob("*.pt"))
            program, recipe, search = decide(recipe, dataset, teller, fresh=fresh)
            stages = {"deciding": time.perf_counter() - began}
            if before is not None and fresh and recipe.training.exam:
                draft = before(Draft(program, recipe, dataset, folder, teller, search))
                program, recipe, search = draft.program, draft.recipe, draft.search
                stages["examining"] = time.perf_counter() - began - stages["deciding"]
            write_text(folder / "recipe.toml", recipe.to_toml())
            run = fit(
                program,
                training=running(recipe),
                folder=folder,
                resume=True,
                teller=teller,
                fingerprint={"recipe": recipe.fingerprint()},
            )
        run.schema, run.recipe = dataset.schema, recipe
        began = time.perf_counter()
        found = finish(run, dataset, teller)
        stages["evaluating"] = time.perf_counter() - began
        if recipe.output.report:
            from trainwell.training.reporting import write_report

            teller.stage("writing the report")
            write_report(run, dataset, found, stages=stages, search=search)
        return run
    except stopping.Stopped as stop:
        stop.folder = folder
        raise


@contextmanager
def _undone(folder: Path) -> Iterator[None]:
    """Where the input turns out wrong, put back what was there before; what is new goes, unless training has begun."""
    before = set(folder.iterdir()) if folder.is_dir() else set()
    contents = {path: path.read_bytes() for path in before if path.name in REWRITTEN}
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    except InputError:
        for path, content in contents.items():
            if path.read_bytes() != content:
                path.write_bytes(content)
        if not any((folder / "checkpoint").glob("*.pt")):
            for path in set(folder.iterdir()) - before if folder.is_dir() else ():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for place in made:
                if place.is_dir() and not any(place.iterdir()):  # another run may have moved in
                    place.rmdir()
        raise


def read_data(recipe: Recipe, teller: Teller) -> Dataset:
    """The data set that the recipe names, with what is worth saying about it."""
    data = recipe.data
    dataset = load_data(
        data.source,
        target=data.target,
        task=data.task,
        keep=tuple(data.keep),
        drop=tuple(data.drop),
        weight=data.weight,
        split=SplitOptions(
            val=data.val,
            test=data.test,
            seed=recipe.training.seed if data.seed is None else data.seed,
            by=data.split,
            column=data.split_column,
            fold=data.fold,
        ),
        skip_bad=data.skip_bad,
        data_root=data.root,
        image_size=data.image_size,
        progress=teller.stage,
    )
    for note in dataset.notes:
        teller.say(note)
    return dataset


def finish(run: Run, dataset: Dataset, teller: Teller) -> dict[str, Assessment]:
    """Assess every part on the best weights; the final metrics go into the run and its journal."""
    found = assess(run, dataset, teller)
    run.metrics = {name: result.metrics for name, result in found.items()}
    journal = Journal(run.folder)
    try:
        if not any(line["event"] == "final" for line in run.journal_lines):
            if run.recipe.training.threshold == "auto":
                journal.metrics("threshold", value=run.threshold)
            for name, metrics in run.metrics.items():
                journal.metrics("final", part=name, metrics=metrics)
        for name, metrics in run.metrics.items():
            journal.log(f"{name}: " + ", ".join(f"{k} {v:.6g}" for k, v in metrics.items()))
    finally:
        journal.close()
    return found


def evaluate(
    folder: str | Path, spec: str | None = None, *, attack: Attack | None = None, callbacks: Iterable[Callback] = ()
) -> dict[str, Any]:
    """Metrics of a run: of its own parts, or of other data that carry the target.

    Args:
        folder: of the run.
        spec: other data; the run's own parts if None.
        attack: also measure the accuracy under this attack, on the run's own test part.
        callbacks: functions ``f(event, state)``.

    Returns:
        ``{"run", "task", "metrics": {part: {name: value}}, "seconds", "best_epoch"}``, and ``"robustness"`` with an
        attack; other data are the part ``data``.

    Raises:
        InputError: for data without answers, or an attack on other data.
    """
    began = time.perf_counter()
    run = restore_run(Path(folder))
    teller = Teller(callbacks)
    robust: dict[str, Any] = {}
    if spec is not None and attack is not None:
        raise InputError("--attack is measured on the run's own test part.", f"Leave out {spec} or --attack.")
    if spec is None:
        dataset = read_data(run.recipe, teller)
        metrics = {name: result.metrics for name, result in assess(run, dataset, teller).items()}
        if attack is not None:
            from trainwell.training.robust import robustness

            robust = {"robustness": robustness(run, dataset, attack, teller)}
    else:
        from trainwell.training.assess import assess_rows

        rows = run.schema.read(spec)
        if rows.y is None:
            raise InputError(
                f"{spec} has no target {run.schema.target!r}.", "Use `trainwell predict` for data without answers."
            )
        metrics = {"data": assess_rows(run, rows.X, rows.y, teller, "data").metrics}
    return plain(
        {
            "run": str(folder),
            "task": run.task,
            "metrics": metrics,
            "seconds": time.perf_counter() - began,
            "best_epoch": run.best_epoch,
            **robust,
        }
    )


def find_rate(spec: str, recipe: Recipe, *, callbacks: Iterable[Callback] = ()) -> RateSearch:
    """A range test of the program that ``train`` would run."""
    teller = Teller(callbacks)
    recipe = recipe.model_copy(update={"data": recipe.data.with_(source=_absolute_source(spec))})
    dataset = read_data(recipe, teller)
    program, recipe, _ = decide(resolve(recipe, dataset), dataset, teller, rate=False)
    training = running(recipe)
    return search_rate(
        program,
        seed=training.seed,
        device=training.device,
        dtype=training.dtype,
        channels_last=training.channels_last,
        tell=lambda share: teller.stage("searching the rate", share),
    )


def summarize(what: str, recipe: Recipe, *, callbacks: Iterable[Callback] = ()) -> Any:
    """The chain of layers of a run's model, of the model that would be trained on data, or of ``FILE.py:FUNCTION``."""
    from trainwell import nn
    from trainwell.training.describe import example_of, own_model

    if names_file(what):
        return nn.trace(*own_model(what, recipe))
    if (Path(what) / "recipe.toml").is_file():
        run = restore_run(Path(what))
        return nn.trace(run.model, example_of(run.schema))
    teller = Teller(callbacks)
    recipe = recipe.model_copy(update={"data": recipe.data.with_(source=_absolute_source(what))})
    dataset = read_data(recipe, teller)
    program = open_program(resolve(recipe, dataset), dataset)
    return nn.trace(program.model, example_of(dataset.schema))


def open_program(recipe: Recipe, dataset: Dataset) -> Program:
    """The program, with a placeholder rate where none is given yet (nothing is trained with it)."""
    if recipe.optimizer.lr is None:
        recipe = recipe.model_copy(update={"optimizer": recipe.optimizer.with_(lr=1e-3)})
    return build_program(recipe, dataset)


def predict(
    folder: str | Path, path: str | Path, output: Path | None = None, *, callbacks: Iterable[Callback] = ()
) -> Any:
    """Answers of a run for new data; see :class:`training.predict.Predictions`."""
    from trainwell.training.predict import predict_file

    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        wrong = "is a folder" if output.is_dir() else f"cannot be written: there is no folder {output.parent}"
        raise InputError(f"{output} {wrong}.", "Name a file in a folder that exists with -o.")
    return predict_file(restore_run(Path(folder)), str(path), output, Teller(callbacks))


def export(folder: str | Path, output: Path) -> dict[str, Any]:
    """The run's model as ``torch.export`` (.pt2) or ONNX (.onnx), compared with the model itself."""
    from trainwell.training.export import export_run

    return export_run(restore_run(Path(folder)), Path(output))


def report(folder: str | Path) -> Path:
    """Write the report of a run anew and return its path."""
    from trainwell.training.reporting import write_report

    run = restore_run(Path(folder))
    teller = Teller()
    dataset = read_data(run.recipe, teller)
    return write_report(run, dataset, assess(run, dataset, teller))


def cross_validate(
    spec: str, recipe: Recipe, folds: int, callbacks: Iterable[Callback] = (), watch: Callback | None = None
) -> dict[str, Any]:
    """Train once for each fold; see ``training.folds``."""
    from trainwell.training import folds as crossing

    recipe = _absolute_names(recipe.model_copy(update={"data": recipe.data.with_(source=_absolute_source(spec))}))
    return crossing.cross_validate(recipe, folds, callbacks, watch)


def _absolute_source(spec: str) -> str:
    if not spec:
        raise InputError(
            "No data were named.", "Give a path or a known name such as digits, or set data.source in the recipe."
        )
    path = Path(spec).expanduser()
    return str(path.resolve()) if path.exists() else spec


def _absolute_names(recipe: Recipe) -> Recipe:
    update: dict[str, Any] = {}
    for section, field in (("model", "name"), ("loss", "name"), ("training", "metric")):
        value = getattr(getattr(recipe, section), field)
        if names_file(value):
            update[section] = getattr(recipe, section).with_(**{field: absolute(value)})
    weights = recipe.model.weights
    if weights is not None and Path(weights).expanduser().exists():
        update["model"] = update.get("model", recipe.model).with_(weights=str(Path(weights).expanduser().resolve()))
    return recipe.model_copy(update=update)


def new_folder(recipe: Recipe) -> Path:
    """The run folder asked for, or the next free ``runs/NAME-N``.

    Raises:
        InputError: if the folder asked for is not empty.
    """
    if recipe.output.folder:
        folder = Path(recipe.output.folder)
        if (folder / "recipe.toml").exists() or (folder / "checkpoint").exists():
            raise InputError(
                f"The run folder {folder} exists already.",
                f"Go on with `trainwell resume {folder}`, or name another with -o.",
            )
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"The folder {folder} is not empty.", "Name a new one with -o; nothing in it was touched.")
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file.", "Name a folder with -o.")
        return folder
    stem = re.sub(r"[^\w.-]+", "-", Path(recipe.data.source).stem).strip("-") or "run"
    root, number = Path("runs"), 1
    while (root / f"{stem}-{number}").exists():
        number += 1
    return root / f"{stem}-{number}"
