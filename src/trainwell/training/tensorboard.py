"""TensorBoard events of a run, for the extra ``[tensorboard]``; other loggers read ``metrics.jsonl``."""

from pathlib import Path

from trainwell.errors import InputError
from trainwell.training.state import Callback, State


def tensorboard_callback(folder: Path) -> Callback:
    """A callback that writes the losses, scores and rate of each epoch into ``folder/tensorboard``.

    Raises:
        InputError: if the package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "training.tensorboard needs the package tensorboard.",
            "pip install 'trainwell[tensorboard]', or leave it out.",
        ) from None
    writer = SummaryWriter(str(folder / "tensorboard"))

    def write(event: str, state: State) -> None:
        if event == "validation_end":
            for name, value in state.metrics.items():
                if name not in ("epoch", "step"):
                    writer.add_scalar(name, value, state.step)
        elif event == "run_end":
            writer.flush()
            writer.close()

    return write
