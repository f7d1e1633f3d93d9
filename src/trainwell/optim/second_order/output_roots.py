"""Square roots of the curvature of a loss in the model's outputs: what is sent backward to measure the Fisher matrix.

For a mean loss L and outputs z_n of sample n, Λ_n = ∂²L/∂z_n² (1/N included). Columns s with

    exact        Σ_c s_c s_cᵀ = Λ_n        one column a class or output
    monte-carlo  E[s sᵀ] = Λ_n             one random column

give, sent backward, the generalized Gauss–Newton matrix Σ_n J_nᵀ Λ_n J_n. That is the exact Fisher matrix where L is a
negative log-likelihood in its natural parameters (cross-entropy, binary cross-entropy, mean squared error), and for
softmax the Monte-Carlo column is that of a sampled label, s = √c (p − e_y) with y ~ p. No likelihood has to be named:
two products with Λ tell which case holds.

| Λ_n | exact | monte-carlo |
|---|---|---|
| diagonal d (squared error, binary) | √d_j e_j | √d ⊙ ε, ε = ±1 |
| c (diag p − p pᵀ) (softmax, along dimension 1) | √(c p_j) (e_j − p) | √c (p − e_y), y ~ p |
| else, up to ``DENSE`` outputs a sample | columns of V √D | V √D ε |

Negative eigenvalues (a loss that is not convex in z) are set to 0.
Source: Martens & Grosse 2015, arXiv:1503.05671, §2.1; Martens 2014, arXiv:1412.1193, §9; Dangel et al. 2022.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from trainwell.curvature.products import loss_metric
from trainwell.optim.second_order.symmetric_eigen import symmetric_eigen

DENSE = 256
ALIKE = 1e-3  # relative: two float32 products with the same matrix differ by less, with another one by about 1


def output_roots(
    outputs: Tensor, loss_of: Callable[[Tensor], Tensor], kind: str, generator: torch.Generator
) -> Iterator[Tensor]:
    """The columns, each of the outputs' shape (samples first) and type; computed in float32 or better.

    Args:
        outputs: of the model.
        loss_of: the scalar loss as a function of them.
        kind: "exact" or "monte-carlo".
        generator: on the outputs' device.

    Raises:
        ValueError: for a Λ that is neither of the two, of more than ``DENSE`` outputs a sample.
    """
    z = outputs.detach().to(torch.promote_types(outputs.dtype, torch.float32))
    return (root.to(outputs.dtype) for root in _roots(z, loss_of, kind, generator))


def _roots(z: Tensor, loss_of: Callable[[Tensor], Tensor], kind: str, generator: torch.Generator) -> Iterator[Tensor]:
    metric = loss_metric(z, loss_of)
    probe = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
    curved, diagonal = metric(probe), metric(torch.ones_like(z))
    limit = ALIKE * float(curved.abs().max())
    if float((curved - diagonal * probe).abs().max()) <= limit:
        return _of_diagonal(diagonal.clamp_min(0).sqrt(), kind, generator)
    if z.dim() > 1:
        p = z.softmax(1)
        like = p * (probe - (p * probe).sum(1, keepdim=True))
        share = (curved * like).sum(1, keepdim=True) / like.square().sum(1, keepdim=True).clamp_min(1e-30)
        if float((curved - share * like).abs().max()) <= limit:
            return _of_softmax(p, share.clamp_min(0).sqrt(), kind, generator)
    return _of_dense(z, metric, kind, generator)


def signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent ±1 of the shape and type of ``like``."""
    bits = torch.randint(0, 2, like.shape, generator=generator, device=generator.device)
    return (2 * bits - 1).to(like)


def _of_diagonal(root: Tensor, kind: str, generator: torch.Generator) -> Iterator[Tensor]:
    if kind == "monte-carlo":
        yield root * signs(root, generator)
        return
    rows = root.reshape(len(root), -1)
    for j in range(rows.shape[1]):
        column = torch.zeros_like(rows)
        column[:, j] = rows[:, j]
        yield column.view_as(root)


def _of_softmax(p: Tensor, scale: Tensor, kind: str, generator: torch.Generator) -> Iterator[Tensor]:
    if kind == "monte-carlo":
        rows = p.movedim(1, -1)
        labels = torch.multinomial(rows.reshape(-1, p.shape[1]), 1, generator=generator).reshape(rows.shape[:-1])
        yield scale * (p - torch.nn.functional.one_hot(labels, p.shape[1]).movedim(-1, 1).to(p))
        return
    for j in range(p.shape[1]):
        column = -p.clone()
        column[:, j] += 1
        yield scale * p[:, j : j + 1].sqrt() * column


def _of_dense(z: Tensor, metric: Callable[[Tensor], Tensor], kind: str, generator: torch.Generator) -> Iterator[Tensor]:
    size = z[0].numel()
    if size > DENSE:
        raise ValueError(
            f"K-FAC: the loss couples the {size} outputs of a sample in a way that is no softmax; more than {DENSE} "
            "are not factored. Use fisher='empirical'."
        )
    columns = []
    for j in range(size):
        unit = z.new_zeros(len(z), size)
        unit[:, j] = 1
        columns.append(metric(unit.view_as(z)).reshape(len(z), size))
    values, vectors = symmetric_eigen(0.5 * (torch.stack(columns, 2) + torch.stack(columns, 1)))
    root = vectors * values.sqrt().unsqueeze(1)  # (n, size, size), columns scaled
    if kind == "monte-carlo":
        yield (root * signs(root[:, :1], generator)).sum(2).view_as(z)
        return
    for j in range(size):
        yield root[:, :, j].reshape(z.shape)
