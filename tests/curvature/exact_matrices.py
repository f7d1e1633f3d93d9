"""Tiny networks in float64 and their exact matrices, by ``torch.func`` and explicit loops."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

DOUBLE = torch.float64


def small_net(outputs: int = 3, activation: type[nn.Module] = nn.Tanh, seed: int = 0) -> nn.Module:
    """4 → 5 → outputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 5), activation(), nn.Linear(5, outputs)).to(DOUBLE)


def inputs(samples: int = 12, seed: int = 1) -> Tensor:
    return torch.randn(samples, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def labels(samples: int = 12, classes: int = 3, seed: int = 2) -> Tensor:
    return torch.randint(classes, (samples,), generator=torch.Generator().manual_seed(seed))


def values(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def function_of_flat(model: nn.Module, x: Tensor):
    """w (n,) ↦ the model's outputs."""
    names, params = zip(*model.named_parameters(), strict=True)
    sizes = [p.numel() for p in params]

    def outputs(w: Tensor) -> Tensor:
        parts = [part.view(p.shape) for part, p in zip(w.split(sizes), params, strict=True)]
        return functional_call(model, dict(zip(names, parts, strict=True)), (x,))

    return outputs


def second(function):
    """The Hessian by two reverse passes (``torch.func.hessian`` warns about jit in this torch)."""
    return torch.func.jacrev(torch.func.jacrev(function))


def exact_hessian(model: nn.Module, loss, x: Tensor, y: Tensor) -> Tensor:
    outputs = function_of_flat(model, x)
    return second(lambda w: loss(outputs(w), y))(flat(model)).detach()


def jacobian(model: nn.Module, x: Tensor) -> Tensor:
    """(samples, outputs, n)."""
    return torch.func.jacrev(function_of_flat(model, x))(flat(model)).detach()


def exact_ggn(model: nn.Module, loss, x: Tensor, y: Tensor) -> Tensor:
    """Σ_n J_nᵀ Λ_n J_n / N, one sample at a time."""
    j, total = jacobian(model, x), 0.0
    z = model(x).detach()
    for n in range(len(x)):
        total = total + j[n].T @ second(lambda out, n=n: loss(out[None], y[n : n + 1]))(z[n]) @ j[n]
    return total / len(x)


def sample_gradients(model: nn.Module, loss, x: Tensor, y: Tensor) -> Tensor:
    """(samples, n): the gradient of each sample's own loss."""
    rows = []
    for n in range(len(x)):
        parts = torch.autograd.grad(loss(model(x[n : n + 1]), y[n : n + 1]), list(model.parameters()))
        rows.append(torch.cat([g.reshape(-1) for g in parts]))
    return torch.stack(rows)
