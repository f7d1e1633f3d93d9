"""One thread a worker: with default threads, parallel workers fight for the cores and are slower than one."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import pathlib

import pytest


@pytest.fixture(scope="session")
def data_root() -> pathlib.Path:
    """The folder of $TRAINWELL_DATA with mnist/, cifar10/ and tabular/; tests that need it are skipped without."""
    root = os.environ.get("TRAINWELL_DATA")
    if not root or not pathlib.Path(root).is_dir():
        pytest.skip("TRAINWELL_DATA is not set: data beyond what scikit-learn ships is not at hand")
    return pathlib.Path(root).resolve()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded data and remembered measurements of tests go to a folder that all tests of a worker share."""
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
