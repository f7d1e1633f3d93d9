import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import Wasserstein1D, critic_loss, gradient_penalty


def test_it_is_the_difference_of_means_and_the_penalty():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    real, fake = torch.randn(2, 6, 2, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    found = critic_loss(critic, real, fake, 3.0, generator)
    penalty = gradient_penalty(critic, real, fake, generator=torch.Generator().manual_seed(1))
    assert_close(found, critic(fake).mean() - critic(real).mean() + 3 * penalty)
    assert float(critic_loss(critic, real[:0], fake[:0]).detach()) == 0
    fake.requires_grad_()
    critic_loss(critic, real, fake).backward()
    assert fake.grad is None and critic[0].weight.grad.abs().sum() > 0


def test_the_best_linear_critic_has_slope_one_and_mu_over_two_lambda():
    critic = nn.Linear(1, 1, bias=False).double()
    real, fake = torch.full((4, 1), 1.5, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    nn.init.constant_(critic.weight, 0.5)
    for strength in (10.0, 2.0):
        optimizer = torch.optim.SGD(critic.parameters(), lr=0.1 / strength)
        for _ in range(200):
            optimizer.zero_grad()
            critic_loss(critic, real, fake, strength).backward()
            optimizer.step()
        assert float(critic.weight.detach()) == pytest.approx(1 + 1.5 / (2 * strength), rel=1e-9)


def test_on_a_line_a_critic_of_the_wrong_sign_stays_so():
    critic = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(critic.weight, -0.5)
    for _ in range(200):
        critic.weight.grad = None
        critic_loss(critic, torch.ones(4, 1).double(), torch.zeros(4, 1).double()).backward()
        torch.optim.SGD(critic.parameters(), lr=0.01).step()
    assert float(critic.weight.detach()) == pytest.approx(-1 + 1 / 20, rel=1e-6)


def estimate(strength, mu=1.0, steps=150):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.02, betas=(0.5, 0.9))
    generator = torch.Generator().manual_seed(0)
    shift = torch.tensor([mu, 0.0])  # a shift moves every sample by μ: W₁ = |μ| in any dimension
    for _ in range(steps):
        real = shift + torch.randn(128, 2, generator=generator)
        fake = torch.randn(128, 2, generator=generator)
        optimizer.zero_grad()
        critic_loss(critic, real, fake, strength, generator).backward()
        optimizer.step()
    real, fake = shift + torch.randn(20_000, 2, generator=generator), torch.randn(20_000, 2, generator=generator)
    with torch.no_grad():
        return float(critic(real).mean() - critic(fake).mean()), float(Wasserstein1D()(real[:, 0], fake[:, 0]))


def test_a_small_critic_attains_the_distance_of_two_shifted_gaussians():
    found, exact = estimate(10.0)
    assert exact == pytest.approx(1, abs=0.04)  # four standard errors, √(2/20000) each
    assert found == pytest.approx(1.05, abs=0.08)  # μ/(2λ) too large
    loose, _ = estimate(0.01, steps=60)
    assert loose > 2  # control: without the penalty's weight the slope is free


def test_errors():
    with pytest.raises(ValueError, match="strength is -1"):
        critic_loss(nn.Linear(1, 1), torch.zeros(2, 1), torch.zeros(2, 1), -1)
    with pytest.raises(ValueError, match="no pairs"):
        critic_loss(nn.Linear(1, 1), torch.zeros(2, 1), torch.zeros(3, 1))
