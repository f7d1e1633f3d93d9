"""Help, completion and wrong words answer without the heavy imports."""

import ast
import importlib
import subprocess
import sys

import pytest

from trainwell.cli.verbs import VERBS

HEAVY = ("torch", "numpy", "pydantic", "sklearn", "scipy", "pyarrow", "matplotlib")
PROBE = f"""
import sys
from trainwell.cli.main import main
code = main(sys.argv[1:])
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


def loaded(*words: str, env: dict[str, str] | None = None) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, env=env, check=False)
    return ast.literal_eval(done.stderr.splitlines()[-1])


def test_help_imports_nothing_heavy():
    assert loaded("--help") == []


@pytest.mark.parametrize("words", [("train", "--help"), ("train", "--nope"), ("trian",)])
def test_help_of_a_verb_and_wrong_words_import_no_library_that_computes(words):
    assert set(loaded(*words)) <= {"pydantic"}  # typer itself reads values by it


def test_the_probe_sees_what_is_imported():  # control
    assert "torch" in loaded("doctor")


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_a_file_whose_first_line_is_its_line_in_the_list(name):
    function = getattr(importlib.import_module(f"trainwell.cli.{name}"), name)
    assert function.__doc__.splitlines()[0] == VERBS[name].summary


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_help_with_examples(name, run):
    done = run(name, "--help")
    assert done.code == 0
    assert f" trainwell {name}" in done.out.split("Examples:")[1]


def test_list_of_verbs_names_them_all(run):
    done = run("--help")
    assert done.code == 0 and all(f" {name} " in done.out for name in VERBS)
    assert run().out == done.out  # without words too


def test_version(run):
    import trainwell

    assert run("--version").out == f"trainwell {trainwell.__version__}\n"
