"""``trainwell evaluate``: the metrics of a trained model."""

from typing import Annotated

import typer

from trainwell.cli import completion, options, output, result
from trainwell.cli.display import shown


def evaluate(
    run: options.RunFolder,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="Other data with the same columns and a target; the run's own parts if left out.",
            autocompletion=completion.data_names,
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Measure a trained model on its test part or on other data.

    Examples:

      trainwell evaluate runs/house-1
      trainwell evaluate runs/house-1 houses-of-2026.csv
      trainwell evaluate runs/house-1 houses-of-2026.csv --json
    """
    from trainwell.training import jobs

    with shown(quiet) as callbacks:
        measured = jobs.evaluate(run, data, callbacks=callbacks)
    if json:
        output.put_json(measured)
    else:
        output.put(*result.metrics_lines(measured["metrics"]))
