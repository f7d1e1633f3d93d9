"""Export a run's model, with its preparation of raw input inside, and compare the two.

Images go in as uint8 (N, C, H, W), tables as float numbers (N, F) with NaN for missing cells and int64 codes (N, K);
the codes'
table is written as JSON beside the model. Classifiers answer with probabilities.
"""

import copy
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.data import Schema
from trainwell.errors import InputError, JobError
from trainwell.nn import unparametrize_
from trainwell.training.predictions import probabilities
from trainwell.training.run import Run
from trainwell.training.weights import write_atomically, write_text

LARGEST_DIFFERENCE = 1e-4
EXAMPLE_ROWS = 4  # one row would be taken for a constant


class Deployed(nn.Module):
    """The model with plain tensor arguments and probabilities as output.

    Args:
        model: of the run.
        task: of the run.
        loss: tells how outputs become probabilities.
    """

    def __init__(self, model: nn.Module, task: str, loss: Any) -> None:
        super().__init__()
        self.model, self._task = model, task
        self._logits = not isinstance(getattr(loss, "loss", loss), nn.NLLLoss | nn.BCELoss)
        self._loss = loss

    def forward(self, *inputs: Tensor) -> Tensor:
        """Images or features, or (numbers, categories), to probabilities or values."""
        output = self.model(inputs[0] if len(inputs) == 1 else {"numbers": inputs[0], "categories": inputs[1]})
        if self._task == "regression":
            return output
        if not self._logits:
            return probabilities(output, self._loss, self._task)
        return torch.sigmoid(output) if self._task == "multilabel" else torch.softmax(output, 1)


def export_run(run: Run, output: Path) -> dict[str, Any]:
    """Write ``output`` (.onnx or .pt2) and a JSON of its inputs and outputs beside it.

    Returns:
        ``{"file", "description", "difference", "rows"}``: the largest difference to the model over the compared rows.

    Raises:
        InputError: for another suffix, or if the extra ``[onnx]`` is missing.
        JobError: if the exported model answers differently.
    """
    if output.suffix not in (".onnx", ".pt2"):
        raise InputError(
            f"{output}: export writes .onnx or .pt2, not {output.suffix or 'a file without suffix'}.",
            "Name such a file.",
        )
    whole = copy.deepcopy(run.model.cpu().float().eval())
    unparametrize_(whole)  # the weights as they are: an exported model trains no more
    model = Deployed(whole, run.task, run.loss).eval()
    example = export_inputs(run.schema, EXAMPLE_ROWS)
    output.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters warn and log about their own insides
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        answer = _onnx(model, example, output, run.schema) if output.suffix == ".onnx" else _pt2(model, example, output)
    difference = 0.0
    for rows in (1, 3, 50):
        inputs = export_inputs(run.schema, rows)
        with torch.no_grad():
            expected = model(*inputs)
        found = answer(inputs).detach()
        scale = max(1.0, float(expected.abs().max())) if run.task == "regression" else 1.0
        difference = max(difference, float((found - expected).abs().max()) / scale)
    if not difference <= LARGEST_DIFFERENCE:
        output.unlink(missing_ok=True)
        raise JobError(
            f"The exported model differs from the run's by {difference:.2g}; {output} was removed.",
            "Please report this.",
        )
    description = output.with_suffix(".json")
    write_text(description, json.dumps(describe(run), indent=1, ensure_ascii=False) + "\n")
    return {"file": str(output), "description": str(description), "difference": difference, "rows": 54}


def export_inputs(schema: Schema, rows: int) -> tuple[Tensor, ...]:
    """Random raw inputs of this schema, with missing numbers and unknown categories among them."""
    generator = torch.Generator().manual_seed(rows)
    if schema.kind == "table":
        numbers = torch.randn(rows, len(schema.numbers()), generator=generator)
        numbers = torch.where(torch.rand(numbers.shape, generator=generator) < 0.1, torch.nan, numbers)
        sizes = [len(column.categories) for column in schema.categories()]
        codes = [torch.randint(-1, max(1, size), (rows,), generator=generator) for size in sizes]
        return numbers, torch.stack(codes, 1) if codes else torch.zeros(rows, 0, dtype=torch.int64)
    if schema.dtype == "uint8":
        return (torch.randint(0, 256, (rows, *schema.shape), dtype=torch.uint8, generator=generator),)
    return (torch.randn(rows, *schema.shape, generator=generator),)


def describe(run: Run) -> dict[str, Any]:
    """Names, order and codes of inputs and outputs."""
    schema: Schema = run.schema
    inputs: list[dict[str, Any]]
    if schema.kind == "table":
        inputs = [
            {"name": "numbers", "dtype": "float32", "columns": [c.name for c in schema.numbers()], "missing": "NaN"},
            {
                "name": "categories",
                "dtype": "int64",
                "columns": [
                    {"name": c.name, "codes": {v: i for i, v in enumerate(c.categories)}} for c in schema.categories()
                ],
                "missing": -1,
            },
        ]
    else:
        inputs = [{"name": "x", "dtype": schema.dtype, "shape": ["N", *schema.shape]}]
    kind = "values" if run.task == "regression" else "probabilities"
    return {
        "task": run.task,
        "target": schema.target,
        "inputs": inputs,
        "output": kind,
        "classes": list(schema.classes),
    }


def _names(schema_inputs: int) -> list[str]:
    return ["x"] if schema_inputs == 1 else ["numbers", "categories"]


def _pt2(model: nn.Module, example: tuple[Tensor, ...], output: Path) -> Any:
    dynamic = ({0: torch.export.Dim.DYNAMIC},) * len(example)
    program = torch.export.export(model, example, dynamic_shapes={"inputs": dynamic})
    write_atomically(output, lambda temporary: _save_pt2(program, temporary))
    loaded = torch.export.load(str(output)).module()
    return lambda inputs: loaded(*inputs)


def _save_pt2(program: Any, temporary: Path) -> None:
    with open(temporary, "wb") as file:
        torch.export.save(program, file)


def _onnx(model: nn.Module, example: tuple[Tensor, ...], output: Path, schema: Schema) -> Any:
    try:
        import onnx  # noqa: F401 - torch needs it and onnxscript
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"ONNX export needs the package {error.name}.", "pip install 'trainwell[onnx]'.") from error
    names = _names(len(example))
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        model,
        example,
        dynamo=True,
        input_names=names,
        output_names=["output"],
        dynamic_shapes=(({0: batch},) * len(example),),
        verbose=False,
    )
    assert program is not None  # it is None only when a file name was given
    write_atomically(output, lambda temporary: program.save(str(temporary)))
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    used = {entry.name for entry in session.get_inputs()}

    def answer(inputs: tuple[Tensor, ...]) -> Tensor:
        fed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True) if name in used}
        return torch.from_numpy(session.run(None, fed)[0])

    return answer
