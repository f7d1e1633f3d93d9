"""The Fisher information of a model whose loss is a negative log-likelihood, as an operator.

With r = ∂(−log p(y|z))/∂z at the outputs z_n of sample n and J_n = ∂z_n/∂w,

    F = (1/K) Σ_n J_nᵀ E[r_n r_nᵀ] J_n,

| kind | E[r rᵀ] | |
|---|---|---|
| exact | over y ~ p(·; z_n), in closed form | equals the Gauss–Newton matrix of the loss |
| monte-carlo | mean over ``draws`` labels y ~ p(·; z_n) | unbiased; the same labels in every product |
| empirical | r rᵀ at the label of the data | mean outer product of the samples' gradients; F only if data ~ p |

Likelihoods, each with K such that F is in the units of the mean loss (as GaussNewton is):

* softmax (``CrossEntropyLoss``, ``NLLLoss``): r = p − e_y, E[r rᵀ] = diag(p) − p pᵀ, K = labels not ignored.
* bernoulli (``BCEWithLogitsLoss``): r = σ(z) − y, E[r rᵀ] = diag(σ(1−σ)), K = samples · outputs.
* gaussian (``MSELoss``): y ~ N(z, s² I), r = (z − y)/s², E[r rᵀ] = I/s², K = samples. The mean squared error of T
  outputs is the negative log-likelihood for s² = T/2, the default; another noise variance multiplies exact and
  Monte-Carlo F by T/(2 s²), the empirical one by the square of that.

Samples are taken as independent: batch normalization belongs in eval mode. Cost of a product as of Gauss–Newton: 2⅓
passes, of all kinds; per-sample gradients are never formed.
Source: Martens 2014, "New insights and perspectives on the natural gradient method", arXiv:1412.1193; Kunstner, Balles
& Hennig 2019, "Limitations of the empirical Fisher approximation", arXiv:1905.12558.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.curvature.averaged import MeanLoss, samples
from trainwell.curvature.averaged_operator import AveragedOperator
from trainwell.curvature.ggn import output_tensor
from trainwell.curvature.products import Product, sandwich_product
from trainwell.errors import InputError

KINDS = ("exact", "monte-carlo", "empirical")
LIKELIHOODS = ("softmax", "bernoulli", "gaussian")


class Fisher(AveragedOperator):
    """The Fisher information of a model over batches, with respect to its trainable parameters.

    Args:
        model, loss, batches, names: see :class:`~trainwell.curvature.MeanLoss`; outputs are one tensor, samples first.
        kind: "exact", "monte-carlo" or "empirical".
        likelihood: "softmax", "bernoulli" or "gaussian"; read from the loss if None.
        variance: s² of the Gaussian, in the squared unit of the outputs; T/2 if None.
        draws: labels a sample, of Monte-Carlo; the error falls as 1/√(draws · samples).
        generator: of the labels, on the CPU; its state is copied, not advanced. Seed 0 if None.

    Raises:
        InputError: for an unknown kind, a loss that is no plain likelihood, and as :class:`GaussNewton`.

    Example:
        >>> net, x, y = nn.Linear(2, 1, bias=False), torch.eye(2), torch.zeros(2, 1)
        >>> Fisher(net, nn.MSELoss(), (x, y)).dense()
        tensor([[1., 0.],
                [0., 1.]])
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        batches: Any,
        names: Iterable[str] | None = None,
        *,
        kind: str = "exact",
        likelihood: str | None = None,
        variance: float | None = None,
        draws: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(MeanLoss(model, loss, batches, names))
        if kind not in KINDS:
            raise InputError(f"Fisher: kind={kind!r} is unknown.", f"Kinds: {', '.join(KINDS)}.")
        if draws < 1:
            raise InputError(f"Fisher: draws={draws}.", "Draw at least one label a sample.")
        self.kind, self.draws, self.variance = kind, draws, variance
        self.likelihood = likelihood or likelihood_of(loss)
        if self.likelihood not in LIKELIHOODS:
            raise InputError(
                f"Fisher: likelihood={likelihood!r} is unknown.", f"Likelihoods: {', '.join(LIKELIHOODS)}."
            )
        self._start = (generator or torch.Generator().manual_seed(0)).get_state()
        self._draw = torch.Generator()

    def _matmat(self, columns: Tensor) -> Tensor:
        self._draw.set_state(self._start)
        return super()._matmat(columns)

    def _share(self, x: Any, y: Any) -> float:
        if self.likelihood != "softmax" or y.is_floating_point():
            return float(samples(x))
        return float((y != getattr(self.mean.loss, "ignore_index", -100)).sum())

    def _of_batch(self, x: Any, y: Any) -> Product:
        outputs = output_tensor(self.mean.model(x))
        z = outputs.detach()
        metric = {"softmax": self._softmax, "bernoulli": self._bernoulli, "gaussian": self._gaussian}[self.likelihood]
        return sandwich_product(outputs, self.mean.parameters, metric(z, y))

    def _softmax(self, z: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        p = z.softmax(1)
        soft = y.is_floating_point()
        kept = torch.ones_like(p[:, :1]) if soft else (y != getattr(self.mean.loss, "ignore_index", -100)).unsqueeze(1)
        count = float(kept.sum())
        if self.kind == "exact":
            return lambda u: kept * p * (u - (p * u).sum(1, keepdim=True)) / count
        if self.kind == "empirical":
            given = y if soft else self._one_hot(y.masked_fill(~kept.squeeze(1), 0), z)
            return outer_products([kept * (p - given)], count)
        rows = p.movedim(1, -1).flatten(0, -2).cpu()
        labels = torch.multinomial(rows.double(), self.draws, replacement=True, generator=self._draw)
        shape = p.movedim(1, -1).shape[:-1]
        drawn = (self._one_hot(label.view(shape).to(z.device), z) for label in labels.T)
        return outer_products([kept * (p - one_hot) for one_hot in drawn], count)

    @staticmethod
    def _one_hot(labels: Tensor, z: Tensor) -> Tensor:
        return F.one_hot(labels, z.shape[1]).movedim(-1, 1).to(z.dtype)

    def _bernoulli(self, z: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        p, count = z.sigmoid(), float(z.numel())
        if self.kind == "exact":
            return lambda u: p * (1 - p) * u / count
        if self.kind == "empirical":
            return outer_products([p - y], count)
        chance = p.cpu().double()
        drawn = [torch.bernoulli(chance, generator=self._draw).to(p) for _ in range(self.draws)]
        return outer_products([p - label for label in drawn], count)

    def _gaussian(self, z: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        count = float(len(z))
        variance = z[0].numel() / 2 if self.variance is None else self.variance
        if self.kind == "exact":
            return lambda u: u / (variance * count)
        if self.kind == "empirical":
            return outer_products([(z - y) / variance], count)
        noise = (torch.randn(z.shape, dtype=torch.float64, generator=self._draw).to(z) for _ in range(self.draws))
        return outer_products([sample * variance**-0.5 for sample in noise], count)


def outer_products(residuals: list[Tensor], count: float) -> Callable[[Tensor], Tensor]:
    """u ↦ Σ_m r_m (r_mᵀ u) / (M · count), each sample (first dimension) for itself."""

    rows = torch.stack(residuals).reshape(len(residuals), len(residuals[0]), -1)  # (M, samples, outputs)

    def metric(u: Tensor) -> Tensor:
        along = torch.einsum("mnd,nd->mn", rows, u.reshape(len(u), -1))
        return torch.einsum("mn,mnd->nd", along, rows).view_as(u) / (len(rows) * count)

    return metric


def likelihood_of(loss: Any) -> str:
    """The likelihood whose mean negative logarithm a loss is, up to a constant.

    Raises:
        InputError: if it is none that is known, or has class weights or smoothed labels.
    """
    for name in ("weight", "pos_weight"):
        if getattr(loss, name, None) is not None:
            raise InputError(
                f"Fisher: the loss has {name}, and is then no log-likelihood.", f"Leave {name} out, or use GaussNewton."
            )
    if getattr(loss, "label_smoothing", 0.0):
        raise InputError(
            f"Fisher: the loss has label_smoothing={loss.label_smoothing}, and is then no log-likelihood.",
            "Use GaussNewton, or leave smoothing out.",
        )
    if isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss) or loss in (F.cross_entropy, F.nll_loss):
        return "softmax"
    if isinstance(loss, nn.BCEWithLogitsLoss) or loss is F.binary_cross_entropy_with_logits:
        return "bernoulli"
    if isinstance(loss, nn.MSELoss) or loss is F.mse_loss:
        return "gaussian"
    raise InputError(
        f"Fisher: {getattr(loss, '__name__', type(loss).__name__)} is no loss whose likelihood is known.",
        f"Say likelihood= one of {', '.join(LIKELIHOODS)}.",
    )
