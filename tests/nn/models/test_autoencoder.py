"""Autoencoders: parts, shapes, and PCA as what a linear one finds."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

import trainwell.nn as tn


def test_parts_are_sequences_of_blocks_that_begin_with_their_linear_layer():
    net = tn.autoencoder((1, 4, 4), widths=(12, 8), code=3, norm="batch", activation="maxout")
    sizes = [[(block[0].in_features, block[0].out_features) for block in part] for part in (net.encoder, net.decoder)]
    assert sizes == [[(16, 24), (12, 16), (8, 3)], [(3, 16), (8, 24), (12, 16)]]  # maxout: two pieces
    assert all(isinstance(part, nn.Sequential) for part in (net.encoder, *net.encoder, net.decoder, *net.decoder))
    assert len(net.encoder[-1]) == len(net.decoder[-1]) == 1  # code and output are linear


def test_forward_is_the_decoded_code():
    net = tn.Autoencoder((2, 3), widths=(5,), code=2)
    x = torch.randn(4, 2, 3)
    assert net.encode(x).shape == (4, 2)
    assert torch.equal(net(x), net.decoder(net.encoder(x.flatten(1))))
    assert torch.equal(net.reconstruct(x), net(x).view(4, 2, 3))
    assert tn.autoencoder((2, 3), 4, code=2)(x).shape == (4, 4)


def test_blocks_may_be_trained_one_after_the_other():
    net, x = tn.autoencoder((6,), widths=(8,), code=2), torch.randn(5, 6)
    assert net.encoder[:1](x).shape == (5, 8) and net.encoder[:2](x).shape == (5, 2)
    net.encoder[0].requires_grad_(False)
    net(x).sum().backward()
    assert net.encoder[0][0].weight.grad is None and net.encoder[1][0].weight.grad is not None


def minimum(net: nn.Module, x: torch.Tensor) -> float:
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=500, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), x)
        loss.backward()
        return loss

    optimizer.step(closure)
    return F.mse_loss(net(x), x).item()


def test_a_linear_one_reaches_the_error_of_pca_and_a_deep_one_goes_below():
    """What k principal components leave is the sum of the other squared singular values; a curve needs one number."""
    t = torch.linspace(-1, 1, 60, dtype=torch.float64)
    x = torch.stack((t, t**2, t**3, 0.5 * t), 1)
    x = x - x.mean(0)
    left = torch.linalg.svdvals(x)[1:].square().sum() / x.numel()
    linear = minimum(tn.autoencoder((4,), widths=(), code=1).double(), x)
    assert linear == pytest.approx(left.item(), rel=1e-6)
    deep = minimum(tn.autoencoder((4,), widths=(16,), code=1, activation="tanh").double(), x)
    assert deep < 0.1 * linear  # control: nonlinear layers leave PCA behind


def test_pre_activations_and_code_start_with_variance_one():
    net, x = tn.autoencoder((400,), widths=(400, 400), code=400), torch.randn(20, 400)
    for stop in (1, 2, 3):
        inside = nn.Sequential(*net.encoder[: stop - 1], net.encoder[stop - 1][0])(x)
        assert abs(inside.square().mean().item() - 1) < 4 * (5 * stop / 400) ** 0.5 / 2
    assert net.decoder[0][0](net.encode(x)).square().mean().item() == pytest.approx(1, abs=0.25)


def test_gradient():
    net = tn.autoencoder((3,), widths=(4,), code=2, activation="tanh").double()
    assert torch.autograd.gradcheck(net, (torch.randn(2, 3, dtype=torch.float64, requires_grad=True),))


def test_compiles_runs_in_bfloat16_and_comes_back_from_a_state():
    net, other = tn.autoencoder((1, 4, 4), code=2), tn.autoencoder((1, 4, 4), code=2)
    x = torch.randn(3, 1, 4, 4)
    assert_close(torch.compile(net, backend="aot_eager", fullgraph=True)(x), net(x))
    torch.compiler.reset()
    assert net.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    net.float()
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(x), net(x))


def test_trace_shows_all_parameters():
    net = tn.autoencoder((1, 4, 4))
    chain = tn.trace(net, torch.randn(2, 1, 4, 4))
    assert chain.incomplete == "" and chain.parameters == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("options,message", [({"code": 0}, "code=0"), ({"widths": (0,)}, "without units")])
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tn.autoencoder((3,), **options)
