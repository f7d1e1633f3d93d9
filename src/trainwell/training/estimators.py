"""scikit-learn's estimators over trainwell's engine: ``Classifier`` and ``Regressor``.

They follow scikit-learn's conventions (hyperparameters in the constructor, data in ``fit``, ``clone``, pipelines, grid
searches) and decide what is left open as ``trainwell train`` does for the same arrays.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from torch import nn

from trainwell.errors import InputError
from trainwell.training.estimator_fitting import assemble, checked_body, learn, outputs, recipe_of, told
from trainwell.training.machine import resolve_device
from trainwell.training.metrics import best_threshold
from trainwell.training.state import Callback

OwnModel = Callable[[tuple[int, ...], int], nn.Module]


class _Estimator(BaseEstimator):
    """What both estimators share: the hyperparameters, training, saving."""

    def __init__(
        self,
        model: str | OwnModel = "auto",
        *,
        width: int | None = None,
        depth: int | None = None,
        activation: str | None = None,
        norm: str | None = None,
        dropout: float | None = None,
        loss: str = "auto",
        optimizer: str = "auto",
        lr: float | None = None,
        weight_decay: float | str = "auto",
        epochs: int | None = None,
        batch_size: int | None = None,
        validation_fraction: float | None = None,
        patience: int = 0,
        random_state: Any = None,
        device: str = "auto",
        callbacks: Iterable[Callback] = (),
        overrides: Iterable[str] = (),
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.width = width
        self.depth = depth
        self.activation = activation
        self.norm = norm
        self.dropout = dropout
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.device = device
        self.callbacks = callbacks
        self.overrides = overrides
        self.verbose = verbose

    def save(self, folder: str | Path) -> None:
        """Save the fitted estimator without pickle: safetensors, TOML and JSON; ``trainwell predict`` reads it too.

        An integer ``random_state`` is kept, another one and ``callbacks`` are not; a model given as a callable must be
        given again to :meth:`load`.

        Raises:
            InputError: if the folder holds something else, or the labels or parameters are no plain values.
            JobError: if the disk is full.
        """
        from trainwell.training.estimator_io import save

        check_is_fitted(self)
        save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, *, model: OwnModel | None = None) -> Self:
        """Read an estimator that :meth:`save` wrote; it predicts the same bits.

        Args:
            folder: where it was saved.
            model: the callable that it was made with, if it was.

        Raises:
            InputError: if the folder holds none, or its files are cut short, were exchanged, or are pickles.
        """
        from trainwell.training.estimator_io import load

        return load(cls, Path(folder), model)

    def _learn(
        self, X: np.ndarray, y: np.ndarray, classes: tuple[str, ...], weights: np.ndarray | None, threshold: Any
    ) -> Any:
        """Train and set what both estimators know afterwards; gives the data set for what comes on top."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        own = callable(self.model)
        name = f"{self.model.__module__}:{_name(self.model)}" if own else self.model
        shape = {n: getattr(self, n) for n in ("width", "depth", "activation", "norm", "dropout")}
        if own and any(value is not None for value in shape.values()):
            given = next(n for n, value in shape.items() if value is not None)
            raise InputError(f"{given} is given, but the model is built by {name}.", f"Set {given} there.")
        running = {n: getattr(self, n) for n in ("epochs", "batch_size", "patience", "device")}
        recipe = recipe_of(
            {
                "data": {"val": self.validation_fraction, "test": 0.0},
                "model": {"name": name, **shape},
                "loss": {"name": self.loss},
                "optimizer": {"name": self.optimizer, "lr": self.lr, "weight_decay": self.weight_decay},
                "training": {"seed": seed, "threshold": threshold, **running},
            },
            self.overrides,
        )
        dataset = assemble(
            X, y, classes=classes, weights=weights, validation_fraction=recipe.data.val, seed=recipe.training.seed
        )
        callbacks = (*self.callbacks, *((told,) if self.verbose else ()))
        run, recipe = learn(recipe, dataset, checked_body(self.model) if own else None, callbacks)  # type: ignore[arg-type]
        self.model_, self.recipe_, self.schema_ = run.model.cpu(), recipe, dataset.schema
        self.history_, self.n_iter_, self.best_epoch_ = run.history, len(run.history), run.best_epoch
        return dataset

    def _encoded(self, X: Any) -> np.ndarray:
        """Raw rows as the model was trained on."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, allow_nd=True, dtype="numeric")
        schema = self.schema_
        if schema.kind == "image" and X.dtype != np.uint8:
            raise InputError(
                f"The pictures have dtype {X.dtype}, but fit saw uint8.", "Give levels 0 … 255 as uint8, as in fit."
            )
        return schema.encode(X)

    def _outputs(self, X: np.ndarray) -> np.ndarray:
        """Outputs (N, outputs) in float64 for encoded rows."""
        return outputs(self.model_, X, resolve_device(self.device))


class Classifier(ClassifierMixin, _Estimator):
    """A network that tells classes apart, with scikit-learn's conventions.

    Args:
        model: ``auto`` (``mlp``, for pictures ``cnn``), a name of ``trainwell.nn.MODELS``, ``FILE.py:FUNCTION``, or a
            callable of (shape of one sample, number of outputs) that builds a module.
        width, depth, activation, norm, dropout: of the model; its own defaults where None.
        loss: ``auto``; ``cross_entropy`` of a classifier, ``mse``, ``huber`` or ``l1`` of a regressor.
        optimizer: ``auto``, ``adamw`` or ``sgd``.
        lr: peak learning rate; None: found by a range test on long runs, by the number of parameters on short ones.
        weight_decay: of matrices and kernels; ``auto``: the method's own.
        epochs: passes over the training part; None: by kind and number of rows.
        batch_size: samples a step; None: by number of rows.
        validation_fraction: share of the rows that chooses the best epoch, 0: none, the last epoch is kept; None: about
            a tenth, and none below 100 rows.
        patience: epochs without a better validation score before stopping; 0: never.
        random_state: an int makes equal fits equal; None draws a seed from NumPy's global generator.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        callbacks: functions ``f(event, state)``, see ``trainwell.training.state``.
        overrides: any other field of a recipe, as ``trainwell train --set``: ``("schedule.name=cosine",)``.
        verbose: 1 prints a line an epoch.
        class_weight: None, ``balanced`` (every class has the same total weight) or a dict of class → weight.
        threshold: with two classes, the probability of ``classes_[1]`` from which it is the answer; ``auto``: best
            balanced accuracy on the validation part.

    Attributes:
        classes_: the labels, sorted; columns of :meth:`predict_proba` are in this order.
        n_features_in_, feature_names_in_: as scikit-learn defines them.
        model_: the trained module, on the CPU, from raw rows to logits.
        history_: one dict an epoch: train_loss, val_loss, val_accuracy, lr.
        n_iter_, best_epoch_: epochs trained, and the one whose weights are used.
        threshold_: the threshold in use.
        recipe_: the recipe with everything decided.

    Example:
        >>> X = [[-2.0, 0.1], [-1.0, 0.0], [-1.5, 0.2], [1.0, 0.1], [2.0, 0.0], [1.5, 0.3]]
        >>> classifier = Classifier(width=8, epochs=20, random_state=0).fit(X, ["a", "a", "a", "b", "b", "b"])
        >>> classifier.predict([[-3.0, 0.1], [3.0, 0.1]]).tolist()
        ['a', 'b']
    """

    def __init__(
        self,
        model: str | OwnModel = "auto",
        *,
        width: int | None = None,
        depth: int | None = None,
        activation: str | None = None,
        norm: str | None = None,
        dropout: float | None = None,
        loss: str = "auto",
        optimizer: str = "auto",
        lr: float | None = None,
        weight_decay: float | str = "auto",
        epochs: int | None = None,
        batch_size: int | None = None,
        validation_fraction: float | None = None,
        patience: int = 0,
        class_weight: str | Mapping[Any, float] | None = None,
        threshold: float | str = 0.5,
        random_state: Any = None,
        device: str = "auto",
        callbacks: Iterable[Callback] = (),
        overrides: Iterable[str] = (),
        verbose: int = 0,
    ) -> None:
        super().__init__(
            model,
            width=width,
            depth=depth,
            activation=activation,
            norm=norm,
            dropout=dropout,
            loss=loss,
            optimizer=optimizer,
            lr=lr,
            weight_decay=weight_decay,
            epochs=epochs,
            batch_size=batch_size,
            validation_fraction=validation_fraction,
            patience=patience,
            random_state=random_state,
            device=device,
            callbacks=callbacks,
            overrides=overrides,
            verbose=verbose,
        )
        self.class_weight = class_weight
        self.threshold = threshold

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows and their labels.

        Args:
            X: (N, F); also (N, T, F), and pictures (N, C, H, W) or (N, H, W) as uint8.
            y: (N,) labels: strings, integers, booleans; at least two different ones.
            sample_weight: (N,), at least 0; a row of weight 0 counts as absent.

        Raises:
            ValueError: for rows or labels that cannot be learned from (also as ``InputError``).
            JobError: if the loss stays non-finite.
        """
        X, y = validate_data(self, X, y, allow_nd=True, dtype="numeric", ensure_min_samples=2)
        check_classification_targets(y)
        if self.threshold != "auto" and not (isinstance(self.threshold, int | float) and 0 < self.threshold < 1):
            raise InputError(f"threshold is {self.threshold!r}.", "Give a probability between 0 and 1, or 'auto'.")
        weights = _weights(self, X, sample_weight)
        if self.class_weight is not None:
            by_class = compute_sample_weight(self.class_weight, y)
            weights = by_class if weights is None else weights * by_class
        self.classes_, codes = np.unique(y, return_inverse=True)
        counted = codes if weights is None else codes[weights > 0]
        if len(np.unique(counted)) < 2:
            kept = self.classes_[counted[:1]].tolist()
            raise InputError(f"y has only 1 class, {kept[0] if kept else None!r}.", "Give rows of at least 2 classes.")
        names = tuple(str(label) for label in self.classes_)
        dataset = self._learn(X, codes.astype(np.int64), names, weights, self.threshold)
        self.threshold_ = 0.5 if self.threshold == "auto" else float(self.threshold)
        val = dataset.splits.val
        if self.threshold == "auto" and len(names) == 2 and len(val):
            rows, truth = dataset.rows(val)
            self.threshold_ = best_threshold(truth, _softmax(self._outputs(rows))[:, 1])
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of ``classes_``, float64 (N, classes)."""
        return _softmax(self._outputs(self._encoded(X)))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each row, (N,); with two classes by the threshold."""
        probability = self.predict_proba(X)
        if len(self.classes_) == 2 and self.threshold_ != 0.5:
            return self.classes_[(probability[:, 1] >= self.threshold_).astype(np.int64)]
        return self.classes_[probability.argmax(1)]


class Regressor(RegressorMixin, _Estimator):
    """A network that predicts quantities, with scikit-learn's conventions; it scales its target itself.

    Its hyperparameters are those of :class:`Classifier`, without ``class_weight`` and ``threshold``.

    Attributes:
        n_features_in_, feature_names_in_: as scikit-learn defines them.
        model_: the trained module, on the CPU, from raw rows to values in the target's unit.
        history_: one dict an epoch: train_loss (of the standardized target), val_loss, val_rmse, val_r2, lr.
        n_iter_, best_epoch_: epochs trained, and the one whose weights are used.
        recipe_: the recipe with everything decided.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows and their values.

        Args:
            X: (N, F); also (N, T, F), and pictures (N, C, H, W) or (N, H, W) as uint8.
            y: (N,), or (N, T) for T targets at once.
            sample_weight: (N,), at least 0; a row of weight 0 counts as absent.

        Raises:
            ValueError: for rows or values that cannot be learned from (also as ``InputError``).
            JobError: if the loss stays non-finite.
        """
        X, y = validate_data(
            self, X, y, allow_nd=True, dtype="numeric", ensure_min_samples=2, multi_output=True, y_numeric=True
        )
        weights = _weights(self, X, sample_weight)
        if weights is not None and (weights > 0).sum() < 2:
            raise InputError("sample_weight is above 0 for only 1 sample.", "Give at least 2 rows to learn from.")
        self._flat = y.ndim == 1
        self._learn(X, y, (), weights, None)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Values in the target's unit, float64, of the shape of the ``y`` of ``fit``."""
        values = self._outputs(self._encoded(X))
        return values[:, 0] if self._flat else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _name(model: Any) -> str:
    return str(getattr(model, "__qualname__", type(model).__qualname__))


def _weights(estimator: BaseEstimator, X: np.ndarray, sample_weight: Any) -> np.ndarray | None:
    if sample_weight is None:
        return None
    return _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
