"""EK-FAC: K-FAC's eigenvectors with the right eigenvalues.

With A = U_A D_A U_Aᵀ and G = U_G D_G U_Gᵀ, K-FAC takes F ≈ (U_A ⊗ U_G) (D_A ⊗ D_G) (U_A ⊗ U_G)ᵀ. In that basis the
diagonal that is nearest to F in Frobenius norm is F's own,

    S = E[(U_Gᵀ ∇W̄_n U_A)²]      the second moment of a sample's gradient, entry by entry

and the step is  D = U_G [(U_Gᵀ ∇W̄ U_A) / (S + λ)] U_Aᵀ,  the rest as in :class:`Kfac`. S is averaged with every new
batch (cheap), the basis is renewed seldom; after a renewal S starts at D_A ⊗ D_G, counted as one batch.
Source: George et al. 2018, arXiv:1806.03884; in no deck (deck M names K-FAC).
"""

from typing import Any

import torch
from torch import Tensor

from trainwell.optim.second_order.kronecker_factored import Kfac
from trainwell.optim.second_order.symmetric_eigen import symmetric_eigen

CHUNK = 1 << 24  # numbers of the per-sample gradients formed at a time


class EKfac(Kfac):
    """K-FAC with the eigenvalue correction; arguments, errors and closures are those of :class:`Kfac`.

    Memory: as K-FAC, and 1 more number a parameter for S.
    """

    def _correct(self, state: dict[str, Any], rows: list[tuple[Tensor, Tensor]]) -> None:
        basis = state["input_basis"], state["output_basis"]
        found = torch.stack([second_moments(a, g, *basis) for a, g in rows]).sum(0)
        k = state["moments"] = state["moments"] + 1
        state["corrected"] = torch.lerp(found, state["corrected"], min(1 - 1 / k, self.whole["decay"]))

    def _refresh(self, state: dict[str, Any]) -> None:
        a, g = symmetric_eigen(state["input_factor"]), symmetric_eigen(state["output_factor"])
        state["input_basis"], state["output_basis"] = a[1], g[1]
        state["damping"] = self._damping(state)
        state["corrected"], state["moments"] = torch.outer(g[0], a[0]), 1

    def _direction(self, state: dict[str, Any], gradient: Tensor) -> Tensor:
        left, right = state["output_basis"], state["input_basis"]
        inside = (left.T @ gradient @ right) / (state["corrected"] + state["damping"])
        found: Tensor = left @ inside @ right.T
        return found


def second_moments(a: Tensor, g: Tensor, input_basis: Tensor, output_basis: Tensor) -> Tensor:
    """Σ_n (U_Gᵀ (Σ_t g_nt ā_ntᵀ) U_A)², entry by entry.

    Args:
        a, g: rows (samples, positions, inputs) and (samples, positions, outputs).
        input_basis, output_basis: U_A and U_G, eigenvectors in columns.

    Returns:
        Shape (outputs, inputs).
    """
    a, g = a @ input_basis, g @ output_basis
    if a.shape[1] == 1:  # one position: the square of a product is the product of squares
        return g[:, 0].square().T @ a[:, 0].square()
    size = max(1, CHUNK // (a.shape[2] * g.shape[2]))
    parts = zip(a.split(size), g.split(size), strict=True)
    return torch.stack([torch.einsum("nto,nti->noi", y, x).square().sum(0) for x, y in parts]).sum(0)
