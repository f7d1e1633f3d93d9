"""What a network's input goes through first, as fitted on the training part: its names, and the way there and back.

    none          y = x                              mean_channel  y = x − μ_c, one mean a channel or feature
    center        y = x − μ, the mean image          standard      y = (x − μ_c) / σ_c
    minmax        y = (x − min) / (max − min)        robust        y = (x − median) / (q₇₅ − q₂₅)
    pca, pca_whiten, zca, cholesky                   y = W (x − μ), see ``whitening_fit``

x is the level / 255 for images of uint8, so dimensionless there, else in the data's own unit. Images, and float arrays
of shape (C, H, W), have one statistic a channel for mean_channel, standard, minmax and robust, and one a pixel for
center; W acts on all C · H · W pixels as one vector. Sequences (T, F) have one a feature, over time too, and W acts on
the features of each time step. Arrays (F,) and the numbers of tables have one a feature; for them, as for sequences,
center and mean_channel are the same. Missing numbers of a table are passed over, and for W take the column's median.
A feature that does not vary (in robust: whose middle half is one value) is only centred.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainwell.data.whitening_fit import WHITENINGS
from trainwell.errors import InputError

SCALINGS: tuple[str, ...] = ("standard", "none", "center", "mean_channel", "minmax", "robust", *WHITENINGS)
_ARRAYS = ("offset", "scale", "matrix", "inverse_matrix", "fill")


@dataclass(frozen=True)
class Scaling:
    """y = scale · (x/unit − offset), or y = matrix (x/unit − offset) with the axes of ``offset`` as one vector.

    Args:
        name: one of SCALINGS.
        shape: of one sample x.
        output_shape: of one sample y: as ``shape``, but (K,) for the pca of images and arrays, (T, K) of sequences.
        offset: float64; broadcasts to ``shape``; with a matrix, the shape of the axes it acts on.
        unit: what x is divided by first, 255 for levels of uint8, 1 otherwise.
        scale: like ``offset``, or None where there is a matrix.
        matrix: (K, F), or None where there is a scale.
        inverse_matrix: (F, K) with inverse_matrix · matrix = 1 up to the directions left out.
        fill: (F,) what missing numbers of a table become; None where nothing may be missing.
        condition_before: κ of the covariance of x, over directions that are not numerically zero; nan if not measured.
        condition_after: the same of y.
        zero_directions: how many directions of x are numerically zero; -1 if not measured.
        explained: share of the variance of x that y keeps.
    """

    name: str
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    offset: np.ndarray
    unit: float = 1.0
    scale: np.ndarray | None = None
    matrix: np.ndarray | None = None
    inverse_matrix: np.ndarray | None = None
    fill: np.ndarray | None = None
    condition_before: float = float("nan")
    condition_after: float = float("nan")
    zero_directions: int = -1
    explained: float = 1.0

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Rows (N, *shape), levels for images, to float64 (N, *output_shape).

        Raises:
            InputError: if the shape differs or a value is not finite (NaN becomes ``fill`` where there is one).
        """
        values = self._checked(X, self.shape, "takes")
        if self.fill is not None:
            values = np.where(np.isnan(values), self.fill, values)
        refuse_what_is_not_finite(values, self.name)
        values = values / self.unit - self.offset
        if self.scale is not None:
            return values * self.scale
        assert self.matrix is not None
        flat = values.reshape(*values.shape[: values.ndim - self.offset.ndim], -1)
        return (flat @ self.matrix.T).reshape(len(X), *self.output_shape)

    def inverse(self, Y: np.ndarray) -> np.ndarray:
        """Rows (N, *output_shape) back to float64 (N, *shape); what left-out directions held is lost.

        Raises:
            InputError: if the shape differs, or the scaling was taken from a model's weights, which hold no inverse.
        """
        values = self._checked(Y, self.output_shape, "gives")
        if self.scale is not None:
            return (values / self.scale + self.offset) * self.unit
        if self.inverse_matrix is None:
            raise InputError(
                f"This {self.name} scaling was taken from a model's weights, which hold no inverse.",
                "Use the one that fit_scaling returned, or its safetensors file.",
            )
        same = self.output_shape == self.shape  # then its axes must become one vector first
        flat = values.reshape(*values.shape[: values.ndim - self.offset.ndim], -1) if same else values
        back = flat @ self.inverse_matrix.T
        return (back.reshape(len(Y), *self.shape) + self.offset) * self.unit

    def _checked(self, X: np.ndarray, shape: tuple[int, ...], verb: str) -> np.ndarray:
        X = np.asarray(X)
        if X.shape[1:] != shape or X.ndim != len(shape) + 1:
            raise InputError(
                f"{self.name}: rows have shape {X.shape[1:]}, and this scaling {verb} {shape}.",
                "Give rows of the shape that it was fitted on.",
            )
        return X.astype(np.float64)

    def to_safetensors(self, path: str | Path) -> None:
        """Write all of it, float64, without pickle."""
        from safetensors.numpy import save_file

        plain = {name: getattr(self, name) for name in ("name", "shape", "output_shape", "unit", "zero_directions")}
        plain |= {name: getattr(self, name) for name in ("condition_before", "condition_after", "explained")}
        arrays = {
            name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS if getattr(self, name) is not None
        }
        save_file(arrays, str(path), metadata={"trainwell_scaling": json.dumps(plain)})

    @staticmethod
    def from_safetensors(path: str | Path) -> "Scaling":
        """Read what :meth:`to_safetensors` wrote.

        Raises:
            InputError: if the file is missing, damaged or no scaling.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                plain: dict[str, Any] = json.loads((file.metadata() or {})["trainwell_scaling"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            plain |= {name: tuple(plain[name]) for name in ("shape", "output_shape")}
            return Scaling(**plain, **arrays)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} holds no scaling ({error}).", "Name a file that Scaling.to_safetensors wrote."
            ) from None


def refuse_what_is_not_finite(values: np.ndarray, name: str, first: int = 0) -> None:
    """Raise InputError with the place of the first NaN or infinity of rows (N, …)."""
    finite = np.isfinite(values)
    if not finite.all():
        place = np.argwhere(~finite)[0]
        where = tuple(int(i) for i in place[1:])
        raise InputError(
            f"{name}: row {first + place[0]} has {values[tuple(place)]} at {where[0] if len(where) == 1 else where}.",
            "Fill or leave out what is not finite.",
        )
