"""``trainwell summary``: a model layer by layer."""

from typing import Annotated, Any

import typer

from trainwell.cli import completion, options, output, overrides
from trainwell.cli.display import shown


def summary(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="DATA|RUN|FILE.py:BUILD",
            help="Data (the model that would be trained on it), a run's folder, or a function that returns a module.",
            autocompletion=completion.data_names,
            show_default=False,
        ),
    ],
    recipe: options.Recipe = None,
    set_: options.Set = None,
    target: options.Target = None,
    task: options.Task = None,
    keep: options.Keep = None,
    drop: options.Drop = None,
    data_root: options.DataRoot = None,
    model: options.Model = None,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Show a model layer by layer: shapes and parameters.

    Examples:

      trainwell summary digits
      trainwell summary mnist --model resnet20
      trainwell summary house.csv --target price
      trainwell summary runs/house-1
      trainwell summary digits --model mynet.py:build
    """
    chosen = overrides.read_recipe(context.params)
    from trainwell.training import jobs

    with shown(quiet=True):
        chain = jobs.summarize(what, chosen)
    if json:
        output.put_json(_as_json(chain))
    else:
        output.put(*_lines(chain))


def _as_json(chain: Any) -> dict[str, Any]:
    names = ("path", "kind", "name", "input_shape", "output_shape", "fan_in", "fan_out", "parameters", "detail")
    return {
        "layers": [{name: getattr(layer, name) for name in names} for layer in chain.layers],
        "parameters": _parameters(chain),
        "incomplete": chain.incomplete,
    }


def _lines(chain: Any) -> list[str]:
    rows = [["layer", "type", "input", "output", "parameters"]]
    for layer in chain.layers:
        rows.append(
            [layer.path, layer.name, _shape(layer.input_shape), _shape(layer.output_shape), _count(layer.parameters)]
        )
    lines = output.columns(rows, right=False)
    total = _parameters(chain)
    lines += ["", f"{_count(total)} parameters, {_bytes(4 * total)} in float32"]
    return [*lines, f"The chain is incomplete: {chain.incomplete}"] if chain.incomplete else lines


def _parameters(chain: Any) -> int:
    return sum(layer.parameters for layer in chain.layers)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "–"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _bytes(number: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
