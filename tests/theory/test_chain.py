import subprocess
import sys

import pytest

from trainwell.theory import Chain, Layer

NET = Chain(
    (
        Layer("0", "linear", "Linear", (2,), (3,), fan_in=2, fan_out=3, parameters=9),
        Layer("1", "activation", "ReLU", (3,), (3,)),
        Layer("2", "linear", "Linear", (3,), (1,), fan_in=3, fan_out=1, parameters=4),
    )
)


def test_counts_and_selects():
    assert len(NET) == 3 and NET.parameters == 13
    assert [layer.path for layer in NET.of_kind("linear", "conv")] == ["0", "2"]
    assert [layer.kind for layer in NET] == ["linear", "activation", "linear"]


def test_is_a_value():
    assert Chain(NET.layers) == NET and hash(Chain(NET.layers)) == hash(NET)
    with pytest.raises(AttributeError):
        NET.incomplete = "no"


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind='dense' of '0' is not one of input, linear"):
        Layer("0", "dense", "Linear", (2,), (3,))


def test_rooms_do_not_load_torch_before_a_name_is_used():
    use = "import sys, trainwell.nn, trainwell.theory; trainwell.theory.Chain; trainwell.nn.MODELS"
    code = f"{use}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
