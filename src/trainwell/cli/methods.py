"""``trainwell methods``: the methods that a recipe and a race can name."""

from typing import Annotated

import typer

from trainwell.cli import options, output, race_table


def methods(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Only these; all if left out.", show_default=False)
    ] = None,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """List the methods: cost, memory, what they need, the rate and why.

    The names are those of `optimizer.name` in a recipe and of `trainwell race --methods`.

    Examples:

      trainwell methods
      trainwell methods sgd adamw
      trainwell methods --json
    """
    from trainwell.optim import METHODS, table
    from trainwell.search.racing import checked

    chosen = checked(names, {}) if names else list(METHODS)
    rows = [row for row in table() if row["name"] in chosen]
    if json:
        output.put_json(
            {
                "methods": [
                    {
                        "name": row["name"],
                        "deck": METHODS[row["name"]].deck,
                        "cost": METHODS[row["name"]].cost,
                        "memory": METHODS[row["name"]].memory,
                        "needs": sorted(METHODS[row["name"]].needs),
                        "ddp": METHODS[row["name"]].ddp,
                        "decay": METHODS[row["name"]].decay,
                        "lr": METHODS[row["name"]].lr,
                        "why": METHODS[row["name"]].why,
                        "paper": METHODS[row["name"]].paper,
                    }
                    for row in rows
                ]
            }
        )
        return
    shown = ("name", "deck", "cost", "memory", "needs", "ddp", "lr", "why")
    output.put(*race_table.lines(shown, [[row[name] for name in shown] for row in rows], right={"memory", "lr"}))
