"""``trainwell report``: a run's report, written anew."""

from trainwell.cli import options, output
from trainwell.cli.display import shown


def report(
    run: options.RunFolder,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Write a run's report anew and print where it is.

    The report is one HTML file that needs no network.

    Examples:

      trainwell report runs/digits-1
      xdg-open $(trainwell report runs/digits-1)
    """
    from trainwell.training import jobs

    with shown(quiet=True):
        path = jobs.report(run)
    if json:
        output.put_json({"run": run, "report": path})
    else:
        output.put(str(path))
