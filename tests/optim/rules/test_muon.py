"""Muon and AdamW in one optimizer, against torch's two."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import METHODS

muon = METHODS["muon"]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 8), nn.LayerNorm(8), nn.Linear(8, 3))


def train(model, optimizers, steps=5):
    x = torch.randint(7, (16, 3), generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        model.zero_grad()
        model(x).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()


def rules(optimizer, model):
    names = {id(p): name for name, p in model.named_parameters()}
    return {names[id(p)]: group["rule"] for group in optimizer.param_groups for p in group["params"]}


def test_hidden_matrices_are_muons_and_the_rest_is_adamws():
    model = network()
    found = rules(muon(model, weight_decay=0.1), model)
    assert [name for name, rule in found.items() if rule == "muon"] == ["2.weight"]
    assert len(found) == len(list(model.parameters()))
    decays = {group["rule"]: group["weight_decay"] for group in muon(model, weight_decay=0.1).param_groups[:2]}
    assert decays == {"muon": 0.1, "adamw": 0.1}
    assert rules(muon(model.parameters()), model)["4.weight"] == "muon"  # of parameters alone: every matrix


def test_equals_torchs_two_optimizers():
    one, two = network(), network()
    train(one, [muon(one, 0.01, weight_decay=0.1)])
    hidden = two[2].weight
    weights = [two[0].weight, two[4].weight]
    vectors = [p for p in two.parameters() if p.dim() == 1]
    train(
        two,
        [
            torch.optim.Muon([hidden], 0.01, weight_decay=0.1, eps=1e-8, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(
                [{"params": weights, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                0.01,
                betas=(0.9, 0.95),
            ),
        ],
    )
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(p, q)


def test_the_update_is_nearly_orthogonal_with_adamws_size():
    w = nn.Parameter(torch.zeros(32, 16))
    optimizer = muon([{"params": [w]}], 1.0, momentum=0.0)
    w.grad = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    singular = torch.linalg.svdvals(w.detach()) / (0.2 * 32**0.5)
    assert singular.min() > 0.6 and singular.max() < 1.3  # five steps of Newton–Schulz, from 1 ± 0.3
    assert w.detach().square().mean().sqrt() == pytest.approx(0.2, rel=0.15)
    assert torch.linalg.cond(w.grad) > 3  # control: the gradient is not


def test_a_rule_given_to_a_group_is_kept_and_checked():
    table, kernel = nn.Parameter(torch.zeros(5, 4)), nn.Parameter(torch.zeros(2, 2, 3, 3))
    optimizer = muon([{"params": [table], "rule": "adamw"}, {"params": [kernel]}])
    assert [group["rule"] for group in optimizer.param_groups] == ["adamw", "adamw"]
    with pytest.raises(ValueError, match="takes matrices"):
        muon([{"params": [kernel], "rule": "muon"}])
    with pytest.raises(ValueError, match="rule='sgd'"):
        muon([{"params": [table], "rule": "sgd"}])
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(3, 3)), nn.Parameter(torch.zeros(3))]})
    assert [group["rule"] for group in optimizer.param_groups] == ["adamw", "adamw", "muon", "adamw"]


def test_the_shared_rate_moves_both():
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    train(model, [muon(model, 0.01)])
    moves = [(p.detach() - q).abs().max() for p, q in zip(model.parameters(), before, strict=True)]
    assert all(0.002 < move < 0.2 for move in moves)
    assert_close(sum(group["lr"] for group in muon(model, 0.01).param_groups), 0.03)
