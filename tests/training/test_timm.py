"""Backbones of timm: skipped where the extra is not installed."""

import importlib.util
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from trainwell.errors import InputError
from trainwell.nn import ImageInput, Predictor, timm_backbone
from trainwell.nn.models.backbones import adapted_weights
from trainwell.training import init_from
from trainwell.training.layer_rates import layer_groups
from trainwell.training.transfer import use_pretrained_statistics_
from trainwell.training.weights import save_weights

HERE = importlib.util.find_spec("timm") is not None
needs_timm = pytest.mark.skipif(not HERE, reason="timm is not installed (pip install 'trainwell[timm]')")


def backbone(*args, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torchvision's compiled part")
        return timm_backbone(*args, **options)


@pytest.mark.skipif(HERE, reason="timm is installed")
def test_without_timm_the_extra_is_named():
    with pytest.raises(InputError, match=r"pip install 'trainwell\[timm\]'"):
        timm_backbone("timm:resnet18", (3, 32, 32), 5)


@needs_timm
@pytest.mark.parametrize("inputs", [(3, 32, 32), (1, 28, 28), (3, 50, 70)])
def test_answers_for_images_of_any_size(inputs):
    model = backbone("timm:resnet18", inputs, 5)
    assert model(torch.randn(2, *inputs)).shape == (2, 5)
    assert len(model.pretrained_mean) == len(model.pretrained_std) == inputs[0]
    assert model.training


@needs_timm
def test_groups_follow_the_depth():
    groups = layer_groups(Predictor(ImageInput([0.5] * 3, [1.0] * 3), backbone("resnet18", (3, 32, 32), 5)))
    assert [group[0].split(".")[1] for group in groups] == ["conv1", "layer1", "layer2", "layer3", "layer4", "fc"]
    groups = layer_groups(backbone("vit_tiny_patch16_224", (3, 32, 32), 5))
    assert len(groups) == 14 and "cls_token" in groups[0] and groups[-1] == ["head.weight", "head.bias"]


@needs_timm
@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_weights_of_a_file_go_in_and_the_head_is_new(name, tmp_path):
    source = backbone(name, (3, 64, 64), 7)
    save_weights(source.state_dict(), tmp_path / "model.safetensors")
    model = Predictor(ImageInput([0.5] * 3, [1.0] * 3), backbone(name, (3, 64, 64), 5))
    found = init_from(model, tmp_path / "model.safetensors")
    assert found.share > 0.98 and len(found.mismatched) == 2 and "is new" in found.notes[0]
    x = torch.randn(2, 3, 64, 64)
    for module in (source, model.body):
        module.eval()
    assert torch.equal(source.forward_features(x), model.body.forward_features(x))


@needs_timm
def test_grey_images_answer_as_colour_images_of_equal_channels():
    colour, grey = backbone("resnet18", (3, 32, 32), 5).eval(), backbone("resnet18", (1, 32, 32), 5).eval()
    grey.load_state_dict(adapted_weights(grey, colour.state_dict()))
    x = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(grey(x), colour(x.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


@needs_timm
def test_positions_are_interpolated_to_the_images_size():
    large, small = backbone("vit_tiny_patch16_224", (3, 64, 64), 5), backbone("vit_tiny_patch16_224", (3, 32, 32), 5)
    found = init_from(small, large.state_dict())
    assert not found.mismatched and found.share == 1.0


@needs_timm
def test_statistics_are_those_of_the_published_weights():
    model = Predictor(ImageInput([0.1] * 3, [0.2] * 3), backbone("resnet18", (3, 32, 32), 5))
    assert use_pretrained_statistics_(model)
    np.testing.assert_allclose(model.prepare.mean, (0.485, 0.456, 0.406), rtol=1e-6)
    np.testing.assert_allclose(model.prepare.std, (0.229, 0.224, 0.225), rtol=1e-6)


@needs_timm
@pytest.mark.parametrize(
    ("name", "inputs", "sentence"),
    [
        ("timm:resnet81", (3, 32, 32), "Did you mean resnet18"),
        ("timm:resnet18", (4, 32, 32), "1 or 3 channels"),
        ("timm:resnet18", (12,), "1 or 3 channels"),
        ("timm:vit_tiny_patch16_224", (3, 8, 8), "does not take images of shape"),
        ("timm:hf-hub:someone/something", (3, 32, 32), "no model"),
    ],
)
def test_wrong_use_is_one_clear_sentence(name, inputs, sentence):
    with pytest.raises(InputError, match=sentence):
        backbone(name, inputs, 5)


@needs_timm
def test_without_a_network_the_hub_is_one_clear_sentence():
    code = """
import warnings
warnings.simplefilter("ignore")
from trainwell.nn import timm_backbone
from trainwell.training import init_from
init_from(timm_backbone("resnet18", (3, 32, 32), 5), "hub")
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": "nowhere"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    last = done.stderr.strip().splitlines()[-1]
    assert "InputError: The weights of timm:resnet18 could not be fetched" in last and "--weights FILE" in last


def test_importing_trainwell_imports_neither_timm_nor_torchvision():
    rooms = "trainwell.nn.models.backbones, trainwell.training.transfer"
    code = f"import sys, {rooms}; print({{'timm', 'torchvision'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
