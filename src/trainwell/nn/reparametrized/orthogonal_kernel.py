"""Weights that stay orthogonal while an optimizer moves free numbers.

The weight as a matrix M (outputs × inputs·kernel; one per group), transposed where it is wide, has orthonormal columns

    M = B Q(X)[:, :k],    BᵀB = I (n × n, fixed),    L = X below its diagonal, zeros after column k,    A = L − Lᵀ,

    exp          Q = exp(A),
    cayley       Q = (I − A/2)⁻¹ (I + A/2),
    householder  Q = −H_1 H_2 … H_k,    H_j = I − τ_j h_j h_jᵀ,  h_j = e_j + L_{·j},  τ_j = 2/‖h_j‖²   (on k columns).

Q(0) = I, and X = 0 at the start with B[:, :k] the orthogonal matrix nearest to the given weight (its polar factor U Vᵀ
from M = U S Vᵀ): an orthogonal weight starts as it is, any other keeps its directions and gets all its singular values
set to 1. Exp and Cayley have determinant 1, so the orientation of B stays; Cayley has no eigenvalue −1.

``torch.nn.utils.parametrizations.orthogonal`` has the same three maps. We write them out since it takes the last two
dimensions for the matrix (of a convolution: the kernel's window), starts at a Q factor instead of the nearest matrix,
gives 0 for a weight of zeros, and keeps signs in the diagonal of X that its Householder map truncates to integers: one
step of weight decay makes them 0.999…, hence 0, and the weight vanishes. Cost of a forward pass: n³ for exp and Cayley,
n²k for Householder, with n the larger side.
Sources: Lezcano-Casado & Martínez-Rubio 2019, "Cheap Orthogonal Constraints", arXiv:1901.08428 (exp); Helfrich et al.
2018, arXiv:1707.09520 (Cayley); Mhammedi et al. 2017, arXiv:1612.00188 (Householder).
"""

import torch
from torch import Tensor, nn

MAPS = ("exp", "cayley", "householder")


class OrthogonalKernel(nn.Module):
    """The map X ↦ weight for weights of shape (outputs, inputs/groups, *kernel); a parametrization.

    Args:
        kind: ``"exp"``, ``"cayley"`` or ``"householder"``.
        groups: of the convolution; each group's block is orthogonal by itself.

    Raises:
        ValueError: if the map is not known.
    """

    base: Tensor

    def __init__(self, kind: str, groups: int = 1) -> None:
        super().__init__()
        if kind not in MAPS:
            raise ValueError(f"OrthogonalKernel: kind={kind!r} is not known. Use one of {', '.join(MAPS)}.")
        self.kind, self.groups = kind, groups
        self.register_buffer("base", torch.empty(0))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            tall = self._tall(x.to(torch.promote_types(x.dtype, torch.float32)))
            lower = tall.tril(-1)
            turned = self.base.to(lower.dtype) @ (_reflect(lower) if self.kind == "householder" else self._turn(lower))
            return self._weight(turned, x)

    @torch.no_grad()
    def right_inverse(self, weight: Tensor) -> Tensor:
        """Take the orthogonal matrix nearest to the weight for the base, and return X = 0."""
        tall = self._tall(weight.double())
        u, _, vt = torch.linalg.svd(tall, full_matrices=True)
        k = tall.shape[-1]
        self.base = torch.cat([u[..., :k] @ vt, u[..., k:]], -1).to(weight.dtype)
        return torch.zeros_like(weight)

    def _turn(self, lower: Tensor) -> Tensor:
        """exp or Cayley of A = L − Lᵀ, its first k columns."""
        n, k = lower.shape[-2:]
        square = nn.functional.pad(lower, (0, n - k))
        skew = square - square.mT
        if self.kind == "exp":
            return torch.linalg.matrix_exp(skew)[..., :k]
        eye = torch.eye(n, dtype=skew.dtype, device=skew.device)
        return torch.linalg.solve(eye - skew / 2, (eye + skew / 2)[..., :k])

    def _tall(self, weight: Tensor) -> Tensor:
        matrix = weight.unflatten(0, (self.groups, -1)).flatten(2)  # (groups, outputs/groups, inputs/groups · window)
        return matrix.mT if matrix.shape[-2] < matrix.shape[-1] else matrix

    def _weight(self, tall: Tensor, like: Tensor) -> Tensor:
        wide = like.shape[0] // self.groups < like[0].numel()
        return (tall.mT if wide else tall).reshape(like.shape).to(like.dtype)

    def extra_repr(self) -> str:
        return f"{self.kind!r}, groups={self.groups}"


def _reflect(lower: Tensor) -> Tensor:
    tau = 2 / (1 + lower.square().sum(-2))
    return -torch.linalg.householder_product(lower, tau)
