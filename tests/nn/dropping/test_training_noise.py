import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.errors import InputError
from trainwell.nn import WeightNoise, gradient_noise_hook, weight_noise_hooks


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(dtype=torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)


def batch(seed: int, n: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    g = generator(seed)
    return torch.randn(n, 5, generator=g), torch.randint(0, 3, (n,), generator=g)


def weights(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in net.named_parameters()}


def loss_of(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(net(x), y)


def test_noise_has_the_size_of_the_weights_and_leaves_biases():
    layer = nn.Linear(300, 300)
    nn.init.normal_(layer.weight, std=0.02)
    before = weights(layer)
    with WeightNoise(layer, 0.1, generator()):
        noise = layer.weight.detach() - before["weight"]
        assert_close(noise.std() / before["weight"].square().mean().sqrt(), torch.tensor(0.1), rtol=0.02, atol=0)
        assert torch.equal(layer.bias, before["bias"])
    assert torch.equal(layer.weight, before["weight"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_weights_come_back_bit_for_bit(dtype):
    net = model(dtype)
    before = weights(net)
    for seed in range(5):
        with WeightNoise(net, 0.3, generator(seed)):
            assert not torch.equal(net[0].weight, before["0.weight"])
    assert all(torch.equal(before[name], p) for name, p in net.named_parameters())
    noise = torch.randn_like(net[0].weight)  # control: adding and subtracting does not bring them back
    assert not torch.equal((net[0].weight + noise) - noise, net[0].weight)


def test_hooks_step_from_the_clean_weights_with_the_gradient_of_the_noisy_ones():
    net, (x, y) = model(), batch(1)
    slow = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), 0.5)
    weight_noise_hooks(net, optimizer, 0.2, generator(3))
    loss_of(net, x, y).backward()
    optimizer.step()

    clean, g = weights(slow), generator(3)
    with torch.no_grad():
        for index in (0, 3):
            weight = slow[index].weight
            weight.add_(torch.randn(weight.shape, generator=g) * 0.2 * weight.square().mean().sqrt())
    loss_of(slow, x, y).backward()
    for name, parameter in slow.named_parameters():
        assert_close(dict(net.named_parameters())[name].detach(), clean[name] - 0.5 * parameter.grad)


def test_accumulated_pieces_see_the_same_noise():
    (x, y), gradients = batch(1), []
    for pieces in (1, 4):
        net = model().double()
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        noise = weight_noise_hooks(net, optimizer, 0.2, generator(3))
        for part, labels in zip(x.double().chunk(pieces), y.chunk(pieces), strict=True):
            (loss_of(net, part, labels) / pieces).backward()
        assert noise.active
        optimizer.step()
        assert not noise.active
        gradients.append([p.grad for p in net.parameters()])
    assert_close(*gradients)


def test_evaluation_and_saving_never_meet_noise():
    net, (x, _) = model(), batch(1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    noise = weight_noise_hooks(net, optimizer, 0.2, generator(3))
    before, expected = weights(net), net.eval()(x)
    noisy = net.train()(x)
    assert noise.active and not torch.equal(noisy, expected)
    assert torch.equal(net.eval()(x), expected)
    net.train()(x)
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in before)
    net.train()(x)
    noise.remove()
    assert torch.equal(net(x), expected) and all(torch.equal(before[n], p) for n, p in net.named_parameters())


def test_an_optimizer_that_computes_the_loss_is_refused():
    net = model()
    with pytest.raises(InputError, match="inside its step"):
        weight_noise_hooks(net, torch.optim.LBFGS(net.parameters()), 0.1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    weight_noise_hooks(net, optimizer, 0.1)
    optimizer.step(None)
    with pytest.raises(InputError, match="inside its step"):
        optimizer.step(lambda: loss_of(net, *batch(1)))


def test_gradient_noise_decays_as_the_paper_says():
    weight = nn.Parameter(torch.zeros(200, 200, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], 1.0)
    optimizer.register_step_pre_hook(gradient_noise_hook(0.3, generator=generator()))
    for step in range(12):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        expected = 0.3 / (1 + step) ** 0.275
        assert_close(weight.grad.std().item(), expected, rtol=4 / 80000**0.5, atol=0)
    assert optimizer.param_groups[0]["gradient_noise_step"] == 12


def test_gradient_noise_resumes_bit_for_bit():
    def run(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for number in steps:
            optimizer.zero_grad()
            loss_of(net, *batch(number)).backward()
            optimizer.step()

    def made(g: torch.Generator) -> tuple[nn.Module, torch.optim.Optimizer]:
        net = model()
        optimizer = torch.optim.AdamW(net.parameters(), 0.01)
        optimizer.register_step_pre_hook(gradient_noise_hook(0.1, generator=g))
        return net, optimizer

    g = generator(5)
    net, optimizer = made(g)
    run(net, optimizer, range(4))
    saved = copy.deepcopy((net.state_dict(), optimizer.state_dict(), g.get_state()))
    run(net, optimizer, range(4, 8))
    again = generator()
    second, its_optimizer = made(again)
    second.load_state_dict(saved[0])
    its_optimizer.load_state_dict(saved[1])
    again.set_state(saved[2])
    run(second, its_optimizer, range(4, 8))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("make", [lambda std: WeightNoise(model(), std), gradient_noise_hook])
def test_a_negative_or_infinite_std_is_refused(make):
    for std in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="no standard deviation"):
            make(std)
