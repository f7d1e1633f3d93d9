"""``trainwell examine`` and ``explain``: what they print, write and refuse."""

import json
import re

import pytest

from trainwell.clinic.codes import CODES
from trainwell.lab import catalogue
from trainwell.lab.catalogue import entries

NET = """
import torch
import trainwell as tw
from torch import nn


def data():
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 3, (300,), generator=generator)
    centres = 3 * torch.randn(3, 6, generator=generator)
    return centres[y] + torch.randn(300, 6, generator=generator), y


def sick(shift=1):
    print("spoken by the user's file")
    torch.manual_seed(0)
    X, y = data()
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    y = y + shift
    return tw.Program(
        model=model,
        train=(X[:200], y[:200]),
        val=(X[200:], y[200:]),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        batch_size=20,
        epochs=8,
    )


def well():
    return sick(0)


def words(seed):
    return {**vars(sick(0)), "shuffle": seed == 7}


def misspelt():
    return {"model": nn.Linear(1, 1), "optimiser": None}


def lacking():
    return dict(model=nn.Linear(1, 1), train=data())


def broken():
    raise RuntimeError("no luck")


def other(a, b):
    return a


def nothing():
    return 3
"""


@pytest.fixture(autouse=True)
def mynet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mynet.py"
    path.write_text(NET, encoding="utf-8")
    return path


def test_a_cause_its_cure_and_the_proof_as_patch_and_page(run, mynet):
    done = run("examine", "mynet.py:sick", "--cure", "--prove", "--patch", "cure.diff", "--html", "exam.html")
    assert done.code == 0 and "spoken by the user's file" in done.err and "Examining …" in done.err
    assert "✗ error: label-out-of-range" in done.out and "Proved: " in done.out
    assert "+        train=(X[:200], y[:200] - 1)," in done.out and mynet.read_text(encoding="utf-8") == NET
    assert "y[200:] - 1" in (mynet.parent / "cure.diff").read_text(encoding="utf-8")
    page = (mynet.parent / "exam.html").read_text(encoding="utf-8")
    assert "label-out-of-range" in page and 'id="proof"' in page and "<svg" in page
    assert sorted(p.name for p in mynet.parent.iterdir() if p.is_file()) == ["cure.diff", "exam.html", "mynet.py"]


def test_only_write_changes_the_file_and_then_it_is_healthy(run, mynet):
    done = run("examine", "mynet.py:sick", "--write", "-q")
    assert done.code == 0 and done.err == "spoken by the user's file\n" and "Changed       mynet.py" in done.out
    assert "y[:200] - 1" in mynet.read_text(encoding="utf-8")
    found = json.loads(run("examine", "mynet.py:sick", "--json").out)
    assert "label-out-of-range" not in {finding["code"] for finding in found["findings"]}


def test_a_healthy_program_is_called_so_and_nothing_is_written(run, mynet):  # control
    done = run("examine", "mynet.py:well", "--cure", "--write", "--patch", "cure.diff")
    assert done.code == 0 and done.out.startswith("Healthy: ") and "✗" not in done.out
    assert "Unchanged     mynet.py: there is nothing to cure." in done.out
    assert mynet.read_text(encoding="utf-8") == NET and (mynet.parent / "cure.diff").read_text() == ""


def test_json_is_the_contract(run):
    found = json.loads(run("examine", "mynet.py:sick", "--json", "--cure").out)
    first = found["findings"][0]
    assert not found["healthy"] and set(found["cost"]) == {"passes", "seconds"} and 0 < found["cost"]["passes"] <= 300
    assert set(first) == {"code", "severity", "where", "message", "evidence", "symptoms", "cure", "because"}
    assert first["code"] == "label-out-of-range" and first["cure"]["changes"][0]["target"] == "train.y"
    assert found["patch"]["by_hand"] == [] and "+        train=" in found["patch"]["diff"]


def test_a_dict_and_a_seed_are_taken(run):
    done = run("examine", "mynet.py:words", "--seed", "7", "--effort", "0.5")
    assert done.code == 0 and ("Healthy" in done.out or "found" in done.out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("digits",), "'digits' names no function of a file"),
        (("absent.py:program",), "absent.py does not exist"),
        (("mynet.py:sikc",), "has no function 'sikc'"),
        (("mynet.py:broken",), "mynet.py:broken failed: RuntimeError: no luck."),
        (("mynet.py:other",), "mynet.py:other needs a, b."),
        (("mynet.py:nothing",), "mynet.py:nothing gives int."),
        (("mynet.py:misspelt",), "Did you mean 'optimizer'?"),
        (("mynet.py:lacking",), "the program lacks loss, optimizer."),
        (("mynet.py:sick", "--effort", "0"), "effort is 0.0"),
        (("mynet.py:sick", "--effort", "much"), "'much' is not a number"),
        (("mynet.py:sick", "--patch", "mynet.py"), "--patch mynet.py is the file that is examined"),
        (("mynet.py:sick", "--html", "page.txt"), "a page is written as .html"),
    ],
)
def test_wrong_input_is_2_and_says_what_to_do(words, said, run, mynet):
    done = run("examine", *words)
    assert done.code == 2 and done.out == "" and said in done.err and "Traceback" not in done.err
    assert mynet.read_text(encoding="utf-8") == NET


def test_a_patch_that_cannot_be_written_is_1(run):
    done = run("examine", "mynet.py:well", "--patch", "absent/cure.diff", "--json")
    assert done.code == 1 and "absent/cure.diff could not be written" in json.loads(done.out)["error"]["message"]


@pytest.fixture(scope="module")
def experiments():
    return entries()


@pytest.mark.parametrize("name", CODES)
def test_every_code_has_its_story(name, run, experiments, monkeypatch):
    monkeypatch.setattr(catalogue, "entries", lambda: experiments)  # they are read from a hundred files
    done = run("explain", name)
    assert done.code == 0 and done.out.startswith(f"{name}\n") and "Detected by" in done.out and "Cured by" in done.out
    assert max(map(len, done.out.splitlines())) <= 100
    story = json.loads(run("explain", name, "--json").out)
    claims = {entry.id: entry.claim for entry in experiments}
    assert story["meaning"] == CODES[name].meaning
    assert all(claims[one["id"]] == one["claim"] for one in story["experiments"])
    assert {one["id"] for one in story["experiments"]} | set(story["sources"]) == set(CODES[name].because)


def test_without_a_code_all_are_listed(run):
    listed = run("explain").out.splitlines()
    assert [line.split()[0] for line in listed] == list(CODES)
    assert [one["code"] for one in json.loads(run("explain", "--json").out)["codes"]] == list(CODES)


def test_a_code_with_underscores_is_known_and_a_misspelt_one_named(run):
    assert run("explain", "Dead_ReLU").out.startswith("dead-relu\n")
    done = run("explain", "deadrelu")
    assert done.code == 2 and "Did you mean 'dead-relu'?" in done.err
    assert re.search(r"no code 'qwertyuiop'.*\n.*`trainwell explain` lists all", run("explain", "qwertyuiop").err)
