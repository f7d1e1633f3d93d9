"""Another kind of dropout where a model's own stands."""

import pytest
import torch
from torch import nn

from trainwell.errors import InputError
from trainwell.nn import GaussianDropout, choose_dropout_, cnn, mlp
from trainwell.nn.dropping.dropout_choice import KINDS


@pytest.mark.parametrize("name", [name for name in KINDS if name != "spatial"])
def test_evaluation_is_unchanged_and_training_is_random_where_something_is_dropped(name):
    torch.manual_seed(0)
    model, x = mlp((6,), 3, width=16, dropout=0.5, norm="none"), torch.randn(8, 6)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    expected = model.eval()(x)
    places = choose_dropout_(model, name)
    assert places
    torch.testing.assert_close(model.eval()(x), expected)
    model.train()
    assert torch.equal(model(x), model(x)) == (name == "none")
    assert name == "inverted" or not any(type(module) is nn.Dropout for module in model.modules())


def test_gaussian_keeps_the_probability():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.3))
    assert choose_dropout_(model, "gaussian") == ["1"]
    assert isinstance(model[1], GaussianDropout) and model[1].p == 0.3


def test_spatial_dropout_blackens_whole_channels_behind_poolings():
    torch.manual_seed(0)
    model = cnn((1, 8, 8), 3, width=32, dropout=0.5)
    seen = []
    for path in choose_dropout_(model, "spatial"):
        model.get_submodule(path).register_forward_hook(lambda module, args, output: seen.append(output))
    model.train()(torch.rand(4, 1, 8, 8))
    assert seen
    for output in seen:
        dead = (output == 0).flatten(2).all(2).float().mean()
        assert 0.3 < dead < 0.7


@pytest.mark.parametrize("name", ["spatial", "gaussian"])
def test_model_without_a_place_is_refused(name):
    with pytest.raises(InputError, match=r"no pooling layer|no dropout layer"):
        choose_dropout_(nn.Sequential(nn.Linear(2, 2)), name, 0.2)


def test_unknown_name_and_missing_probability():
    with pytest.raises(InputError, match=r"not known"):
        choose_dropout_(nn.Linear(2, 2), "gausian", 0.2)
    with pytest.raises(InputError, match=r"Set model\.dropout"):
        choose_dropout_(nn.Sequential(nn.Linear(2, 2)), "dropconnect")
