"""Wrong input, damaged files and a full disk: one sentence and a remedy, and what was on disk stays as it was."""

import errno
import gzip
import hashlib
import io
import json
import os
import pathlib
import pickle
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from trainwell.errors import JobError
from trainwell.training import Recipe, checkpoint, jobs, stopping

N = 80
SETTINGS = (
    "optimizer.lr=0.05",
    "precision.dtype=float32",
    "precision.channels_last=false",
    "precision.threads=1",
    "model.name=mlp",
    "model.width=8",
    "model.depth=1",
    "training.batch_size=16",
    "training.epochs=3",
    "training.checkpoint_every=2",
    "output.report=false",
)
FAST = [word for setting in SETTINGS for word in ("--set", setting)]
ENDS = ("metrics.jsonl", "model.safetensors", "best.safetensors")


@pytest.fixture(autouse=True)
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listing(folder: pathlib.Path) -> dict[str, str]:
    """Every file and folder below, with the hash of its content."""
    paths = sorted(folder.rglob("*"))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in paths
    }


@pytest.fixture
def refused(run: Callable[..., Any], home: pathlib.Path) -> Callable[..., str]:
    """Run a command line that must fail; gives message and remedy in one text."""

    def call(*words: str, code: int = 2, unchanged: bool = True) -> str:
        before = listing(home)
        done = run(*words, "--json")
        assert done.code == code, done.err
        assert "Traceback" not in done.err
        error = json.loads(done.out)["error"]
        assert set(error) == {"message", "remedy"}
        for sentence in error.values():
            assert sentence and "\n" not in sentence and sentence.strip()[-1] in ".?"
        assert done.err.endswith(f"Error: {error['message']}\n       {error['remedy']}\n")
        if unchanged:
            assert listing(home) == before
        return f"{error['message']} {error['remedy']}"

    return call


# ---- data to read ------------------------------------------------------------------------------------------------


def rows(n: int = N, seed: int = 0) -> list[str]:
    """A table of two numbers and a kind that follows from them, the header first."""
    numbers = np.random.default_rng(seed).normal(size=(n, 2))
    return ["a,b,kind", *(f"{a:.3f},{b:.3f},{'high' if a + b > 0 else 'low'}" for a, b in numbers)]


def write(path: str, lines: list[str]) -> str:
    pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def halve(path: str | pathlib.Path) -> None:
    file = pathlib.Path(path)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def write_pictures(folder: str, n: int = 20) -> pathlib.Path:
    generator = np.random.default_rng(0)
    top = pathlib.Path(folder)
    for kind in ("cat", "dog"):
        (top / kind).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(top / kind / f"{i}.png")
    return top


def write_idx(folder: str, compressed: bool = False) -> pathlib.Path:
    """40 pictures and their labels; the pictures' file, cut short by 100 bytes."""
    top = pathlib.Path(folder)
    top.mkdir()
    pictures = struct.pack(">HBBIII", 0, 8, 3, 40, 8, 8) + np.random.default_rng(0).bytes(40 * 64)
    (top / "train-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 40) + bytes(i % 2 for i in range(40)))
    path = top / ("train-images-idx3-ubyte" + ".gz" * compressed)
    path.write_bytes((gzip.compress(pictures) if compressed else pictures)[:-100])
    return path


# ---- files that are not there or cut short -----------------------------------------------------------------------


def test_a_missing_file_suggests_the_nearest_name(refused):
    write("houses.csv", rows())
    said = refused("train", "house.csv", *FAST)
    assert "no file or folder 'house.csv'" in said and "Did you mean 'houses.csv'?" in said


@pytest.mark.parametrize(
    "content", [(), ("readme.md",), ("cat/notes.txt", "dog/notes.txt")], ids=["empty", "a text", "classes of texts"]
)
def test_a_folder_without_pictures_or_tables(content, refused):
    pathlib.Path("photos").mkdir()
    for name in content:
        path = pathlib.Path("photos", name)
        path.parent.mkdir(exist_ok=True)
        path.write_text("nothing to see")
    said = refused("train", "photos", *FAST)
    assert "photos" in said and "a subfolder a class" in said


@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_idx_file_is_named(compressed, refused):
    path = write_idx("digits", compressed)
    said = refused("train", "digits", *FAST)
    assert str(path) in said and "not complete" in said


def test_fewer_labels_than_pictures_are_named(refused):
    path = write_idx("digits")
    path.write_bytes(path.read_bytes() + bytes(100))
    labels = path.with_name("train-labels-idx1-ubyte")
    labels.write_bytes(struct.pack(">HBBI", 0, 8, 1, 39) + bytes(i % 2 for i in range(39)))
    assert "has 39 labels for the 40 pictures" in refused("train", "digits", *FAST)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_a_truncated_parquet_file_is_named(share, refused):
    pq.write_table(pa.table({"a": np.arange(N) * 1.0, "kind": ["x", "y"] * (N // 2)}), "t.parquet")
    content = pathlib.Path("t.parquet").read_bytes()
    pathlib.Path("t.parquet").write_bytes(content[: int(share * len(content))])
    said = refused("train", "t.parquet", "--target", "kind", *FAST)
    assert "t.parquet" in said and "Get the file again" in said


def test_a_truncated_picture_is_named_and_can_be_left_out(refused, run):
    damaged = write_pictures("pets") / "dog" / "3.png"
    halve(damaged)
    said = refused("train", "pets", *FAST)
    assert str(damaged) in said and "--skip-bad" in said
    done = run("train", "pets", "--skip-bad", "-o", "kept", *FAST)
    assert done.code == 0 and "Damaged pictures left out: 1 (first dog/3.png" in done.err
    assert json.loads(pathlib.Path("kept/environment.json").read_text())["data"]["samples"] == 39


def test_a_bad_picture_in_a_parquet_file_is_named_and_can_be_left_out(refused, run):
    pictures = [path.read_bytes() for path in sorted(write_pictures("source").rglob("*.png"))]
    pictures[5] = pictures[5][: len(pictures[5]) // 2]
    cells = [{"bytes": content, "path": f"{i}.png"} for i, content in enumerate(pictures)]
    pq.write_table(pa.table({"image": cells, "label": [i % 2 for i in range(len(cells))]}), "pets.parquet")
    said = refused("train", "pets.parquet", *FAST)
    assert "pets.parquet" in said and "row 6" in said and "--skip-bad" in said
    done = run("train", "pets.parquet", "--skip-bad", "-o", "kept", *FAST)
    assert done.code == 0 and "Damaged pictures left out: 1" in done.err


def test_nothing_but_bad_pictures_is_an_error_also_where_they_are_skipped(refused):
    for path in write_pictures("pets").rglob("*.png"):
        halve(path)
    assert "None of the 40 pictures can be decoded" in refused("train", "pets", "--skip-bad", *FAST)


# ---- tables and arrays -------------------------------------------------------------------------------------------

LOW_ONLY = [line.replace("high", "low") for line in rows()]
TABLES: dict[str, tuple[list[str], str, str]] = {  # lines, target, what is said
    "no target named": (rows(), "", "no target is named. Name one of its columns: a, b, kind."),
    "no such column": (rows(), "kid", "no column 'kid'. Did you mean 'kind'?"),
    "an empty target": ([re.sub("high|low", "", line) for line in rows()], "kind", "The target 'kind' of t is empty"),
    "one class": (LOW_ONLY, "kind", "has only one class, 'low'. Give rows of at least two classes."),
    "text in a number column": (
        [*rows(), "oops,0.1,low"],
        "kind",
        f"'a' holds numbers in 99% of its cells, but row {N + 1}",
    ),
    "ragged lines": ([*rows(), "1,2,low,4"], "kind", "no regular table"),
    "a header alone": (rows()[:1], "kind", "t.csv"),
    "an empty file": ([], "kind", "t.csv"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_cannot_be_learned(case, refused):
    lines, target, said = TABLES[case]
    words = ("--target", target) if target else ()
    assert said in refused("train", write("t.csv", lines), *words, *FAST)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_named_by_their_place(value, refused):
    X = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
    X[5, 2] = value
    np.savez("t.npz", X=X, y=np.arange(N) % 3)
    assert f"is {value} at row 5, position (2,)" in refused("train", "t.npz", *FAST)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_targets_that_are_not_finite_are_named_by_their_place(value, refused):
    y = np.linspace(0, 1, N)
    y[7] = value
    np.savez("t.npz", X=np.random.default_rng(0).normal(size=(N, 4)), y=y)
    assert re.search(f"{value}.* row [78]", refused("train", "t.npz", *FAST))


@pytest.mark.parametrize(
    ("labels", "said", "names"),
    [
        (np.arange(N) % 10 + 1, "The labels 1 … 10 are the classes 0 … 9", {str(i) for i in range(1, 11)}),
        (np.array(["cat", "dog"])[np.arange(N) % 2], "cat = 0, dog = 1", {"cat", "dog"}),
    ],
    ids=["1 to 10", "texts"],
)
def test_labels_of_any_kind_are_mapped_reported_and_come_back(labels, said, names, run):
    X = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
    np.savez("t.npz", X=X, y=labels)
    done = run("train", "t.npz", "-o", "run", *FAST)
    assert done.code == 0 and said in done.err
    np.save("new.npy", X[:9])
    lines = run("predict", "run", "new.npy").out.splitlines()
    assert all(f"p({name})" in lines[0] for name in names)
    assert {line.split(",")[1] for line in lines[1:]} <= names


def test_an_array_of_objects_is_never_unpickled(refused, home):
    np.save("X.npy", np.array([Payload(home / "owned")], dtype=object), allow_pickle=True)
    assert "pickle" in refused("train", "X.npy", *FAST)
    assert not (home / "owned").exists()


# ---- recipes and options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--set", "optimizer.learning_rate=0.1"),
            "no field optimizer.learning_rate (given 0.1). Did you mean optimizer.lr?",
        ),
        (("--set", "training.epoch=3"), "Did you mean training.epochs?"),
        (("--set", "optimiser.lr=0.1"), "Did you mean optimizer?"),
        (("--set", "optimizer.name=adamm"), "optimizer.name is 'adamm'"),
        (("--model", "resnet2O"), "no model is called 'resnet2O'. Did you mean 'resnet20'?"),
        (("--loss", "cross_entropi"), "cross_entropy"),
        (("--lr", "-0.1"), "optimizer.lr is -0.1. It should be greater than 0."),
        (("--set", "optimizer.lr=nan"), "optimizer.lr is nan"),
        (("--set", "optimizer.lr=-1"), "optimizer.lr is -1.0. It should be greater than 0."),
        (("--batch-size", "5000"), f"batch_size is 5000, but the training part has {int(0.6 * N)} samples"),
        (("--batch-size", "0"), "training.batch_size is 0"),
        (("--device", "cuda:99"), "this machine has no cuda:99"),
        (("--set", "data.val=0.6", "--set", "data.test=0.5"), "none are left to train on"),
        (("--set", "training.metric=absent.py:score"), "absent.py"),
        (("--model", "absent.py:build"), "absent.py"),
        (("--folds", "1"), "fold"),
        (("--set", "training.monitor=auc"), "training.monitor: there is no validation score 'auc'"),
    ],
)
def test_a_wrong_setting_names_the_right_one(words, said, refused):
    assert said in refused("train", write("t.csv", rows()), "--target", "kind", *FAST, *words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[optimizer]\nlearning_rate = 0.1\n",
            "r.toml: there is no field optimizer.learning_rate (given 0.1). Did you mean optimizer.lr?",
        ),
        ("[optimizer]\nlr = -0.5\n", "r.toml: optimizer.lr is -0.5. It should be greater than 0."),
        ("[optimizer]\nlr = 'fast'\n", "r.toml: optimizer.lr is 'fast'"),
        ("[optimizer\nlr = 0.1\n", "r.toml cannot be read"),
        ("[modle]\nname = 'mlp'\n", "Did you mean model?"),
    ],
)
def test_a_wrong_recipe_file_names_the_right_field(text, said, refused):
    pathlib.Path("r.toml").write_text(text)
    assert said in refused("train", write("t.csv", rows()), "--target", "kind", "--recipe", "r.toml")


# ---- run folders -------------------------------------------------------------------------------------------------


def recipe(folder: str) -> Recipe:
    return Recipe().override([*SETTINGS, "data.target=kind", f"output.folder={folder}"])


def kill_at(step: int) -> Callable[[str, Any], None]:
    def callback(event: str, state: Any) -> None:
        if event == "step_end" and state.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return callback


@pytest.fixture
def finished(home: pathlib.Path) -> pathlib.Path:
    jobs.train(write("t.csv", rows()), recipe("whole"))
    return home / "whole"


@pytest.fixture
def stopped(home: pathlib.Path) -> pathlib.Path:
    """A run of 9 steps that a signal ended after step 5."""
    with pytest.raises(stopping.Stopped):
        jobs.train(write("t.csv", rows()), recipe("run"), callbacks=[kill_at(5)])
    return home / "run"


def test_a_run_folder_that_exists_is_not_touched(finished, refused):
    said = refused("train", "t.csv", "--target", "kind", "-o", "whole", *FAST)
    assert "whole exists already" in said and "trainwell resume whole" in said


def test_a_stopped_run_is_not_begun_anew(stopped, refused):
    assert "trainwell resume run" in refused("train", "t.csv", "--target", "kind", "-o", "run", *FAST)


@pytest.mark.parametrize("kind", ["a folder of others", "a file"])
def test_a_place_that_is_taken_is_not_touched(kind, home, refused):
    taken = home / "taken"
    if kind == "a file":
        taken.write_text("mine")
    else:
        taken.mkdir()
        (taken / "thesis.txt").write_text("mine")
    assert "taken" in refused("train", write("t.csv", rows()), "--target", "kind", "-o", "taken", *FAST)


@pytest.mark.parametrize("verb", ["resume", "evaluate", "report"])
def test_a_folder_that_holds_no_run(verb, finished, refused):
    assert "Did you mean 'whole'?" in refused(verb, "whale")
    pathlib.Path("other").mkdir()
    assert "other holds no run" in refused(verb, "other")


def test_an_unfinished_run_answers_nothing_yet(stopped, refused):
    assert "Go on with `trainwell resume run` first" in refused("evaluate", "run")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lr = 0.05", "lr = 0.06"),
        ("width = 8", "width = 9"),
        ("epochs = 3", "epochs = 4"),
        ("batch_size = 16", "batch_size = 8"),
    ],
)
def test_a_checkpoint_of_another_recipe_is_refused_and_the_run_goes_on_with_its_own(
    old, new, stopped, refused, finished, run
):
    path = stopped / "recipe.toml"
    own = path.read_text()
    assert old in own
    path.write_text(own.replace(old, new) + "\n# an edit of mine\n")
    said = refused("resume", "run")
    assert "the checkpoint in run was made with another" in said and "that the run was started with" in said
    path.write_text(own)
    assert run("resume", "run", "--quiet").code == 0
    assert {name: (stopped / name).read_bytes() for name in ENDS} == {
        name: (finished / name).read_bytes() for name in ENDS
    }


def test_checkpoints_that_are_all_cut_short(stopped, refused):
    for path in (stopped / "checkpoint").glob("*.pt"):
        halve(path)
    assert re.search(r"stopped-000000005\.pt cannot be read as a checkpoint.*train anew", refused("resume", "run"))


def test_one_checkpoint_that_is_cut_short_is_passed_over_with_a_sentence(stopped, finished, run):
    halve(stopped / "checkpoint" / "stopped-000000005.pt")
    done = run("resume", "run")
    said = " ".join(done.err.split())
    assert done.code == 0 and "stopped-000000005.pt cannot be read" in said and "older checkpoint is used" in said
    assert {name: (stopped / name).read_bytes() for name in ENDS} == {
        name: (finished / name).read_bytes() for name in ENDS
    }


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, target: pathlib.Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self.target,))


def pickled(form: str, target: pathlib.Path) -> bytes:
    if form == "pickle":
        return pickle.dumps({"0.weight": Payload(target)})
    buffer = io.BytesIO()
    torch.save({"format": 1, "step": 99, "model": Payload(target)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["pickle", "torch"])
@pytest.mark.parametrize("verb", ["evaluate", "report", "predict", "export"])
def test_a_pickle_disguised_as_weights_is_refused_and_not_run(verb, form, finished, refused, home):
    (finished / "best.safetensors").write_bytes(pickled(form, home / "owned"))
    more = {"predict": ["t.csv"], "export": ["model.pt2"]}.get(verb, [])
    assert re.search(r"best\.safetensors holds no weights.*pickles are refused", refused(verb, "whole", *more))
    assert not (home / "owned").exists()


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_pickle_disguised_as_a_checkpoint_is_refused_and_not_run(form, stopped, refused, home):
    for path in (stopped / "checkpoint").glob("*.pt"):
        path.write_bytes(pickled(form, home / "owned"))
    assert "cannot be read as a checkpoint" in refused("resume", "run")
    assert not (home / "owned").exists()


def test_the_pickles_would_run_if_they_were_trusted(home):  # control
    torch.load(io.BytesIO(pickled("torch", home / "owned")), weights_only=False)
    assert (home / "owned").is_dir()


def test_weights_of_another_model_are_refused(finished, refused):
    path = finished / "recipe.toml"
    path.write_text(path.read_text().replace("width = 8", "width = 9"))
    assert "best.safetensors is of another model" in refused("evaluate", "whole")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_metrics_that_are_shorter_than_the_checkpoint_says(share, stopped, refused):
    path = stopped / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "metrics.jsonl does not fit the checkpoint" in refused("resume", "run")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metrics.jsonl", "{\n{}\n", "metrics.jsonl, line 1 is not JSON"),
        ("metrics.jsonl", '{"a": 1}\n', "metrics.jsonl, line 1 is not one of trainwell's"),
        ("timing.jsonl", "[1]\n", "timing.jsonl, line 1 is not one of trainwell's"),
        ("schema.json", "{", "schema.json does not describe data"),
        ("schema.json", "[]", "schema.json does not describe data"),
        ("recipe.toml", "garbage[", "recipe.toml cannot be read"),
    ],
)
def test_a_damaged_file_of_a_run_is_named(name, content, said, finished, refused):
    (finished / name).write_text(content)
    assert said in refused("evaluate", "whole")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a,c", "1,2"], "no column 'b'"),
        (["a,b,kind", "1,2,middle"], "None of the 1 rows of the data part has an answer that the run knows"),
        (["a,b,kind", "oops,2,low"], "'a' holds numbers, but row 1 says 'oops'"),
    ],
)
def test_new_rows_that_do_not_fit(lines, said, finished, refused):
    assert said in refused("evaluate", "whole", write("new.csv", lines))


@pytest.mark.parametrize("place", ["nowhere/answers.csv", "whole"])
def test_answers_that_have_nowhere_to_go(place, finished, refused):
    assert place in refused("predict", "whole", "t.csv", "-o", place)


@pytest.mark.parametrize("how", ["other rows", "no file"])
def test_a_run_whose_data_are_gone_or_others_is_not_resumed(how, stopped, refused):
    if how == "other rows":
        write("t.csv", rows(seed=1))
        assert "made with another data" in refused("resume", "run")
    else:
        pathlib.Path("t.csv").rename("u.csv")
        assert "no file or folder" in refused("resume", "run")


# ---- a disk that takes nothing -----------------------------------------------------------------------------------


def read_only(monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path) -> None:
    """As chmod would make it; done by hand, because chmod does not stop an administrator."""

    def guard(name: str) -> None:
        real = getattr(pathlib.Path, name)

        def refuse(path: pathlib.Path, *args: Any, **options: Any) -> Any:
            if folder in (path.absolute(), *path.absolute().parents) and not (name == "mkdir" and path.is_dir()):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, *args, **options)

        monkeypatch.setattr(pathlib.Path, name, refuse)

    for name in ("mkdir", "touch", "unlink", "write_text"):
        guard(name)


def test_a_place_where_nothing_can_be_made(home, refused, monkeypatch):
    (home / "locked").mkdir()
    write("t.csv", rows())
    read_only(monkeypatch, home / "locked")
    said = refused("train", "t.csv", "--target", "kind", "-o", "locked/run", *FAST)
    assert "The run folder locked/run cannot be written: Permission denied. Name another with -o." in said


def test_a_run_folder_that_cannot_be_written_is_not_resumed(stopped, refused, monkeypatch):
    read_only(monkeypatch, stopped)
    assert "The run folder run cannot be written: Permission denied" in refused("resume", "run")


class Full:
    """Stands for a function that writes: fails from the moment that ``when`` says so."""

    def __init__(self, real: Callable[..., Any], when: Callable[..., bool]) -> None:
        self.real, self.when, self.failed = real, when, 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self.failed or self.when(*args):
            self.failed += 1
            if self.real is torch.save:
                pathlib.Path(args[1]).write_bytes(b"half a checkpo")
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.real(*args, **options)


def full_from_step(monkeypatch: pytest.MonkeyPatch, what: str, step: int) -> Full:
    if what == "replace":
        full = Full(os.replace, lambda source, target: f"step-{step:09d}" in str(target))
        monkeypatch.setattr(os, "replace", full)
    else:
        full = Full(torch.save, lambda state, target: f"step-{step:09d}" in str(target))
        monkeypatch.setattr(torch, "save", full)
    return full


@pytest.mark.parametrize("what", ["replace", "save"])
def test_a_disk_that_fills_up_inside_a_run_loses_nothing(what, home, finished, refused, run):
    with pytest.MonkeyPatch.context() as patch:
        full = full_from_step(patch, what, 6)
        said = refused("train", "t.csv", "--target", "kind", "-o", "run", *FAST, code=1, unchanged=False)
    assert full.failed
    assert "could not be written: No space left on device." in said and "what was saved before is untouched" in said
    folder = home / "run"
    kept = sorted((folder / "checkpoint").glob("*.pt"))
    assert [path.name for path in kept] == ["step-000000002.pt", "step-000000004.pt"]
    assert checkpoint.read(kept[-1])["step"] == 4 and not list(folder.rglob("*.tmp"))
    assert run("resume", "run", "--quiet").code == 0
    assert {name: (folder / name).read_bytes() for name in ENDS} == {
        name: (finished / name).read_bytes() for name in ENDS
    }


@pytest.fixture
def full_device() -> Iterator[pathlib.Path]:
    if not pathlib.Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    yield pathlib.Path("/dev/full")


@pytest.mark.parametrize("name", ["timing.jsonl", "log.txt"])
def test_a_journal_that_cannot_grow_is_one_sentence(name, full_device, stopped, finished, refused, run):
    """A real device without room: also what Python still has to flush when the file is closed fails."""
    own = (stopped / name).read_bytes()
    (stopped / name).unlink()
    (stopped / name).symlink_to(full_device)
    said = refused("resume", "run", code=1, unchanged=False)
    assert f"{name} could not be written: No space left on device." in said and "trainwell resume" in said
    assert checkpoint.read(max((stopped / "checkpoint").glob("step-*.pt")))["step"] >= 4
    (stopped / name).unlink()
    (stopped / name).write_bytes(own)
    assert run("resume", "run", "--quiet").code == 0
    assert {name: (stopped / name).read_bytes() for name in ENDS} == {
        name: (finished / name).read_bytes() for name in ENDS
    }


# ---- as a process ------------------------------------------------------------------------------------------------


def process(*words: str) -> SimpleNamespace:
    done = subprocess.run([sys.executable, "-m", "trainwell", *words], capture_output=True, text=True, check=False)
    return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)


def test_a_process_ends_with_the_code_and_writes_two_lines(home):
    write("houses.csv", rows())
    before = listing(home)
    done = process("train", "house.csv", *FAST)
    assert done.code == 2 and done.out == "" and listing(home) == before
    assert done.err.splitlines() == [
        "Error: There is no file or folder 'house.csv', and no known dataset of that name.",
        "       Did you mean 'houses.csv'?",
    ]


def test_a_failure_has_a_remedy_and_a_traceback_only_when_asked_for(finished, home, run):
    with pytest.MonkeyPatch.context() as patch:
        full_from_step(patch, "replace", 2)
        done = run("train", "t.csv", "--target", "kind", "-o", "run", *FAST, "--traceback")
    assert done.code == 1 and "Traceback" in done.err and JobError.__name__ in done.err
