"""What the shell is offered."""

import os
import subprocess
import sys

import pytest

from trainwell.cli import completion
from trainwell.data import known_names
from trainwell.training import Recipe


def offered(line: str) -> list[str]:
    words = line.split(" ")
    env = {
        **os.environ,
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TRAINWELL_COMPLETE": "complete_bash",
    }
    done = subprocess.run([sys.executable, "-m", "trainwell"], capture_output=True, text=True, env=env, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("trainwell tr", {"train"}),
        ("trainwell train ", {"digits", "cifar10"}),
        ("trainwell train --ma", {"--max-minutes"}),
        ("trainwell train --model ", {"mlp", "resnet20"}),
        ("trainwell train --set opt", {"optimizer."}),
        ("trainwell train digits --set optimizer.", {"optimizer.lr=", "optimizer.momentum="}),
    ],
)
def test_the_shell_is_offered(line, some):
    assert some <= set(offered(line))


def test_fields_read_from_the_source_are_those_of_the_recipe():
    sections = {
        name: set(field.annotation.model_fields)
        for name, field in Recipe.model_fields.items()
        if hasattr(field.annotation, "model_fields")
    }
    assert {name: set(fields) for name, fields in completion.recipe().items()} == sections
    assert "learning rate" in dict(completion.recipe_fields("optimizer."))["optimizer.lr="]


def test_known_data_are_those_that_can_be_loaded():
    assert set(completion.DATA) == set(known_names())


def test_tasks_and_splits_are_those_of_the_recipe():
    fields = type(Recipe().data).model_fields
    for name, offers in (("task", completion.TASKS), ("split", completion.SPLITS)):
        assert all(repr(offer) in str(fields[name].annotation) for offer in offers)
