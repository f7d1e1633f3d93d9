import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import NTXentLoss, PairMarginLoss


def views(n=6, d=4):
    return torch.randn(2, n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


def test_pairs_follow_the_formula():
    a, b = torch.zeros(4, 2), torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    found = PairMarginLoss(margin=2.0, reduction="none")(a, b, torch.tensor([1, 0, 0, 0]))
    assert_close(found, torch.tensor([12.5, 0.0, 0.5 * 1.5**2, 2.0]))


def test_gradients():
    both, alike = views(), torch.tensor([1, 0, 1, 0, 0, 0])
    assert torch.autograd.gradcheck(lambda z: PairMarginLoss(margin=4.0)(z[0], z[1], alike), both)
    assert torch.autograd.gradcheck(lambda z: NTXentLoss()(z[0], z[1]), both)


def test_unlike_pairs_at_one_point_have_a_finite_gradient():
    a = torch.zeros(1, 2, requires_grad=True)
    loss = PairMarginLoss()(a, torch.zeros(1, 2), torch.tensor([0]))
    assert torch.autograd.grad(loss, a)[0].tolist() == [[0.0, 0.0]]


def test_orthogonal_pairs_have_the_closed_form():
    z = 5 * torch.eye(3, dtype=torch.float64)
    assert float(NTXentLoss(temperature=0.5)(z, z)) == pytest.approx(math.log(1 + 4 * math.exp(-2)), rel=1e-12)


def test_it_is_the_loop_of_the_paper():
    both = views().detach()
    z, n, tau, total = both.flatten(0, 1), 6, 0.2, 0.0
    for i in range(2 * n):
        cosines = torch.tensor([nn.functional.cosine_similarity(z[i], z[k], dim=0) for k in range(2 * n)]) / tau
        others = torch.tensor([k for k in range(2 * n) if k != i])
        total += float(cosines[others].logsumexp(0) - cosines[(i + n) % (2 * n)]) / (2 * n)
    assert float(NTXentLoss(temperature=tau)(*both)) == pytest.approx(total, rel=1e-6)
    assert_close(NTXentLoss()(*both), NTXentLoss()(7 * both[0], 0.1 * both[1]))  # lengths do not matter
    assert_close(NTXentLoss()(*both), NTXentLoss(reduction="none")(*both).mean())
    assert_close(NTXentLoss(reduction="sum")(*both), 6 * NTXentLoss()(*both))


def test_views_of_other_samples_cost_more():  # control: the pairing removed
    z = views().detach()[0]
    assert NTXentLoss()(z, z) < NTXentLoss()(z, z.roll(1, 0)) - 0.5


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_contrast_is_zero(n):
    z = torch.ones(n, 3, requires_grad=True)
    loss = NTXentLoss()(z, z)
    loss.backward()
    assert float(loss.detach()) == 0 and z.grad.count_nonzero() == 0
    pairs = PairMarginLoss()(z[:0], z[:0], torch.zeros(0))
    assert float(pairs.detach()) == 0


def test_zero_embeddings_are_finite():
    z = torch.zeros(3, 2, requires_grad=True)
    loss = NTXentLoss()(z, z)
    assert loss.isfinite() and torch.autograd.grad(loss, z)[0].isfinite().all()


def test_errors():
    with pytest.raises(ValueError, match="temperature is 0"):
        NTXentLoss(temperature=0.0)
    with pytest.raises(ValueError, match="no pairs"):
        NTXentLoss()(torch.zeros(2, 3), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="2 pairs"):
        PairMarginLoss()(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3))
    with pytest.raises(ValueError, match="margin is -1"):
        PairMarginLoss(margin=-1)
