"""Normalization that makes the channels uncorrelated, and not only of variance one.

Within each group of d channels, over the m values of the batch, with μ = mean(x), Σ = mean((x − μ)(x − μ)ᵀ) + εI:

    x̂ = W (x − μ),    W Σ Wᵀ = I,    y = γ x̂ + β.

W is unique up to a rotation. Three choices:

    ZCA       W = Σ^{-1/2} = D Λ^{-1/2} Dᵀ, the symmetric one, closest to the input;
    Cholesky  W = L⁻¹ with Σ = L Lᵀ, lower triangular, channel by channel what the earlier ones do not explain;
    Newton    W = P_T / √tr Σ ≈ Σ^{-1/2},  P_0 = I,  P_k = ½ (3 P_{k−1} − P_{k−1}³ Σ/tr Σ).

An eigenvalue λ of Σ/tr Σ sees p ← ½ (3p − p³λ): p grows by 3/2 a step until it is near λ^{-1/2}. Isotropic data have
λ = 1/d, hence T steps suffice only where (3/2)^T is well above √d: T = 5 leaves the variances of d = 64 channels at
0.59, T = 8 within 2.1e-4. As written, the recursion multiplies rounding errors by up to (κ + √κ)/2 − 1 a step once it
has converged, κ the condition number of Σ, and explodes. We compute the same P_k in the coupled, stable form:
F = ½ (3I − P Q), P ← F P, Q ← Q F, from P = I, Q = Σ/tr Σ (Higham 2008, "Functions of Matrices", chapter 6).
ε makes the eigenvalues of the result λ/(λ + ε).
Where m ≤ d the covariance is singular and its null space stays at zero.
Sources: Huang et al. 2018, "Decorrelated Batch Normalization", arXiv:1804.08450 (ZCA); Huang et al. 2019, "Iterative
Normalization", Algorithm 1, arXiv:1904.03441 (Newton); Kessy, Lewin & Strimmer 2018, "Optimal Whitening and
Decorrelation", arXiv:1512.00809 (the choices of W).
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn


class _Whitening(nn.Module, ABC):
    """The statistics, groups and modes that all choices of W share."""

    layer_kind = "norm"

    running_mean: Tensor
    running_whitening: Tensor

    def __init__(self, num_features: int, *, groups: int, eps: float, momentum: float, affine: bool) -> None:
        super().__init__()
        name = type(self).__name__
        if groups < 1 or num_features % groups:
            raise ValueError(
                f"{name}: {num_features} channels do not divide into groups={groups}. Use a divisor of {num_features}."
            )
        if eps <= 0:
            raise ValueError(f"{name}: eps={eps} leaves a singular covariance without inverse. Use eps > 0, say 1e-5.")
        if not 0 < momentum <= 1:
            raise ValueError(f"{name}: momentum={momentum} is the weight of the new statistics, 0 < momentum ≤ 1.")
        self.num_features, self.groups, self.eps, self.momentum = num_features, groups, eps, momentum
        size = num_features // groups
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_whitening", torch.eye(size).repeat(groups, 1, 1))

    @abstractmethod
    def whitening(self, covariance: Tensor) -> Tensor:
        """W with W Σ Wᵀ = I for covariances of shape (groups, d, d)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x of shape (N, C, *) by the batch's statistics in train mode, by the running ones in eval mode.

        Raises:
            ValueError: if the channels do not fit, or in train mode if a channel has one value.
        """
        self._check(x)
        with torch.autocast(x.device.type, enabled=False):
            z = x.to(torch.promote_types(x.dtype, torch.float32)).transpose(0, 1).flatten(1)
            z = z.unflatten(0, (self.groups, -1))  # (groups, d, m)
            if self.training:
                mean = z.mean(2, keepdim=True)
                centred = z - mean
                eye = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
                matrix = self.whitening(centred @ centred.mT / z.shape[2] + self.eps * eye)
                self._update(mean.detach().flatten(), matrix.detach())
            else:
                centred = z - self.running_mean.to(z.dtype).view(self.groups, -1, 1)
                matrix = self.running_whitening.to(z.dtype)
            y = (matrix @ centred).flatten(0, 1)  # (C, m)
            if self.weight is not None and self.bias is not None:
                y = self.weight.unsqueeze(1) * y + self.bias.unsqueeze(1)
            return y.unflatten(1, (x.shape[0], *x.shape[2:])).transpose(0, 1).to(x.dtype)

    @torch.no_grad()
    def _update(self, mean: Tensor, matrix: Tensor) -> None:
        for running, new in ((self.running_mean, mean), (self.running_whitening, matrix)):
            running.add_(new.to(running.dtype) - running, alpha=self.momentum)  # lerp_ has no rule for vmap

    def _check(self, x: Tensor) -> None:
        name = type(self).__name__
        if x.dim() < 2 or x.shape[1] != self.num_features:
            raise ValueError(
                f"{name}: input of shape {tuple(x.shape)}, but num_features={self.num_features} needs "
                f"(N, {self.num_features}, *)."
            )
        if self.training and x.numel() == self.num_features:
            raise ValueError(
                f"{name}: input of shape {tuple(x.shape)} has one value per channel in train mode, and one value has "
                "no covariance. Use a larger batch, or model.eval()."
            )

    def extra_repr(self) -> str:
        return f"{self.num_features}, groups={self.groups}, eps={self.eps}, momentum={self.momentum}"


class DecorrelatedBatchNorm(_Whitening):
    """Whitening by an exact root of the inverse covariance.

    In eval mode the running average of the mean and of W are used, as in Huang et al. 2018.

    Args:
        num_features: C of inputs of shape (N, C, *).
        groups: number of groups of C/groups consecutive channels; decorrelation is within each. C groups are batch
            normalization. A batch should have many more values per channel than C/groups.
        method: ``"zca"`` or ``"cholesky"``.
        eps: ε > 0, added to the variances.
        momentum: weight of the new statistics in the running ones.
        affine: learn γ and β, shape (C,), from 1 and 0.

    Raises:
        ValueError: if the groups do not divide the channels or an argument is out of range.
    """

    def __init__(
        self,
        num_features: int,
        *,
        groups: int = 1,
        method: str = "zca",
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, groups=groups, eps=eps, momentum=momentum, affine=affine)
        if method not in ("zca", "cholesky"):
            raise ValueError(f"DecorrelatedBatchNorm: method={method!r} is not known. Use 'zca' or 'cholesky'.")
        self.method = method

    def whitening(self, covariance: Tensor) -> Tensor:
        if self.method == "zca":
            return _InverseRoot.apply(covariance)
        factor = torch.linalg.cholesky(covariance)
        eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
        return torch.linalg.solve_triangular(factor, eye.expand_as(covariance), upper=False)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, method={self.method!r}"


class IterativeNorm(_Whitening):
    """Whitening by Newton–Schulz steps: products of matrices alone, and weakest where the data vary least.

    Args:
        num_features: C of inputs of shape (N, C, *).
        groups: number of groups of C/groups consecutive channels; decorrelation is within each.
        steps: T ≥ 1. The paper's 5 is for small groups: take 8 or more from 32 channels a group on.
        eps: ε > 0, added to the variances.
        momentum: weight of the new statistics in the running ones.
        affine: learn γ and β, shape (C,), from 1 and 0.

    Raises:
        ValueError: if the groups do not divide the channels or an argument is out of range.
    """

    def __init__(
        self,
        num_features: int,
        *,
        groups: int = 1,
        steps: int = 5,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, groups=groups, eps=eps, momentum=momentum, affine=affine)
        if steps < 1:
            raise ValueError(f"IterativeNorm: steps={steps} leaves the channels correlated. Use steps ≥ 1, say 5.")
        self.steps = steps

    def whitening(self, covariance: Tensor) -> Tensor:
        trace = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        scaled = covariance / trace
        eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device).expand_as(covariance)
        root, product = eye, scaled  # P_k and P_k Σ/tr Σ
        for _ in range(self.steps):
            factor = 1.5 * eye - 0.5 * (root @ product)
            root, product = factor @ root, product @ factor
        return root / trace.sqrt()

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, steps={self.steps}"


class _InverseRoot(torch.autograd.Function):
    """R = Σ^{-1/2} with a derivative that stays finite where eigenvalues coincide.

    With Σ = D diag(r⁻²) Dᵀ: dR = D [K ∘ (Dᵀ dΣ D)] Dᵀ,  K_ij = −r_i² r_j² / (r_i + r_j) (Daleckii–Krein), while
    the derivative of the eigenvectors themselves divides by λ_i − λ_j.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(covariance: Tensor) -> Tensor:
        eigenvalues, vectors = torch.linalg.eigh(covariance)
        return (vectors * eigenvalues.rsqrt().unsqueeze(-2)) @ vectors.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        r, vectors = torch.linalg.eigh(root)
        kernel = -(r.unsqueeze(-1) * r.unsqueeze(-2)).square() / (r.unsqueeze(-1) + r.unsqueeze(-2))
        return vectors @ (kernel * (vectors.mT @ grad_output @ vectors)) @ vectors.mT
