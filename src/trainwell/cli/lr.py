"""``trainwell lr``: a learning rate by a range test."""

import math
from collections.abc import Sequence
from typing import Any

import typer

from trainwell.cli import options, output, overrides
from trainwell.cli.display import shown

ROWS, COLUMNS = 12, 64


def lr(
    context: typer.Context,
    data: options.Data = None,
    recipe: options.Recipe = None,
    set_: options.Set = None,
    target: options.Target = None,
    task: options.Task = None,
    keep: options.Keep = None,
    drop: options.Drop = None,
    data_root: options.DataRoot = None,
    model: options.Model = None,
    batch_size: options.BatchSize = None,
    loss: options.Loss = None,
    seed: options.Seed = None,
    device: options.Device = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Find a learning rate by a short range test.

    The rate rises from step to step while the loss is watched; `train` does the same when no rate is given.

    Examples:

      trainwell lr digits
      trainwell lr house.csv --target price --set optimizer.name=sgd
      trainwell lr mnist --model resnet20 --batch-size 256 --json
    """
    chosen = overrides.read_recipe(context.params)
    from trainwell.training import jobs

    with shown(quiet) as callbacks:
        search = jobs.find_rate(chosen.data.source, chosen, callbacks=callbacks)
    if json:
        output.put_json({"suggestion": search.suggestion, "rates": search.rates, "losses": search.losses})
        return
    output.put(*plot(search.rates, search.losses, search.suggestion))
    output.put("", f"Suggestion: {search.suggestion:.3g}", f"  trainwell train … --lr {search.suggestion:.3g}")


def plot(rates: Sequence[float], losses: Sequence[float], marked: float) -> list[str]:
    """Loss against the logarithm of the rate, in characters; ``│`` marks a rate.

    Losses above the first one by more than the whole descent are cut off: a diverging end would flatten the rest.
    """
    points = [(math.log10(r), float(v)) for r, v in zip(rates, losses, strict=True) if math.isfinite(v) and r > 0]
    if len(points) < 2:
        return ["The loss is finite at too few rates for a plot."]
    low = min(value for _, value in points)
    high = min(max(value for _, value in points), 2 * points[0][1] - low if points[0][1] > low else math.inf)
    left, right = points[0][0], points[-1][0]

    def column(x: float) -> int:
        return round((x - left) / ((right - left) or 1) * (COLUMNS - 1))

    grid = [[" "] * COLUMNS for _ in range(ROWS)]
    if marked > 0 and left <= math.log10(marked) <= right:
        for line in grid:
            line[column(math.log10(marked))] = "│"
    for x, value in points:
        if value <= high:
            grid[round((high - value) / ((high - low) or 1) * (ROWS - 1))][column(x)] = "•"
    return _framed(grid, (output.number(high), output.number(low)), (f"{10**left:.0e}", f"{10**right:.0e}"))


def _framed(grid: list[list[str]], vertical: tuple[str, str], horizontal: tuple[str, str]) -> list[str]:
    """The grid with its axes: largest and smallest loss, smallest and largest rate."""
    width = max(map(len, (*vertical, "loss")))
    labels: dict[int, Any] = {0: vertical[0], ROWS // 2: "loss", ROWS - 1: vertical[1]}
    lines = [f"{labels.get(i, ''):>{width}} ┤{''.join(row).rstrip()}" for i, row in enumerate(grid)]
    middle = "learning rate".center(COLUMNS - sum(map(len, horizontal)))
    return [*lines, f"{' ' * width} └{'─' * COLUMNS}", f"{' ' * (width + 2)}{horizontal[0]}{middle}{horizontal[1]}"]
