"""One run of each kind that the tests of jobs share."""

from types import SimpleNamespace

import pytest
from small_recipes import fast, write_flowers

from trainwell.training import jobs


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Finished runs: digits (images), flowers (a binary table) and heights (a regression on the same table)."""
    root = tmp_path_factory.mktemp("runs")
    table = write_flowers(root / "flowers.csv")
    patch = pytest.MonkeyPatch()
    patch.setenv("TRAINWELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    try:
        digits = jobs.train("digits", fast(f"output.folder={root / 'digits'}"))
        flowers = jobs.train(
            str(table), fast(f"output.folder={root / 'flowers'}", "data.target=kind", "data.drop=['height']")
        )
        heights = jobs.train(
            str(table),
            fast(f"output.folder={root / 'heights'}", "data.target=height", "data.drop=['kind']", "training.epochs=30"),
        )
    finally:
        patch.undo()
    return SimpleNamespace(root=root, table=table, digits=digits, flowers=flowers, heights=heights)
