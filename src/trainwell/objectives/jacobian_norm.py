"""Squared norm of the Jacobian of the outputs by the inputs, averaged over the batch: exact, and by projections.

    ‖J‖²_F = Σ_k ‖∇_x f_k(x)‖² = K · E_v ‖vᵀJ‖²,     v uniform on the unit sphere in R^K

For small noise E‖f(x + δ) − f(x)‖² = σ²‖J‖²_F + O(σ⁴), δ ∼ N(0, σ²I). One projection is unbiased and costs one extra
backward pass instead of K. Penalize the Jacobian of the logits: that of the softmax also shrinks by saturation.
Source: Hoffman, Roberts & Yaida 2019, algorithm 1, arXiv:1908.02729; Drucker & LeCun 1992.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from trainwell.errors import InputError


def jacobian_norm(
    function: Callable[[Tensor], Tensor],
    inputs: Tensor,
    *,
    projections: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean over the batch of ‖J‖²_F, a scalar that can be differentiated; an empty batch gives 0.

    Args:
        function: maps (n, ...) to (n, ...), each sample for itself (batch normalization in training mode does not).
        inputs: shape (n, ...), floating.
        projections: number of random v to average over; None for the exact value, one backward pass an output.
        generator: source of the projections; the global one if None.

    Raises:
        InputError: if ``projections`` is below 1 or the output does not have n rows.
    """
    with torch.enable_grad():
        x = inputs if inputs.requires_grad else inputs.detach().requires_grad_()
        outputs = function(x)
        return squared_slopes(outputs, x, projections=projections, generator=generator)


def squared_slopes(
    outputs: Tensor,
    inputs: Tensor,
    *,
    projections: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The same of outputs that are already there: mean over the batch of ‖∂outputs/∂inputs‖²_F.

    Args:
        outputs: shape (n, ...).
        inputs: shape (n, ...), floating, part of the graph of ``outputs``.
        projections, generator: see :func:`jacobian_norm`.

    Raises:
        InputError: if ``projections`` is below 1 or the output does not have n rows.
    """
    if projections is not None and projections < 1:
        raise InputError(f"jacobian_norm: projections is {projections}.", "Give 1 or more, or None for the exact norm.")
    n = len(inputs)
    if outputs.dim() == 0 or len(outputs) != n:
        raise InputError(
            f"jacobian_norm: inputs {tuple(inputs.shape)} gave outputs {tuple(outputs.shape)}.",
            "The function must return one row a sample.",
        )
    if n == 0:
        return outputs.sum()
    flat = outputs.flatten(1)  # (n, K)
    if projections is None:
        directions = torch.eye(flat.shape[1], dtype=flat.dtype, device=flat.device)[:, None].expand(-1, n, -1)
        scale = 1.0
    else:
        noise = torch.randn(projections, *flat.shape, dtype=flat.dtype, device=flat.device, generator=generator)
        directions = noise / noise.norm(dim=2, keepdim=True)
        scale = flat.shape[1] / projections
    pulled = (torch.autograd.grad(flat, inputs, v, create_graph=True)[0] for v in directions)
    return scale * torch.stack([p.square().sum() for p in pulled]).sum() / n
