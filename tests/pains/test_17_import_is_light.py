"""Lightning-AI/pytorch-lightning#16090, #12786, #19261: an import of 2 to 6 seconds, which breaks completion."""

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "scipy", "sklearn", "pandas", "pyarrow", "matplotlib", "optuna", "onnx", "PIL", "pydantic")
CASES = {
    "import trainwell": "import trainwell",
    "--help": "from trainwell.cli.main import main; main(['--help'])",
    "--version": "from trainwell.cli.main import main; main(['--version'])",
    "train --help": "from trainwell.cli.main import main; main(['train', '--help'])",
    "the frame of the command line": "import trainwell.cli.main",
    "the rooms": "from trainwell import data, nn, objectives, optim, report, theory, training",
}
ALLOWED = {"train --help": {"pydantic"}}  # typer itself reads values by it


def loaded(code, **environment):
    """The heavy packages that a fresh process has imported after running ``code``."""
    listing = f"import sys; print('\\n', *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("case", CASES)
def test_nothing_heavy_is_imported(case):
    assert loaded(CASES[case]) <= ALLOWED.get(case, set())


def test_a_recipe_is_checked_without_torch():
    code = "from trainwell.training import Recipe; Recipe().override(['optimizer.lr=0.1', 'model.name=mlp'])"
    assert "torch" not in loaded(code)


def test_completion_of_a_word_is_light():
    code = "from trainwell.cli.main import main\ntry: main([])\nexcept SystemExit: pass"
    words = {"_TRAINWELL_COMPLETE": "complete_bash", "COMP_WORDS": "trainwell tr", "COMP_CWORD": "1"}
    assert loaded(code, **words) <= {"pydantic"}


def test_what_computes_is_seen_by_the_probe():  # control
    assert "torch" in loaded("from trainwell import fit")
