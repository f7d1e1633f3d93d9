"""A trained classifier under attack: a stronger attack is never weaker, and what cannot be attacked is refused."""

import pytest
from small_recipes import fast, write_flowers

from trainwell.errors import InputError
from trainwell.objectives import Attack
from trainwell.training import jobs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "digits"
    recipe = fast(f"output.folder={str(path)!r}", "training.epochs=6", "augmentation.pad=0")
    jobs.train("digits", recipe)
    return path


def test_accuracy_falls_with_the_radius(folder):
    found = [jobs.evaluate(folder, attack=Attack("pgd_linf", radius, steps=5))["robustness"] for radius in (0.02, 0.15)]
    clean = jobs.evaluate(folder)["metrics"]["test"]["accuracy"]
    for result in found:
        assert result["clean"] == pytest.approx(clean, abs=1e-6)
        assert result["robust"] <= min(result["fgsm"], result["attacked"], result["clean"])
        assert result["rows"] == 359 and 0.5 < result["rising"] <= 1
    assert found[1]["robust"] < found[0]["robust"] - 0.1 < found[0]["clean"]


def test_regression_and_other_data_are_refused(folder, tmp_path):
    table = write_flowers(tmp_path / "flowers.csv")
    recipe = fast(f"output.folder={str(tmp_path / 'run')!r}", 'data.target="height"', "training.epochs=1")
    jobs.train(str(table), recipe)
    with pytest.raises(InputError, match="Only classifiers"):
        jobs.evaluate(tmp_path / "run", attack=Attack("fgsm", 0.1))
    with pytest.raises(InputError, match="own test part"):
        jobs.evaluate(folder, "digits", attack=Attack("fgsm", 0.1))
