import torch
from torch import nn

from trainwell.objectives.weights import named_weights
from trainwell.optim import decay_groups


def model():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.LayerNorm((2, 4, 4)), nn.Flatten(), nn.Linear(32, 3), nn.PReLU()
    )


def test_matrices_and_kernels_count_and_no_norms_gain_of_any_shape():
    net = model()
    assert net[2].weight.dim() == 3  # what the number of dimensions alone would take for a kernel
    assert list(named_weights(net)) == ["0.weight", "4.weight"]
    assert named_weights(net)["4.weight"] is net[4].weight


def test_frozen_weights_do_not_count_and_shared_ones_count_once():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3).requires_grad_(False))
    net[1].weight = net[0].weight
    assert list(named_weights(net)) == ["0.weight"]
    assert list(named_weights(nn.Embedding(4, 2))) == ["weight"]


def test_decay_follows_the_same_rule_and_of_bare_parameters_it_knows_the_dimensions_only():
    net = model()
    decaying, rest = decay_groups(net, 0.3)
    assert [id(p) for p in decaying["params"]] == [id(p) for p in named_weights(net).values()]
    assert len(decaying["params"]) + len(rest["params"]) == len(list(net.parameters()))
    assert decaying["weight_decay"] == 0.3 and rest["weight_decay"] == 0
    assert net[2].weight in set(decay_groups(net.parameters(), 0.3)[0]["params"])
    assert decay_groups(nn.Sequential(), 0.1) == [] and torch.is_tensor(decaying["params"][0])
