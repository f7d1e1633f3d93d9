"""Cures of the inputs, put into the model: later predictions then need no change of their data."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.features import Features
from trainwell.clinic.shaping import Filled
from trainwell.nn.predictor import Predictor
from trainwell.nn.scaled_input import AffineInput, LinearInput
from trainwell.training.program import Program


@dataclass(frozen=True)
class OfBody:
    """Makes an optimizer over the part of a model that was the whole of it before it was wrapped."""

    make: Any
    takes_model = True

    def __call__(self, model: Any) -> torch.optim.Optimizer:
        body = getattr(model, "body", model)
        if getattr(self.make, "takes_model", False):
            made: torch.optim.Optimizer = self.make(body)
        else:
            made = self.make(body.parameters() if isinstance(body, nn.Module) else body)
        return made


def before(prepare: nn.Module, name: str, source: str) -> Cure:
    """Let the inputs run through ``prepare`` first, behind other preparations; ``source`` is what the user writes."""

    def apply(program: Program) -> Program:
        inner = program.model
        while isinstance(inner, Predictor) and isinstance(inner.body, Predictor):
            inner = inner.body
        if isinstance(inner, Predictor):
            inner.prepare = nn.Sequential(inner.prepare, prepare)
            return program
        model = Predictor(prepare, program.model)
        model.train(program.model.training)
        return replace(program, model=model, optimizer=OfBody(program.optimizer))

    return Cure(name, (Change("model", "model", source),), apply)


def after(restore: nn.Module, name: str, source: str) -> Cure:
    """Let the model's output run through ``restore``."""

    def apply(program: Program) -> Program:
        model = Predictor(nn.Identity(), program.model, restore)
        model.train(program.model.training)
        return replace(program, model=model, optimizer=OfBody(program.optimizer))

    return Cure(name, (Change("model", "model", source),), apply)


def standardize(features: Features) -> Cure:
    """(x − mean) / std by feature; features that do not vary are only centred."""
    std = torch.where(features.varying, features.std, torch.ones_like(features.std))
    shape = _broadcast(features)
    prepare = AffineInput(features.mean.reshape(shape).numpy(), (1 / std).reshape(shape).numpy(), features.x.shape[1:])
    source = "nn.Sequential(trainwell.nn.AffineInput(mean, 1 / std, shape), model)"
    return before(_placed(prepare, features), "standardize the inputs inside the model", source)


def mute(features: Features, which: Tensor) -> Cure:
    """These features are 0 for the net, whatever their value; ``which`` has shape (features,)."""
    shape = _broadcast(features)
    scale = (~which).double().reshape(shape).numpy()
    prepare = AffineInput(np.zeros(shape), scale, features.x.shape[1:])
    source = "nn.Sequential(trainwell.nn.AffineInput(0, keep, shape), model)  # keep: 0 for those features, else 1"
    return before(
        _placed(prepare, features), f"leave out {int(which.sum())} constant features inside the model", source
    )


def rescale(features: Features) -> Cure:
    """One number for all features: subtract the mean of all and divide by the standard deviation of all."""
    mean, std = float(features.mean.mean()), float((features.level**2 - float(features.mean.mean()) ** 2) ** 0.5)
    shape = _broadcast(features)
    prepare = AffineInput(np.full(shape, mean), np.full(shape, 1 / std), features.x.shape[1:])
    source = f"nn.Sequential(trainwell.nn.AffineInput({mean:.4g}, {1 / std:.4g}, shape), model)"
    return before(_placed(prepare, features), "scale the inputs inside the model", source)


def fill_in(features: Features) -> Cure:
    """The feature's mean in place of what is not finite."""
    fill = features.mean.reshape(_broadcast(features)).to(features.x.dtype)
    source = "nn.Sequential(FillIn(mean), model)  # torch.where(x.isfinite(), x, mean)"
    return before(_placed(Filled(fill), features), "fill missing inputs in with the mean of their feature", source)


def whiten(features: Features, matrix: Tensor) -> Cure:
    """y = W (x − μ)."""
    prepare = LinearInput(features.mean.numpy(), matrix.numpy(), features.x.shape[1:])
    source = "nn.Sequential(trainwell.nn.LinearInput(mean, whitening, shape), model)"
    return before(_placed(prepare, features), "whiten the inputs inside the model", source)


def _broadcast(features: Features) -> tuple[int, ...]:
    return tuple(features.x.shape[i] if i == features.axis else 1 for i in range(1, features.x.dim()))


def _placed(module: nn.Module, features: Features) -> nn.Module:
    return module.to(features.x.device)
