"""Stochastic depth: residual branches left out at random in training, later ones more often.

    training:   y = x + b/p_l · F_l(x),    b ~ Bernoulli(p_l)
    evaluation: y = x + F_l(x),            p_l = 1 − l/L · (1 − p_L),  l = 1 … L

Huang et al. train with x + b F_l(x) and evaluate x + p_l F_l(x). Ours is the inverted form, as dropout has it today:
its branch is theirs times 1/p_l, both times, so that the expectation over b is what evaluation computes, the net that
is evaluated, folded or exported is the plain one, and switching the technique off does not rescale the branches.
Source: Huang et al. 2016, "Deep Networks with Stochastic Depth", §3, eqs. 2–5, arXiv:1603.09382.
"""

from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """Multiply a branch's output by b/p in training, b ~ Bernoulli(p); pass it on in evaluation.

    Args:
        survival: p, the probability that the branch stays, 0 < p ≤ 1.
        per: ``sample`` draws one b for each sample, which averages the noise over the batch; ``batch`` one for all, as
            in the paper.

    Raises:
        ValueError: if p is not in (0, 1], or ``per`` is not known.

    Example:
        >>> StochasticDepth(0.5).eval()(Tensor([[1, 1]]))
        tensor([[1., 1.]])
    """

    layer_kind = "dropout"

    def __init__(self, survival: float, per: str = "sample") -> None:
        super().__init__()
        if not 0 < survival <= 1:
            raise ValueError(
                f"StochasticDepth: survival={survival} is not in (0, 1]. Use the probability that a branch stays."
            )
        if per not in ("sample", "batch"):
            raise ValueError(f"StochasticDepth: per={per!r} is not known. Use 'sample' or 'batch'.")
        self.survival, self.per = survival, per

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.survival == 1:
            return x
        count = x.shape[0] if self.per == "sample" else 1
        kept = x.new_empty(count, *[1] * (x.dim() - 1)).bernoulli_(self.survival)
        return x * (kept / self.survival)

    def extra_repr(self) -> str:
        return f"survival={self.survival}, per={self.per!r}"


def survival_probabilities(blocks: int, dropped: float) -> list[float]:
    """Return p_1 … p_L of the linear decay p_l = 1 − l/L · dropped; the last block has p_L = 1 − dropped.

    Args:
        blocks: L.
        dropped: 1 − p_L, how often the last branch is left out, 0 ≤ dropped < 1; the paper takes 0.5.

    Raises:
        ValueError: if ``dropped`` is not in [0, 1).

    Example:
        >>> survival_probabilities(4, 0.5)
        [0.875, 0.75, 0.625, 0.5]
    """
    if not 0 <= dropped < 1:
        raise ValueError(
            f"stochastic_depth={dropped} is not in [0, 1). Use the share of steps in which the last block is left out."
        )
    return [1 - block / blocks * dropped for block in range(1, blocks + 1)]
