"""Steps on the Stiefel manifold, the matrices with orthonormal columns, WᵀW = I (rows, WWᵀ = I, where out < in).

    tangent part of G     ξ = G − W sym(WᵀG),   sym(A) = ½(A + Aᵀ)                   (embedded metric)
    step                  W ← R_W(−η ξ)
    polar                 R(ξ) = (W + ξ)(I + ξᵀξ)^{-1/2} = U Vᵀ of the SVD of W + ξ    the nearest point to W + ξ
    QR                    R(ξ) = Q of W + ξ = QR with a positive diagonal of R
    Cayley                R(ξ) = (I − ½A)^{-1}(I + ½A) W,   A = P ξWᵀ − W ξᵀP,  P = I − ½WWᵀ

Each R(ξ) = W + ξ + O(‖ξ‖²) and stays on the manifold up to rounding; the polar one is of second order. Cayley solves a
system of size max(out, in) and is meant for squarish matrices. All in O(out · in · min(out, in)) else.
Source: Absil, Mahony & Sepulchre 2008, eq. 3.35, 4.7, 4.8; Wen & Yin 2013, lemma 3 and 4; Li, Fuxin & Todorovic 2020
(Cayley SGD), arXiv:2002.01113. Deck G, orthogonality.
"""

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.weights import named_weights

RETRACTIONS = ("polar", "qr", "cayley")


def onto_stiefel(weight: Tensor, gain: float = 1.0) -> Tensor:
    """Nearest weight whose singular values as a matrix (out, rest) are all ``gain``: gain · U Vᵀ.

    Where a singular value is 0 the nearest point is not unique, and one of them is returned.

    Raises:
        InputError: for a vector or a scalar.
    """
    u, _, vh = torch.linalg.svd(_matrix("onto_stiefel", weight), full_matrices=False)
    return (gain * (u @ vh)).view_as(weight)


def tangent(weight: Tensor, gradient: Tensor) -> Tensor:
    """The part of ``gradient`` along the manifold at ``weight``, G − W sym(WᵀG); both of shape (out, ...).

    Args:
        weight: a point of the manifold (times any factor: its singular values are equal and not 0).
        gradient: same shape.
    """
    w, g = _upright(_matrix("tangent", weight)), _upright(gradient.flatten(1))
    product = w.mT @ g
    scale = w.square().sum() / w.shape[1]  # squared singular value: 1 on the manifold itself
    return _back(g - w @ (product + product.mT) / (2 * scale), weight)


def retract(weight: Tensor, step: Tensor, *, method: str = "polar") -> Tensor:
    """R_W(ξ): a point of the manifold near weight + step.

    Args:
        weight: shape (out, ...), a point of the manifold.
        step: ξ, same shape, a tangent vector at ``weight`` (polar and QR take any).
        method: one of ``RETRACTIONS``.

    Raises:
        InputError: for another method, or a vector.
    """
    w, xi = _upright(_matrix("retract", weight)), _upright(step.flatten(1))
    if method == "polar":
        return _back(onto_stiefel(w + xi), weight)
    if method == "qr":
        q, r = torch.linalg.qr(w + xi)
        sign = torch.where(r.diagonal() < 0, -1.0, 1.0).to(q)
        return _back(q * sign, weight)
    if method == "cayley":
        half = xi - 0.5 * w @ (w.mT @ xi)  # P ξ
        turn = 0.5 * (half @ w.mT - w @ half.mT)
        identity = torch.eye(len(w), dtype=w.dtype, device=w.device)
        return _back(torch.linalg.solve(identity - turn, w + turn @ w), weight)
    raise InputError(f"retract: no retraction is called {method!r}.", f"Choose one of {', '.join(RETRACTIONS)}.")


def stiefel_step(weight: Tensor, gradient: Tensor, lr: float, *, method: str = "polar") -> Tensor:
    """One step of Riemannian gradient descent, R_W(−lr · tangent(W, G)), a new tensor.

    Args:
        weight: shape (out, ...), a point of the manifold.
        gradient: of the loss by the weight, same shape.
        lr: rate.
        method: one of ``RETRACTIONS``.
    """
    return retract(weight, -lr * tangent(weight, gradient), method=method)


@torch.no_grad()
def tangent_gradients_(model: nn.Module) -> None:
    """Replace the gradients of the model's weights by their tangent parts.

    With ``optimizer.register_step_pre_hook(lambda *_: tangent_gradients_(model))`` and
    ``constraint_hook(model, "orthogonal")`` after the step, SGD without momentum is Riemannian gradient descent with
    the polar retraction.
    """
    for weight in named_weights(model).values():
        if weight.grad is not None:
            weight.grad.copy_(tangent(weight, weight.grad))


def _matrix(name: str, weight: Tensor) -> Tensor:
    if weight.dim() < 2:
        raise InputError(f"{name}: weight of shape {tuple(weight.shape)} is no matrix.", "Leave biases and gains out.")
    return weight.flatten(1)


def _upright(matrix: Tensor) -> Tensor:
    return matrix.mT if matrix.shape[0] < matrix.shape[1] else matrix


def _back(matrix: Tensor, weight: Tensor) -> Tensor:
    out = weight.shape[0]
    lying = out < weight[0].numel()
    return (matrix.mT if lying else matrix).reshape(weight.shape)
