"""Every name of every table trains: 20 steps from a recipe that names it, with finite losses and weights that move."""

import numpy as np
import pytest
import torch
from small_programs import weights
from small_recipes import FAST

from trainwell.data import SCALINGS, from_arrays
from trainwell.errors import InputError
from trainwell.init import SCHEMES
from trainwell.nn import ACTIVATIONS, BLOCKS, MODELS, NORMS, PARAMETRIZATIONS, SHORTCUTS
from trainwell.nn.dropping.dropout_choice import KINDS
from trainwell.objectives import ATTACKS, CONSTRAINTS, LOSSES, PENALTIES, PROXIMAL
from trainwell.optim import METHODS
from trainwell.optim.scheduling.schedules import SCHEDULES
from trainwell.training import Recipe
from trainwell.training.build import build_program
from trainwell.training.defaults import resolve
from trainwell.training.fitting import fit
from trainwell.training.jobs import running

STEPS = 20
SMALL = {  # options that make a model small enough for a quick test
    "resnet18": ["model.width=4"],
    "resnet50": ["model.width=4"],
    "resnet56": ["model.width=4"],
    "plain56": ["model.width=4"],
    "vgg": ["model.width=4"],
    "vanilla_cnn": ["model.depth=8", "model.width=8"],
    "transformer": ["model.width=16", "model.heads=2"],
}
SEQUENCES = ("rnn", "gru", "lstm", "transformer")
IMAGES = ("cnn", "lenet5", "vgg", "vanilla_cnn", "plain20", "plain56", "resnet18", "resnet20", "resnet50", "resnet56")


def rows(task="classification", n=60):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 6)).astype(np.float32)
    y = {
        "classification": lambda: np.arange(n) % 3,
        "binary": lambda: np.arange(n) % 2,
        "regression": lambda: x[:, 0] + 0.1 * rng.standard_normal(n),
        "multilabel": lambda: rng.integers(0, 2, (n, 4)).astype(np.float32),
    }[task]()
    return from_arrays(x, y, task=task)


def pictures(side=16, n=60):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    return from_arrays(x, np.arange(n) % 3, task="classification")


def sequences(n=60):
    rng = np.random.default_rng(0)
    return from_arrays(rng.standard_normal((n, 7, 3)).astype(np.float32), np.arange(n) % 2)


def assert_trains(dataset, *changes):
    """20 steps as the recipe says, of a narrow mlp where no model is named."""
    settings = [setting for setting in FAST if not setting.startswith("model.")]
    small = [] if any(change.startswith("model.name=") for change in changes) else ["model.name=mlp", "model.width=16"]
    batches = -(-len(dataset.splits.train) // 8)
    steps = ["training.batch_size=8", f"training.epochs={-(-STEPS // batches)}", "training.log_every=1"]
    recipe = resolve(Recipe().override([*settings, *small, *steps, "optimizer.lr=0.002", *changes]), dataset)
    program = build_program(recipe, dataset)
    before, losses = weights(program.model), []

    def keep(event, state):
        if event == "step_end":
            losses.append(float(state.loss))

    fit(program, training=running(recipe), callbacks=[keep])
    assert len(losses) >= STEPS and np.isfinite(losses).all()
    after = weights(program.model)
    assert torch.isfinite(after).all() and not torch.equal(before, after)


@pytest.mark.parametrize("name", MODELS)
def test_model(name):
    dataset = sequences() if name in SEQUENCES else pictures() if name in IMAGES else rows()
    assert_trains(dataset, f"model.name={name}", *SMALL.get(name, []))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    assert_trains(rows(), f"model.activation={name}")


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_norm(name, model):
    if name == "sync":
        pytest.skip("synchronized norms need a GPU and a process group")
    if model == "mlp" and name == "instance":
        pytest.skip("one value per channel has no variance within a sample")
    changes = [f"model.norm={name}", f"model.name={model}", "model.width=8"]
    assert_trains(rows() if model == "mlp" else pictures(8), *changes)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_parametrization(name):
    assert_trains(rows(), f"model.parametrization={name}")


@pytest.mark.parametrize("name", ["model", "lsuv", *SCHEMES])
def test_initialization(name):
    assert_trains(rows(), f"init.scheme={name}", "model.name=plain_mlp")


def test_pretraining():
    assert_trains(rows(), "init.pretrain=1", "model.name=plain_mlp")


@pytest.mark.parametrize("name", BLOCKS)
def test_block(name):
    assert_trains(pictures(8), "model.name=resnet18", "model.width=4", f"model.block={name}")


@pytest.mark.parametrize("name", [name for name in SHORTCUTS if name != "identity"])
def test_shortcut(name):
    assert_trains(pictures(8), "model.name=resnet20", "model.width=4", f"model.shortcut={name}")


def test_identity_shortcut_where_a_stage_changes_shape_is_refused():
    with pytest.raises(InputError, match="identity"):
        assert_trains(pictures(8), "model.name=resnet20", "model.shortcut=identity")


@pytest.mark.parametrize("option", ["stochastic_depth=0.3", "squeeze_excite=true"])
def test_residual_option(option):
    assert_trains(pictures(8), "model.name=resnet20", "model.width=4", f"model.{option}")


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    assert_trains(rows(LOSSES[name][0]), f"loss.name={name}", "loss.label_smoothing=0")


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty(name):
    assert_trains(rows(), f"regularization.{name}=0.001")


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraint(name):
    assert_trains(rows(), f"regularization.constraint={name}")


@pytest.mark.parametrize("name", PROXIMAL)
def test_proximal_map(name):
    assert_trains(rows(), f"regularization.proximal={name}")


@pytest.mark.parametrize("name", KINDS)
def test_dropout(name):
    data = pictures(8) if name == "spatial" else rows()
    assert_trains(
        data,
        f"regularization.dropout={name}",
        "model.dropout=0.3",
        f"model.name={'cnn' if name == 'spatial' else 'mlp'}",
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name):
    assert_trains(rows(), f"regularization.attack={name}", "regularization.radius=0.1", "regularization.attack_steps=2")


@pytest.mark.parametrize("option", ["weight_noise=0.05", "gradient_noise=0.1", "label_noise=0.1"])
def test_noise(option):
    assert_trains(rows(), f"regularization.{option}")


IMAGE_OPTIONS = {
    "flip": "true",
    "pad": 1,
    "cutout": 3,
    "shift": 0.1,
    "rotate": 10,
    "scale": 0.1,
    "shear": 0.1,
    "translate": 0.1,
    "brightness": 0.2,
    "contrast": 0.2,
    "saturation": 0.2,
    "hue": 0.1,
    "gray": 0.2,
    "noise": 5,
    "salt_pepper": 0.02,
    "erase": 0.3,
    "policy_count": 2,
    "mixup": 0.4,
    "cutmix": 1.0,
    "test_time": "true",
}


@pytest.mark.parametrize("option", IMAGE_OPTIONS)
def test_image_augmentation(option):
    assert_trains(pictures(8), "model.name=cnn", "model.width=8", f"augmentation.{option}={IMAGE_OPTIONS[option]}")


@pytest.mark.parametrize("option", ["swap=0.1", "noise=0.1", "mixup=0.4"])
def test_table_augmentation(option):
    assert_trains(rows(), f"augmentation.{option}")


@pytest.mark.parametrize("option", ["jitter=0.1", "scale=0.1", "crop=0.2", "mask=0.2", "shift=0.2"])
def test_sequence_augmentation(option):
    assert_trains(sequences(), f"augmentation.{option}")


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("kind", ["rows", "pictures", "sequences"])
def test_scaling(name, kind):
    dataset = {"rows": rows, "pictures": lambda: pictures(8), "sequences": sequences}[kind]()
    assert_trains(dataset, f"data.scaling={name}")


NOT_FED = {"composition", "sparse_gradients"}  # a loss in two parts; gradients that are all sparse


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if not method.needs & NOT_FED])
def test_method(name):
    assert_trains(rows(), f"optimizer.name={name}", "optimizer.lr=0.001")


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name):
    assert_trains(rows(), f"schedule.name={name}")


def test_layer_rates():
    assert_trains(rows(), "optimizer.layer_decay=0.5", "model.name=plain_mlp")


def test_every_option_of_the_augmentations_is_a_field_of_the_recipe():
    from dataclasses import fields

    from trainwell.data.augment import AUGMENTATIONS
    from trainwell.training.sections import Augmentation

    hows = {"mode", "border", "erase_fill", "std"}  # ways to do it, with a good default
    options = {field.name for made in AUGMENTATIONS.values() for field in fields(made)} - hows
    assert options <= set(Augmentation.model_fields)


def test_every_penalty_is_a_field_of_the_recipe():
    from trainwell.training.sections import Regularization

    assert set(PENALTIES) <= set(Regularization.model_fields)


def test_growing_batches():
    assert_trains(
        rows(), "schedule.name=exponential", "schedule.grow_batch=true", "schedule.largest_batch=9", "training.epochs=6"
    )
