"""What the README and the docs say is so: every example runs, every link leads somewhere, every list is complete."""

import json
import pathlib
import re
import sys
import types
from typing import Any
from unittest import mock

import pages
import pytest
import recipe_page

from trainwell.cli.main import main
from trainwell.cli.verbs import VERBS
from trainwell.training import Recipe
from trainwell.training.state import EVENTS, State

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def text(name: str) -> str:
    return (pages.ROOT / name).read_text(encoding="utf-8")


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> dict[str, mock.MagicMock]:
    """Stand-ins for MLflow and Weights & Biases, which take JSON's numbers only."""
    made: dict[str, mock.MagicMock] = {}
    for name in ("mlflow", "wandb"):
        module: Any = types.ModuleType(name)
        made[name] = mock.MagicMock()
        module.__getattr__ = lambda attribute, name=name: getattr(made[name], attribute)
        monkeypatch.setitem(sys.modules, name, module)
    return made


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.stem)
def test_every_example_of_the_page_runs(
    page: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, services: dict[str, mock.MagicMock]
) -> None:
    monkeypatch.chdir(tmp_path)
    pages.run_page(page, tmp_path)
    if page.stem == "run-folder":
        logged = [call.args[0] for call in services["mlflow"].log_metrics.call_args_list]
        assert {"train_loss", "val_loss", "val_accuracy", "lr"} in map(set, logged)
        assert any("test_accuracy" in scores for scores in logged)
        run = services["wandb"].init.return_value.__enter__.return_value
        assert run.log.call_count == 3 and run.summary.update.call_count == 3


def test_an_example_that_fails_is_noticed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:  # control
    monkeypatch.chdir(tmp_path)
    for wrong in ("```python\nassert 1 == 2\n```\n", "```sh\ntrainwell train nothing-here.csv --target y\n```\n"):
        (tmp_path / "page.md").write_text(wrong)
        with pytest.raises(AssertionError):
            pages.run_page(tmp_path / "page.md", tmp_path)
    (tmp_path / "page.md").write_text("```sh\ntrainwell train mnist --epoch 4\n```\n")
    with pytest.raises(Exception, match="No such option"):
        pages.run_page(tmp_path / "page.md", tmp_path)


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: pathlib.Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name}: {target}"
        headings = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in map(slug, headings), f"{page.name}: {target}"


def test_the_readme_has_the_two_commands_where_the_ci_script_looks() -> None:
    readme = text("README.md")
    assert "\n```sh first\npip install -c constraints.txt . && trainwell train digits\n```\n" in readme
    assert "\n```sh second\npip install -c constraints.txt '.[test]' && pytest\n```\n" in readme


def test_the_readme_links_every_page_and_its_picture_is_small() -> None:
    links = set(LINK.findall(text("README.md")))
    assert {f"docs/{page.name}" for page in pages.PAGES[1:]} | {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"} <= links
    assert (pages.ROOT / "docs/images/report.png").stat().st_size <= 250_000


def test_the_page_on_the_recipe_is_that_of_its_fields() -> None:
    """Write it anew with ``python tests/docs/recipe_page.py``."""
    assert recipe_page.PAGE.read_text(encoding="utf-8") == recipe_page.page()


def test_the_page_on_the_recipe_has_every_field_with_its_sentence() -> None:
    section, found = "", set()
    for line in recipe_page.PAGE.read_text(encoding="utf-8").splitlines():
        section = line[3:] if line.startswith("## ") else section
        if line.startswith("| `"):
            found.add((section, line.split("`")[1], line.rsplit(" | ", 1)[1].removesuffix(" |")))
    fields = {
        (name, field, str(info.description))
        for name, section_field in Recipe.model_fields.items()
        for field, info in getattr(section_field.annotation, "model_fields", {}).items()
    }
    assert found == fields and len(fields) > 50


def test_every_field_named_in_a_set_is_a_field() -> None:
    for page in pages.PAGES:
        for assignment in re.findall(r"--set ([\w.]+)=", page.read_text(encoding="utf-8")):
            section, _, field = assignment.partition(".")
            assert field in getattr(Recipe(), section).__class__.model_fields, f"{page.name}: {assignment}"


def test_every_verb_and_option_named_exists() -> None:
    known = {option for verb in VERBS for p in pages.verbs.load(verb).params for option in (*p.opts, *p.secondary_opts)}
    known |= {"--help", "--extra-index-url"}
    for page in pages.PAGES:
        content = page.read_text(encoding="utf-8")
        for verb in re.findall(r"`trainwell ([a-z]+)[ `]", content):
            assert verb in VERBS, f"{page.name}: trainwell {verb}"
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", content):
            assert option in known, f"{page.name}: {option}"


def test_the_page_on_callbacks_has_every_event_and_every_part_of_the_state() -> None:
    page = text("docs/callbacks.md")
    assert re.findall(r"^\| `(\w+)` \|", page.split("## State")[0], re.MULTILINE) == list(EVENTS)
    rows = re.findall(r"^\| (`.+?) \|", page.split("## State")[1], re.MULTILINE)
    assert set(re.findall(r"`(\w+)", " ".join(rows))) == {*State.__dataclass_fields__, "stop"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run of a table of two classes, with all that a recipe can make it write but TensorBoard."""
    folder = tmp_path_factory.mktemp("run")
    rows = [f"{i % 17},{i % 5},{'yes' if i % 17 > 8 else 'no'}" for i in range(120)]
    (folder / "table.csv").write_text("\n".join(["a,b,c", *rows]) + "\n")
    words = f"train {folder / 'table.csv'} --target c --epochs 2 --lr 0.01 --set training.threshold=auto -q"
    assert main([*words.split(), "-o", str(folder / "run")]) == 0
    return folder / "run"


def test_the_page_on_the_folder_has_every_file_of_a_run(run: pathlib.Path) -> None:
    listed = set(re.findall(r"^\| `([^`]+)` \|", text("docs/run-folder.md").split("## ")[0], re.MULTILINE))
    pattern = {re.sub(r"\d+", "N", name) for name in listed}
    left = {re.sub(r"\d+", "N", p.relative_to(run).as_posix()) for p in run.rglob("*") if p.is_file()}
    assert left <= pattern and pattern - left == {"checkpoint/stopped-N.pt", "tensorboard/"}


def test_the_page_on_the_folder_has_every_field_of_every_event(run: pathlib.Path) -> None:
    page = text("docs/run-folder.md")
    seen = set()
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        seen.add(line["event"])
        part = page.split(f"\n`{line['event']}`:")[1].split("\n\n`")[0]
        assert line.keys() - {"event"} <= set(re.findall(r"`(\w+)`", part)), line
        if line["event"] == "final":
            assert line["metrics"].keys() <= set(re.findall(r"`(\w+)`", part)), line
    assert seen == {"step", "epoch", "threshold", "final"}
    assert {"from_step", "to_step", "factor", "value"} <= set(
        re.findall(r"`(\w+)`", page.split("\n`stepped_back`:")[1])
    )
    for line in map(json.loads, (run / "timing.jsonl").read_text().splitlines()):
        assert line.keys() - {"event"} <= set(re.findall(r"`(\w+)`", page.split("\n`timing.jsonl`")[1]))
