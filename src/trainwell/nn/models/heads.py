"""The right output activation and loss for a task.

    task            outputs                  activation   loss               ∂loss/∂logits (times the mean's count)
    classification  K scores                 softmax      cross-entropy      p − y,  y one-hot or soft
    binary          1 score, or K = 2        sigmoid      binary CE          p − y
    multilabel      K scores                 sigmoid      binary CE          p − y
    regression      K values                 identity     squared error      2 (ŷ − y)
    reconstruction  K values in [0, 1]       sigmoid      binary CE          p − y
                    K real values            identity     squared error      2 (ŷ − y)
    sequence        K scores at each time    softmax      cross-entropy      p − y

Each pair belongs together: the activation's derivative cancels against the loss's, so the gradient is the error itself
and doesn't vanish where the activation saturates (squared error after a sigmoid has p(1 − p)(p − y), near zero for a
unit that is confidently wrong). Networks give scores; losses take scores and apply log-softmax or log-sigmoid
themselves, which stays finite; the activation is for prediction. Deck M's binary loss lacks the leading minus; it is
−y log p − (1 − y) log(1 − p).
Source: deck M, output activations and losses; Goodfellow, Bengio & Courville 2016, §6.2.2.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from trainwell.errors import InputError

TASKS = ("classification", "binary", "multilabel", "regression", "reconstruction", "sequence")
IGNORED = -100  # torch's label for "does not count"

_SOFTMAX = "The gradient with respect to the scores is p − y: the error itself, however wrong the scores are."
_SIGMOID = "The gradient with respect to each score is p − y: the error itself, however saturated the sigmoid is."
_IDENTITY = "Values have no bounds; the squared error is the likelihood of Gaussian noise, its gradient 2 (ŷ − y)."


@dataclass(frozen=True)
class Head:
    """What the end of a network for one task looks like.

    Attributes:
        task: one of ``TASKS``.
        outputs: numbers that the network gives for each sample (for each time of a sequence).
        activation: ``softmax``, ``sigmoid`` or ``identity``: what turns scores into predictions.
        loss: its name in ``trainwell.objectives.LOSSES``.
        loss_class: torch's module of it, which takes the scores.
        why: a sentence on why they belong together.
    """

    task: str
    outputs: int
    activation: str
    loss: str
    loss_class: type[nn.Module]
    why: str

    def predict(self, scores: Tensor) -> Tensor:
        """Turn the network's output into probabilities or values of the same shape; classes are dimension 1."""
        if self.activation == "softmax":
            return scores.softmax(1)
        return scores.sigmoid() if self.activation == "sigmoid" else scores

    def check(self, output: Tensor, target: Tensor) -> None:
        """Say whether output and target fit this task; waits for an accelerator, so not for every step.

        Args:
            output: of the network: (N, outputs); (N, outputs, T) for a sequence.
            target: classification: int labels (N,) or soft targets (N, K); sequence: int labels (N, T); binary with one
                output, multilabel, regression, reconstruction: floats of the output's shape. Label −100 is ignored.

        Raises:
            ValueError: with the first thing that is wrong.
        """
        wanted = 3 if self.task == "sequence" else 2
        if output.dim() != wanted or output.shape[1] != self.outputs:
            shape = f"(N, {self.outputs}, T)" if self.task == "sequence" else f"(N, {self.outputs})"
            raise ValueError(f"{self.task}: the model gives shape {tuple(output.shape)}, the head needs {shape}.")
        if self.loss == "cross_entropy":
            self._check_classes(output, target)
        else:
            self._check_values(output, target)

    def _check_classes(self, output: Tensor, target: Tensor) -> None:
        if target.is_floating_point():
            if target.shape != output.shape:
                raise ValueError(
                    f"{self.task}: floating-point targets of shape {tuple(target.shape)} are no distributions over "
                    f"the classes of an output of shape {tuple(output.shape)}. Labels must be integers."
                )
            if not bool((target >= 0).all() & ((target.sum(1) - 1).abs() < 1e-3).all()):
                raise ValueError(f"{self.task}: soft targets must be ≥ 0 and sum to 1 over the classes.")
            return
        labels = (output.shape[0], *output.shape[2:])
        if target.shape != labels:
            raise ValueError(
                f"{self.task}: labels of shape {tuple(target.shape)}, the output {tuple(output.shape)} needs {labels}."
            )
        wrong = target[((target < 0) | (target >= self.outputs)) & (target != IGNORED)]
        if len(wrong):
            raise ValueError(
                f"{self.task}: {len(wrong)} labels are out of range, such as {int(wrong[0])}; with {self.outputs} "
                f"classes they run from 0 to {self.outputs - 1}."
            )

    def _check_values(self, output: Tensor, target: Tensor) -> None:
        if target.shape != output.shape:
            raise ValueError(
                f"{self.task}: targets of shape {tuple(target.shape)} for an output of shape {tuple(output.shape)}; "
                "unequal shapes would be broadcast, every row against every other. Make them equal."
            )
        if not target.is_floating_point():
            raise ValueError(f"{self.task}: targets are {target.dtype}; this loss needs floating-point ones.")
        if not bool(target.isfinite().all()):
            raise ValueError(f"{self.task}: {int((~target.isfinite()).sum())} targets are not finite.")
        if self.activation == "sigmoid" and target.numel() and not 0 <= float(target.min()) <= float(target.max()) <= 1:
            remedy = (
                ', or use output_head("reconstruction", ..., range="real")' if self.task == "reconstruction" else ""
            )
            raise ValueError(
                f"{self.task}: targets run from {float(target.min()):.4g} to {float(target.max()):.4g}; a sigmoid "
                f"gives 0 to 1. Scale them{remedy}."
            )


def output_head(task: str, classes: int = 1, *, range: str = "unit") -> Head:
    """Choose outputs, output activation and loss for a task.

    Args:
        task: one of ``TASKS``.
        classes: classes of a classification or sequence (2 or more); labels, targets or values for the others. For
            binary, 1 is one score with a sigmoid and 2 two with a softmax, as trainwell trains it: the same function
            of s = s₁ − s₀.
        range: of the values of a reconstruction: ``unit``, [0, 1], or ``real``.

    Raises:
        InputError: if the task is not known or has no such number of classes.

    Example:
        >>> head = output_head("classification", 10)
        >>> head.outputs, head.activation, head.loss
        (10, 'softmax', 'cross_entropy')
    """
    if task not in TASKS:
        raise InputError(f"output_head: task={task!r} is not known.", f"Use one of {', '.join(TASKS)}.")
    if range not in ("unit", "real"):
        raise InputError(f"output_head: range={range!r} is not known.", "Use unit or real.")
    least = 2 if task in ("classification", "sequence") else 1
    if classes < least or (task == "binary" and classes > 2):
        allowed = "1 or 2" if task == "binary" else f"{least} or more"
        raise InputError(f"output_head: {task} with classes={classes}.", f"Use {allowed}.")
    if least == 2 or (task == "binary" and classes == 2):
        return Head(task, classes, "softmax", "cross_entropy", nn.CrossEntropyLoss, _SOFTMAX)
    if task == "regression" or (task == "reconstruction" and range == "real"):
        return Head(task, classes, "identity", "mse", nn.MSELoss, _IDENTITY)
    return Head(task, classes, "sigmoid", "bce", nn.BCEWithLogitsLoss, _SIGMOID)
