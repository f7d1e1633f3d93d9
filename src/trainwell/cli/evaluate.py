"""``trainwell evaluate``: the metrics of a trained model."""

from typing import Annotated, Any

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
    attack: Annotated[
        str | None,
        typer.Option(help="Also measure the accuracy under an attack: fgsm, pgd_linf, pgd_l2.", show_default=False),
    ] = None,
    radius: Annotated[
        float, typer.Option(help="Of the attack: a share of an image's range; standard deviations of numbers.")
    ] = 0.03,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Measure a trained model on its test part or on other data.

    Examples:

      trainwell evaluate runs/house-1
      trainwell evaluate runs/house-1 houses-of-2026.csv
      trainwell evaluate runs/house-1 houses-of-2026.csv --json
      trainwell evaluate runs/digits-1 --attack pgd_linf --radius 0.03
    """
    from trainwell.training import jobs

    with shown(quiet) as callbacks:
        measured = jobs.evaluate(run, data, attack=_attack(attack, radius), callbacks=callbacks)
    if json:
        output.put_json(measured)
    else:
        output.put(*result.metrics_lines(measured["metrics"]))
        if "robustness" in measured:
            output.put("", *_robustness(measured["robustness"]))


def _attack(name: str | None, radius: float) -> Any:
    if name is None:
        return None
    from trainwell.objectives import Attack

    return Attack(name, radius=radius, steps=20)


def _robustness(found: dict[str, Any]) -> list[str]:
    lines = [
        f"Under {found['attack']} of radius {found['radius']:g}, {found['rows']} rows of the test part:",
        f"accuracy {found['robust']:.4f} (without attack {found['clean']:.4f}, one step {found['fgsm']:.4f}); "
        f"the loss rose in {found['rising']:.0%} of the attack's steps.",
    ]
    return [*lines, found["warning"]] if found["warning"] else lines
