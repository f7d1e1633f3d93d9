"""What a recipe adds to the loss and to the optimizer's steps: penalties, mixing, attacks, noise, constraints."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from trainwell.data import Dataset
from trainwell.data.augment import Mixing
from trainwell.errors import InputError
from trainwell.nn.dropping.noise import gradient_noise_hook, weight_noise_hooks
from trainwell.objectives import PENALTIES, Attack, Objective, constrain_, constraint_hook, proximal_hook
from trainwell.training.recipe import Recipe


def objective_of(recipe: Recipe, dataset: Dataset, fitted: Any) -> Objective | None:
    """The objective that the recipe asks for; None where it is the loss alone.

    Args:
        recipe: its sections ``regularization`` and ``augmentation`` are read.
        dataset: whose kind and classes matter.
        fitted: ``data.statistics``; an attack on numbers is measured in their standard deviations.

    Raises:
        InputError: for noise on labels that are no classes.
    """
    section = recipe.regularization
    classes = len(dataset.classes) if dataset.task in ("classification", "binary") else 0
    if section.label_noise and not classes:
        raise InputError(
            f"regularization.label_noise is {section.label_noise}, but the task is {dataset.task}.",
            "Label noise needs classes; leave it out.",
        )
    made = Objective(
        mix=mixing_of(recipe, dataset.kind),
        attack=attack_of(recipe, dataset.kind, fitted),
        penalties=tuple(make(getattr(section, name)) for name, make in PENALTIES.items() if getattr(section, name)),
        label_noise=section.label_noise,
        classes=classes,
    )
    return None if made == Objective(classes=classes) else made


def mixing_of(recipe: Recipe, kind: str) -> Mixing | None:
    """Mixing of samples, or None.

    Raises:
        InputError: for CutMix on data that are no images.
    """
    section = recipe.augmentation
    if not section.mixup and not section.cutmix:
        return None
    if section.cutmix and kind != "image":
        raise InputError(f"augmentation.cutmix needs images, these data are of the kind {kind}.", "Use mixup.")
    return Mixing(section.mixup, section.cutmix)


def attack_of(recipe: Recipe, kind: str, fitted: Any) -> Attack | None:
    """The attack of adversarial training, or None; on numbers its radius is in standard deviations."""
    section = recipe.regularization
    if section.attack == "none":
        return None
    made = Attack(section.attack, radius=section.radius, steps=section.attack_steps)
    if kind == "image":
        return replace(made, range=(0.0, 255.0))
    return replace(made, unit=torch.as_tensor(fitted.std, dtype=torch.float32))


def hook_up(recipe: Recipe, model: nn.Module, optimizer: Optimizer) -> None:
    """Let the optimizer's steps keep the constraint, end in the proximal map, and carry noise."""
    section = recipe.regularization
    if section.constraint != "none":
        constrain_(model, section.constraint, section.limit)
        optimizer.register_step_post_hook(constraint_hook(model, section.constraint, section.limit))
    if section.proximal != "none":
        optimizer.register_step_post_hook(proximal_hook(model, section.proximal, section.proximal_strength))
    if section.gradient_noise:
        optimizer.register_step_pre_hook(gradient_noise_hook(section.gradient_noise))
    if section.weight_noise:
        weight_noise_hooks(model, optimizer, section.weight_noise)
