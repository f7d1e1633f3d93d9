"""Nets with and without normalizing: what they are, and that training many at once is training each."""

import numpy as np
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.lab.labelled_pictures import Pictures
from trainwell.lab.normalization.n16_before_or_after import norm_after
from trainwell.lab.normalization.normed_nets import (
    ScaleShift,
    Training,
    exactly_normed,
    hidden_maps,
    learning_curves,
    normed_net,
)


def net_of(norm):
    torch.manual_seed(0)
    return normed_net(6, 5, 2, norm)


def test_held_statistics_are_those_of_evaluation_at_the_start():  # closed form: mean 0, variance 1
    x = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    batch, held, bare = (net_of(norm) for norm in ("batch", "held", "none"))
    assert_close(held(x), batch.eval()(x), rtol=1e-3, atol=1e-5)  # but for BN's ε of 1e-5
    assert_close(held(x), bare(x))
    assert sum(isinstance(layer, ScaleShift) for layer in held) == 2
    assert (batch.train()(x) - held(x)).abs().max() > 0.01  # control: statistics of the batch


def test_hidden_maps_leave_out_the_last():
    net = net_of("batch")
    assert [layer.out_features for layer in hidden_maps(net)] == [5, 5]


def test_exactly_normed_net_does_not_see_the_scale():  # property
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    net = exactly_normed(6, 5, 2, 3)
    before = net(x)
    with torch.no_grad():
        hidden_maps(net)[0].weight *= 1e-6
    assert_close(net(x), before, rtol=1e-9, atol=1e-12)


def test_norm_after_moves_every_norm_behind_its_activation():
    kinds = [type(layer) for layer in norm_after(net_of("batch"))][1:]
    assert kinds == [nn.Linear, nn.ReLU, nn.BatchNorm1d] * 2 + [nn.Linear]
    assert norm_after(net_of("none"))[2](torch.tensor(-1.0)) == 0  # a net without norms stays as it is


def test_a_net_that_diverges_disturbs_no_other():
    generator = torch.Generator().manual_seed(2)
    X, y = torch.randn(40, 6, generator=generator), torch.randint(10, (40,), generator=generator)
    pictures, training = Pictures(X, y, X, y), Training(steps=60, batch=20, every=20)
    calm = learning_curves([net_of("none")] * 2, [0.1, 0.1], pictures, training, seed=0)
    wild = learning_curves([net_of("none")] * 2, [0.1, 1e6], pictures, training, seed=0)
    assert calm.shape == (2, 3)
    np.testing.assert_allclose(wild[0], calm[0])
    assert wild[1, -1] < 0.2 < calm[1, -1]
