"""Exported models give what the model gives, for batches of any size."""

import warnings

import numpy as np
import pytest
import torch
from torch.export import Dim
from torch.testing import assert_close

import trainwell.nn as tn

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export warns of its own parts (copyreg, torchvision)


def image_model(name: str) -> tuple[tn.Predictor, torch.Tensor]:
    model = tn.Predictor(tn.ImageInput([0.5], [0.25], (1, 9, 9)), getattr(tn, name)((1, 9, 9), 4))
    return model, torch.randint(0, 256, (5, 1, 9, 9), dtype=torch.uint8)


def table_model() -> tuple[tn.Predictor, dict[str, torch.Tensor]]:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(50, 3)).astype(np.float32)
    quantiles = np.quantile(numbers, np.linspace(0, 1, 17), axis=0).T
    prepare = tn.TableInput(numbers.mean(0), numbers.std(0), np.median(numbers, 0), quantiles, [0.1, 0, 0], [3, 40])
    numbers[::7] = np.nan
    rows = {"numbers": torch.from_numpy(numbers), "categories": torch.randint(-1, 3, (50, 2))}
    return tn.Predictor(prepare, tn.mlp(prepare.shape, 2, width=16), tn.Unstandardize([1.0, 2.0], [3.0, 4.0])), rows


CASES = {
    "cnn": lambda: image_model("cnn"),
    "resnet20": lambda: image_model("resnet20"),
    "mlp on a table": table_model,
    "mlp on an array": lambda: (tn.Predictor(tn.ArrayInput([0.0] * 4, [1.0] * 4), tn.mlp((4,), 2)), torch.randn(6, 4)),
}


def settled(name: str) -> tuple[tn.Predictor, object]:
    """A model whose normalizations have seen the data, and the data."""
    torch.manual_seed(0)
    model, x = CASES[name]()
    for _ in range(3):
        model(x)
    return model.eval(), x


def dynamic(x: object) -> object:
    return {key: {0: Dim.DYNAMIC} for key in x} if isinstance(x, dict) else {0: Dim.DYNAMIC}


def rows(x: object, count: int) -> object:
    return {key: value[:count] for key, value in x.items()} if isinstance(x, dict) else x[:count]


@pytest.mark.parametrize("name", CASES)
def test_exported_program_agrees(name):
    model, x = settled(name)
    program = torch.export.export(model, (rows(x, 4),), dynamic_shapes=(dynamic(x),)).module()
    for count in (1, 3, 5):
        assert_close(program(rows(x, count)), model(rows(x, count)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_onnx_agrees(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, x = settled(name)
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = {"x": rows(x, 4)}  # by name: a dict that comes last by position would be taken for named arguments
        shapes = {"x": dynamic(x)}
        torch.onnx.export(model, (), path, kwargs=given, dynamo=True, dynamic_shapes=shapes, verbose=False)
    session = runtime.InferenceSession(path)
    for count in (1, 3, 5):
        part = rows(x, count)
        values = list(part.values()) if isinstance(part, dict) else [part]
        feed = {i.name: v.numpy() for i, v in zip(session.get_inputs(), values, strict=True)}
        (output,) = session.run(None, feed)
        assert_close(torch.from_numpy(output), model(part).detach(), rtol=1e-5, atol=1e-5)
