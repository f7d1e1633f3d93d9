"""Exported models answer as the run does, with their preparation inside."""

import json

import numpy as np
import pytest
import torch

import trainwell as tw
from trainwell.errors import InputError, JobError
from trainwell.training import export as room
from trainwell.training import jobs
from trainwell.training.export import export_inputs


def as_tensors(encoded):
    if isinstance(encoded, dict):
        return torch.as_tensor(encoded["numbers"]), torch.as_tensor(encoded["categories"])
    return (torch.as_tensor(np.asarray(encoded)),)


def raw(name, runs):
    run = getattr(runs, name)
    if name == "digits":
        images = torch.randint(0, 256, (7, *run.schema.shape), generator=torch.Generator().manual_seed(0))
        return images.numpy().astype(np.uint8)
    return {"length": [5.5, 3.0, None], "width": [3.0, None, 2.0], "colour": ["red", "blue", "green"]}  # green is new


def expected(run, rows):
    return run.predict(rows)[:, None] if run.task == "regression" else run.predict_proba(rows)


@pytest.mark.parametrize("name", ["digits", "flowers", "heights"])
def test_a_pt2_file_answers_as_the_run(name, runs, tmp_path):
    run, rows = tw.load(getattr(runs, name).folder), raw(name, runs)
    told = jobs.export(run.folder, tmp_path / "model.pt2")
    assert told["difference"] <= 1e-4 and told["file"] == str(tmp_path / "model.pt2")
    model = torch.export.load(told["file"]).module()
    answer = model(*as_tensors(run.schema.encode(rows))).detach().numpy()
    np.testing.assert_allclose(answer, expected(run, rows), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["flowers", "heights"])
def test_an_onnx_file_answers_as_the_run(name, runs, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    run, rows = tw.load(getattr(runs, name).folder), raw(name, runs)
    jobs.export(run.folder, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    numbers, categories = (t.numpy() for t in as_tensors(run.schema.encode(rows)))
    (answer,) = session.run(None, {"numbers": numbers, "categories": categories})
    np.testing.assert_allclose(answer, expected(run, rows), rtol=1e-4, atol=1e-4)


def test_the_description_says_how_to_feed_the_model(runs, tmp_path):
    told = jobs.export(runs.flowers.folder, tmp_path / "model.pt2")
    described = json.loads((tmp_path / "model.json").read_text())
    assert told["description"] == str(tmp_path / "model.json")
    numbers, categories = described["inputs"]
    assert numbers == {"name": "numbers", "dtype": "float32", "columns": ["length", "width"], "missing": "NaN"}
    (colour,) = categories["columns"]
    assert colour["name"] == "colour" and set(colour["codes"]) == {"red", "blue"} and categories["missing"] == -1
    encoded = runs.flowers.schema.encode({"length": [1.0], "width": [1.0], "colour": ["red"]})
    assert encoded["categories"][0, 0] == colour["codes"]["red"]
    assert described["classes"] == list(runs.flowers.schema.classes) and described["output"] == "probabilities"
    assert described["target"] == "kind" and described["task"] == "binary"


def test_example_inputs_have_missing_numbers_and_unknown_categories(runs):
    numbers, categories = export_inputs(runs.flowers.schema, 200)
    assert bool(numbers.isnan().any()) and int(categories.min()) == -1 and int(categories.max()) == 1
    again = export_inputs(runs.flowers.schema, 200)
    assert torch.equal(numbers.nan_to_num(), again[0].nan_to_num()) and torch.equal(categories, again[1])


def test_another_suffix_is_refused(runs, tmp_path):
    for name in ("model.pt", "model"):
        with pytest.raises(InputError, match=r"export writes .onnx or .pt2"):
            jobs.export(runs.flowers.folder, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_model_that_answers_differently_is_not_left_behind(runs, tmp_path, monkeypatch):
    real = room._pt2

    def shifted(model, example, output):
        answer = real(model, example, output)
        return lambda inputs: answer(inputs) + 0.001

    monkeypatch.setattr(room, "_pt2", shifted)
    with pytest.raises(JobError, match=r"differs from the run's by 0.001"):
        jobs.export(runs.flowers.folder, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())
