"""Both passes of a random net, against autograd."""

import numpy as np
import torch
from torch.testing import assert_close

from trainwell.lab.signal.random_net import normal_weights, passes, tanh_slope


def test_both_passes_are_those_of_autograd():
    generator = torch.Generator().manual_seed(0)
    weights = [weight.double() for weight in normal_weights(12, 4, generator)]
    inputs, top = (torch.randn(5, 12, generator=generator, dtype=torch.float64) for _ in range(2))
    found = passes(weights, 0.3, inputs, top, torch.tanh, tanh_slope)
    leaves = [(0.3 * weight).requires_grad_() for weight in weights]
    signals = [inputs.clone().requires_grad_()]
    for leaf in leaves:
        signals.append(torch.tanh(signals[-1] @ leaf.T))
    gradients = torch.autograd.grad(signals[-1], [*signals[1:], *leaves], grad_outputs=top)
    norms = torch.stack([gradient.norm() for gradient in gradients])
    assert_close(torch.from_numpy(np.concatenate([found.signal_gradient, found.weight_gradient])), norms)
    assert_close(found.signals[-1], signals[-1].detach())
