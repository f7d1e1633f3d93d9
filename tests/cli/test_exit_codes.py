"""Exit codes, what is said on stderr, and what --json promises about stdout."""

import json
import signal

import pytest

from trainwell.errors import InputError, JobError
from trainwell.training.stopping import Stopped


def failing(error):
    def job(*_args, **_options):
        raise error

    return job


def test_a_finished_job_is_0(run, jobs):
    done = run("train", "digits")
    assert done.code == 0
    assert "runs/digits-1" in done.out and "accuracy" in done.out
    assert "user's model file" in done.err  # stdout is for results


CASES = [
    (InputError("house.csv has no column 'prize'.", "Did you mean price?"), 2, "Did you mean price?"),
    (JobError("The disk is full.", "Make room."), 1, "Make room. --traceback shows where."),
    (ZeroDivisionError("division by zero\nsecond line"), 1, "ZeroDivisionError: division by zero"),
    (Stopped(signal.SIGINT, "runs/a b"), 130, "trainwell resume 'runs/a b'"),
    (Stopped(signal.SIGTERM, None), 143, "before anything was saved"),
    (KeyboardInterrupt(), 130, "Stopped by SIGINT"),
]


@pytest.mark.parametrize(("error", "code", "said"), CASES)
def test_each_end_has_its_code_and_its_sentence(error, code, said, run, jobs):
    jobs.train = failing(error)
    done = run("train", "digits")
    assert done.code == code and done.out == ""
    assert said in done.err and "Traceback" not in done.err and "second line" not in done.err


@pytest.mark.parametrize(("error", "code", "said"), CASES)
def test_json_of_each_end_is_one_object(error, code, said, run, jobs):
    jobs.train = failing(error)
    done = run("train", "digits", "--json")
    assert done.code == code
    assert set(json.loads(done.out)["error"]) == {"message", "remedy"}


@pytest.mark.parametrize("error", [case[0] for case in CASES[:3]])
def test_traceback_is_shown_when_asked_for(error, run, jobs):
    jobs.train = failing(error)
    assert "Traceback" in run("train", "digits", "--traceback").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("trian", "digits"), "Did you mean 'train'?"),
        (("train", "--epoch", "3"), "Did you mean --epochs?"),
        (("train", "digits", "--epochs", "many"), "'many' is not a whole number"),
        (("train", "digits", "--lr", "fast"), "'fast' is not a number"),
        (("train", "digits", "--epochs", "0"), "training.epochs is 0"),
        (("train", "digits", "--set", "optimizer.learning_rate=1"), "optimizer.lr"),
        (("train", "digits", "--set", "lr"), "section.field=value"),
        (("train", "digits", "--recipe", "absent.toml"), "absent.toml does not exist"),
        (("predict", "runs/x"), "Missing argument 'INPUT'"),
        (("--nope",), "No such option: --nope"),
        (("wholly-unknown",), "The verbs are train, "),
    ],
)
def test_wrong_words_are_2_and_name_what_is_wrong(words, said, run, jobs):
    done = run(*words)
    assert done.code == 2 and done.out == "" and said in done.err and "Traceback" not in done.err
    assert json.loads(run(*words, "--json").out)["error"]["message"]


def test_json_of_a_run_has_null_for_nan(run, jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the run's folder is read for its exam: another may lie where the tests are started
    done = run("train", "digits", "--json", "--quiet")
    result = json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert result == {
        "run": "runs/digits-1",
        "task": "classification",
        "metrics": {**jobs.run.metrics, "val": {"loss": None, "accuracy": 0.5}},
        "seconds": 1.5,
        "best_epoch": 3,
        "exam": None,
    }
