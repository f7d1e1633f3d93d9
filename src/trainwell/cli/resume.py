"""``trainwell resume``: go on with a stopped run."""

from trainwell.cli import options, result
from trainwell.cli.display import shown


def resume(
    run: options.RunFolder,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Go on with a run that was stopped, as if nothing had happened.

    The run continues from its last checkpoint, in the middle of an epoch too, with its own recipe.

    Examples:

      trainwell resume runs/digits-1
      trainwell resume runs/digits-1 --json
    """
    from trainwell.clinic.watching import WatchedRun
    from trainwell.training import jobs

    with shown(quiet) as callbacks:
        finished = jobs.resume(run, callbacks=callbacks, watch=WatchedRun(in_run=True))
    result.put_run(finished, json)
