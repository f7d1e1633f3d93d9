import pytest
import torch
from torch import nn

from trainwell.objectives import Attack, Objective, robust_accuracy, robust_curve


def rings(n=240):
    """Two classes, well apart in x₀ and noisy in ten other inputs."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 2
    x = 0.3 * torch.randn(n, 11, generator=generator)
    x[:, 0] += 2.0 * y - 1
    return x, y


def trained(objective=None, steps=150):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(11, 32), nn.ReLU(), nn.Linear(32, 2))
    x, y = rings()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        (objective or Objective())(net, x, y, nn.CrossEntropyLoss()).backward()
        optimizer.step()
    return net


def batches():
    x, y = rings()
    return [(x[:100], y[:100]), (x[100:], y[100:])]


def test_of_a_linear_model_it_is_counted_by_the_margins():
    net = nn.Linear(11, 2)
    x, y = rings()
    w = (net.weight[1] - net.weight[0]).detach()
    margin = (2 * y - 1) * (x @ w + (net.bias[1] - net.bias[0]).detach())
    for name, norm in (("fgsm", 1), ("pgd_linf", 1), ("pgd_l2", 2)):
        found = robust_accuracy(net, batches(), Attack(name, 0.2, steps=40))
        assert found.samples == 240 and found.clean == pytest.approx(float((margin > 0).float().mean()))
        assert found.robust == pytest.approx(float((margin > 0.2 * w.norm(norm)).float().mean()), abs=1 / 240)
        if name != "fgsm":  # one full step in the attack's own norm is the best there is
            assert found.fgsm == pytest.approx(found.robust, abs=1 / 240)
        assert found.rising > 0.95 and found.warning == "" and found.loss_path[-1] > found.loss_path[0]
        assert len(found.loss_path) == (3 if name == "fgsm" else 42)


def test_stronger_attacks_are_never_weaker():
    net = trained(steps=60)
    attacks = [Attack("pgd_linf", radius, steps) for radius, steps in ((0.05, 2), (0.1, 5), (0.3, 5), (0.3, 10))]
    found = robust_curve(net, batches(), attacks)
    robust = [result.robust for result in found]
    assert robust == sorted(robust, reverse=True) and robust[-1] < robust[0] <= found[0].clean
    assert all(result.robust <= min(result.attacked, result.fgsm) <= result.clean for result in found)


def test_adversarial_training_is_more_robust_than_clean_training():
    attack = Attack("pgd_linf", 0.3, 5)
    plain, hardened = (robust_accuracy(trained(o), batches(), attack) for o in (None, Objective(attack=attack)))
    assert plain.clean > 0.95 and hardened.clean > 0.9
    assert hardened.robust > plain.robust + 0.02


def test_masked_gradients_are_told():
    x = 0.05 + torch.zeros(50, 1)
    y = torch.ones(50, dtype=torch.long)
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="one step of the same radius only"):
        found = robust_accuracy(Trap(), [(x, y)], Attack("pgd_linf", 1.0, 3, step=0.05, random_start=False))
    assert found.fgsm < found.attacked and found.robust == found.fgsm and found.warning
    assert robust_accuracy(nn.Linear(1, 2), [(x, y)], Attack("pgd_linf", 1.0, 3)).warning == ""  # control


class Trap(nn.Module):
    """Right for |x| < 0.5, with a hill of loss at 0.15 that small steps climb and do not leave."""

    def forward(self, x):
        s = x[:, 0]
        score = 1 - 0.2 * torch.exp(-((s - 0.15) ** 2) / 0.01) - 4 * torch.relu(s.abs() - 0.5)
        return torch.stack([torch.zeros_like(s), score], 1)


def test_the_model_is_left_as_it_was():
    net = nn.Sequential(nn.Linear(11, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    robust_accuracy(net, batches(), Attack("pgd_l2", 0.1, 2))
    assert net.training and net[1].training and all(p.grad is None for p in net.parameters())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_errors():
    net = nn.Linear(11, 2)
    with pytest.raises(ValueError, match="there are no samples"):
        robust_accuracy(net, [], Attack())
    with pytest.raises(ValueError, match="not targeted"):
        robust_accuracy(net, batches(), Attack(targeted=True))
    with pytest.raises(ValueError, match=r"radii are \[0\.2, 0\.1\]"):
        robust_curve(net, batches(), [Attack(radius=0.2), Attack(radius=0.1)])
    with pytest.raises(ValueError, match=r"the model gave \(100, 1\)"):
        robust_accuracy(nn.Linear(11, 1), batches(), Attack())
