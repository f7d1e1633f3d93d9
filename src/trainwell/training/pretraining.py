"""Pre-training without labels: each layer learns to reconstruct what it reads, or the whole body its input.

Layer by layer, from input to output. A layer reads x (the layers before it have been trained already), φ is the
activation behind it, x̃ is x with each entry set to 0 with probability ``noise``, V is the layer's weight W (``tied``)
or a matrix of its own that starts as W, and * is the layer's product (a convolution's with its own stride and padding):

    h = φ(W * x̃ + b),    x̂ = a Vᵀ * h + c,    minimize mean (x̂ − x)²  over W, b, a, c (and V)

The number a starts as the best one: without it a tied W would have to shrink until WᵀW reconstructs, and the forward
signal with it. Then the weights stay, and V, a and c are thrown away.

The whole: z are the features that the head reads, and a linear decoder reconstructs the prepared input from them; all
of the body but the head is trained, by the same loss. Losses are shares of the batch's variance around its mean: 1 is
no better than the mean, 0 is perfect.

Sources: Bengio et al. 2006, "Greedy Layer-Wise Training of Deep Networks"; Hinton & Salakhutdinov 2006, "Reducing the
Dimensionality of Data with Neural Networks"; Vincent et al. 2010 (denoising, masking noise, tied weights, §3); Masci
et al. 2011 (convolutions); deck K, initialization by pre-training.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.nn import Predictor, trace
from trainwell.training.batches import as_tensors, mapped, moved
from trainwell.training.modes import evaluating
from trainwell.training.pretrainable import Plan, Target, plan
from trainwell.training.program import leaves
from trainwell.training.reconstruction import along, best_line, decode

KINDS = ("layers", "whole")
LARGEST_DECODER = 2**26
"""Entries of the whole autoencoder's linear decoder: 256 MiB in float32, three times that with Adam's moments."""


@dataclass(frozen=True)
class PretrainedLayer:
    """How one layer (or the whole) learned to reconstruct what it reads.

    Attributes:
        path: of the layer; ``whole`` for the whole autoencoder.
        before: share of the variance that is not reconstructed, with the weights as they were.
        losses: the same, as a mean over each epoch.
    """

    path: str
    before: float
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Pretrained:
    """What :func:`pretrain_` did.

    Attributes:
        layers: in the order of training.
        left: path → why, for the layers that were not trained.
    """

    layers: tuple[PretrainedLayer, ...]
    left: dict[str, str]

    def __str__(self) -> str:
        rows = [f"{layer.path:>24}  {layer.before:8.3f} → {layer.losses[-1]:.3f}" for layer in self.layers]
        return "\n".join(["not reconstructed, share of the variance", *rows, *map(": ".join, self.left.items())])


def pretrain_(
    model: nn.Module,
    X: Any,
    *,
    kind: str = "layers",
    epochs: int = 10,
    lr: float = 1e-3,
    batch_size: int = 128,
    noise: float = 0.0,
    tied: bool = True,
    generator: torch.Generator | None = None,
    tell: Callable[[str, float], Any] | None = None,
) -> Pretrained:
    """Pre-train the layers of a model in place, without labels, by Adam.

    Layer by layer, linear layers and convolutions but the head are trained; other weights, buffers, modes and gradients
    stay. The layers below run without dropout, with norms on the batch's moments. Activations are computed batch by
    batch and never kept, so memory is that of a training step; a layer's cost grows with its depth.

    Args:
        model: a ``Predictor``, a plain ``nn.Sequential``, or any module that ``nn.trace`` can follow.
        X: training inputs: a tensor or array, or a tuple or dict of them; labels are not looked at.
        kind: ``layers``, or ``whole`` for one autoencoder from the input to the features before the head.
        epochs: passes over X for each layer, at least 1.
        lr: Adam's rate, above 0. 1e-3 is Adam's own default (Kingma & Ba 2015).
        batch_size: rows a step, at least 2.
        noise: share of a layer's inputs set to 0 while the clean ones are to be reconstructed, in [0, 1).
        tied: let a layer's decoder use the layer's own weight, transposed.
        generator: source of all randomness, on the CPU; a fresh one with seed 0 if None.
        tell: is told what is done, as (text, share), like ``Teller.stage``.

    Raises:
        ValueError: if a setting is out of range, or no layer can be pre-trained (an InputError, naming why).

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> [layer.path for layer in pretrain_(net, torch.randn(32, 4), epochs=1, batch_size=8).layers]
        ['0']
    """
    _check(kind, epochs, lr, batch_size, noise)
    generator = generator if generator is not None else torch.Generator().manual_seed(0)
    model = getattr(model, "_orig_mod", model)
    rows = _Rows(X, batch_size, generator, next(model.parameters()).device)
    found = plan(model, trace(model, rows.first(2)))
    if not found.targets:
        raise InputError(
            f"pretrain_: no layer can be pre-trained ({'; '.join(map(': '.join, found.left.items())) or 'no layers'}).",
            "Leave the pre-training out, or use a model with linear layers or convolutions before its head.",
        )
    jobs = found.targets if kind == "layers" else [None]
    done = []
    for place, target in enumerate(jobs):
        name = target.path if target is not None else "whole"

        def progress(share: float, place: int = place, name: str = name) -> None:
            if tell is not None:
                tell(f"pre-training {name}", (place + share) / len(jobs))

        if target is not None:
            losses = _train_layer(model, target, rows, epochs, lr, noise, tied, progress)
        else:
            losses = _train_whole(model, found, rows, epochs, lr, noise, progress)
        done.append(PretrainedLayer(name, losses[0], tuple(losses[1:])))
    return Pretrained(tuple(done), found.left)


def _check(kind: str, epochs: int, lr: float, batch_size: int, noise: float) -> None:
    if kind not in KINDS:
        raise ValueError(f"pretrain_: kind={kind!r}. Use one of {', '.join(KINDS)}.")
    if epochs < 1 or batch_size < 2 or not 0 < lr < math.inf:
        raise ValueError(
            f"pretrain_: epochs={epochs}, batch_size={batch_size}, lr={lr}. Give epochs ≥ 1, batch_size ≥ 2, lr > 0."
        )
    if not 0 <= noise < 1:
        raise ValueError(f"pretrain_: noise={noise} must lie in [0, 1).")


class _Rows:
    """Shuffled batches of X, gathered one at a time."""

    def __init__(self, X: Any, batch_size: int, generator: torch.Generator, device: torch.device) -> None:
        self.X = as_tensors(X)
        self.n = len(leaves(self.X)[0])
        if self.n < 2:
            raise ValueError(f"pretrain_: X has {self.n} rows. Give at least 2.")
        self.batch_size, self.generator, self.device = batch_size, generator, device

    def first(self, n: int) -> Any:
        return moved(mapped(self.X, lambda t: t[:n].clone()), self.device)

    def epoch(self) -> Iterator[Any]:
        """Batches of one pass; a leftover row alone is dropped."""
        for index in torch.randperm(self.n, generator=self.generator).split(self.batch_size):
            if len(index) > 1:
                yield moved(mapped(self.X, lambda t, index=index: t.index_select(0, index)), self.device)

    def masked(self, x: Tensor, noise: float) -> Tensor:
        """x with each entry set to 0 with probability ``noise``."""
        if not noise:
            return x
        kept = torch.rand(x.shape, generator=self.generator) >= noise
        return x * kept.to(x.device)


class _Reached(Exception):
    """Ends a forward pass at the module whose input is wanted."""


def _input_of(model: nn.Module, module: nn.Module, batch: Any) -> Tensor:
    """What ``module`` reads when the model runs on the batch; what comes behind it does not run."""
    caught: list[Tensor] = []

    def stop(_: nn.Module, args: tuple[Any, ...]) -> None:
        caught.append(args[0])
        raise _Reached

    handle = module.register_forward_pre_hook(stop)
    try:
        model(batch)
    except _Reached:
        pass
    finally:
        handle.remove()
    return caught[0]


def _train_layer(
    model: nn.Module,
    target: Target,
    rows: _Rows,
    epochs: int,
    lr: float,
    noise: float,
    tied: bool,
    tell: Callable[[float], None],
) -> list[float]:
    layer: Any = target.module
    with evaluating(model), _batch_norms(target.below):

        def read(batch: Any) -> Tensor:
            with torch.no_grad():
                return _input_of(model, layer, batch).detach()

        first = read(rows.first(rows.batch_size))
        decoder = layer.weight if tied else layer.weight.detach().clone().requires_grad_()
        with torch.no_grad():
            scale, bias = best_line(layer, decode(layer, decoder, target.activation(layer(first)), first.shape), first)
        scale.requires_grad_()
        bias.requires_grad_()
        parameters = [p for p in (layer.weight, layer.bias) if p is not None and p.requires_grad]
        parameters += [bias, scale] if tied else [bias, scale, decoder]

        def loss(batch: Any) -> tuple[Tensor, Tensor]:
            x = read(batch)
            hidden = target.activation(layer(rows.masked(x, noise)))
            back = scale * decode(layer, decoder, hidden, x.shape) + along(layer, bias, x)
            return (back - x).square().mean(), _variance(x)

        return _minimize(parameters, loss, rows, epochs, lr, tell)


def _train_whole(
    model: nn.Module, found: Plan, rows: _Rows, epochs: int, lr: float, noise: float, tell: Callable[[float], None]
) -> list[float]:
    body: nn.Module = model.body if isinstance(model, Predictor) else model
    head = model.get_submodule(found.head)
    modes = [(module, module.training) for module in model.modules()]

    def prepared(batch: Any) -> Tensor:
        with torch.no_grad():
            return model.prepare(batch) if isinstance(model, Predictor) else batch.float()

    with evaluating(model), torch.no_grad():
        x = prepared(rows.first(2))
        features, inputs = _input_of(body, head, x)[0].numel(), x[0].numel()
    if features * inputs > LARGEST_DECODER:
        raise ValueError(
            f"pretrain_: a linear decoder from {features} features to {inputs} inputs has more than {LARGEST_DECODER} "
            "weights. Use kind='layers' or smaller inputs."
        )
    own = {id(p) for p in head.parameters()}
    devices = [rows.device] if rows.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(torch.randint(2**31, (), generator=rows.generator)))
        decoder = nn.Linear(features, inputs, device=rows.device, dtype=x.dtype)
        parameters = [p for p in body.parameters() if p.requires_grad and id(p) not in own]

        def loss(batch: Any) -> tuple[Tensor, Tensor]:
            x = prepared(batch)
            z = _input_of(body, head, rows.masked(x, noise)).flatten(1)
            return (decoder(z) - x.flatten(1)).square().mean(), _variance(x)

        body.train()
        try:
            return _minimize([*parameters, *decoder.parameters()], loss, rows, epochs, lr, tell)
        finally:
            for module, mode in modes:
                module.training = mode


def _minimize(
    parameters: list[Any],
    loss: Callable[[Any], tuple[Tensor, Tensor]],
    rows: _Rows,
    epochs: int,
    lr: float,
    tell: Callable[[float], None],
) -> list[float]:
    """Shares of the variance before training and in each epoch; gradients are left as they were."""
    grads = [p.grad for p in parameters]
    optimizer = torch.optim.Adam(parameters, lr=lr)
    with torch.no_grad():
        error, variance = loss(rows.first(rows.batch_size))
        shares = [float(error / variance)]
    for epoch in range(epochs):
        errors = variances = torch.zeros((), device=rows.device)
        for batch in rows.epoch():
            with torch.enable_grad():
                error, variance = loss(batch)
            found = torch.autograd.grad(error, parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter.grad = gradient
            optimizer.step()
            errors, variances = (
                errors + error.detach() * len(leaves(batch)[0]),
                variances + variance * len(leaves(batch)[0]),
            )
        shares.append(float(errors / variances))
        tell((epoch + 1) / epochs)
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = grad
    return shares


def _variance(x: Tensor) -> Tensor:
    """Mean over all entries of the variance over the batch; never 0."""
    return x.detach().var(0, correction=0).mean().clamp_min(torch.finfo(x.dtype).tiny)


@contextmanager
def _batch_norms(norms: list[nn.Module]) -> Iterator[None]:
    """Let these norms use the batch's moments, and put their running ones back afterwards."""
    kept = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    for norm in norms:
        norm.train()
    try:
        yield
    finally:
        for buffer, before in kept:
            buffer.copy_(before)
