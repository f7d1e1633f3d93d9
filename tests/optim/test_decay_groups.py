import torch
from torch import nn

from trainwell.optim import decay_groups


def test_matrices_and_kernels_decay_and_vectors_do_not():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2), nn.Embedding(5, 3))
    decaying, rest = decay_groups(model.parameters(), 0.3)
    assert decaying["weight_decay"] == 0.3 and rest["weight_decay"] == 0.0
    assert [tuple(p.shape) for p in decaying["params"]] == [(4, 3, 3, 3), (2, 4), (5, 3)]
    assert [tuple(p.shape) for p in rest["params"]] == [(4,), (4,), (4,), (2,)]


def test_frozen_parameters_are_left_out_and_empty_groups_too():
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    (group,) = decay_groups(model.parameters(), 0.1)
    assert group["params"][0] is model.weight
    model.weight.requires_grad_(False)
    assert decay_groups(model.parameters(), 0.1) == []


def test_without_gradient_only_the_decaying_group_shrinks():  # closed form: w ← (1 − lr·λ) w
    model = nn.Linear(3, 2).double()
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    optimizer = torch.optim.AdamW(decay_groups(model.parameters(), 0.5), lr=0.1)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    torch.testing.assert_close(model.weight.detach(), 0.95 * weight, rtol=1e-14, atol=0)
    assert torch.equal(model.bias, bias)
