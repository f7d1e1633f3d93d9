"""``trainwell theory``: tables, JSON, pictures, nonsense, and that it answers without torch."""

import json
import re
import subprocess
import sys

import pytest

NET = """
from torch import nn

def build():
    layers = [nn.Flatten()]
    for n in [784] + [256] * 9:
        layers += [nn.Linear(n, 256), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(256, 10))

def sized(shape, outputs):
    return nn.Sequential(nn.Conv2d(shape[0], 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(outputs))

def broken():
    raise RuntimeError("no luck")

def attention():
    return nn.MultiheadAttention(8, 2)

text = lambda: "no module"
"""


@pytest.fixture
def mynet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text(NET)


def test_the_prediction_of_the_design(run):
    done = run("theory", "--depth", "30", "--width", "128", "--activation", "relu", "--init", "xavier")
    assert done.code == 0 and done.err == ""
    assert "The gradient at layer 1 is 4.3e-05 of that at layer 30: it will not train." in done.out
    assert "Use kaiming" in done.out and "σ_w = 1.414, σ_b = 0" in done.out
    rows = [line.split() for line in done.out.splitlines() if re.match(r"\d+ ", line)]
    assert rows[1][:3] == ["1", "1", "4.32e-05"] and rows[-1][:3] == ["30", "1.86e-09", "1"] and len(rows) == 10


def test_the_cure_it_names_is_one(run):  # control
    done = run("theory", "--depth", "30", "--width", "128", "--activation", "relu", "--init", "kaiming")
    assert "signal and gradient reach all layers" in done.out and "Use " not in done.out


def test_json_has_the_layers_and_nothing_infinite(run):
    found = json.loads(run("theory", "--depth", "4", "--width", "32", "--json").out)
    assert [layer["moment"] for layer in found["layers"]] == pytest.approx([2, 2, 2, 1])
    assert found["depth_by_gradient"] is None and found["measured"] is None  # any depth
    assert found["phase"]["phase"] == "critical" and found["verdict"]["trains"] == "yes"
    assert found["recommended"] == pytest.approx({"sigma_w": 2**0.5, "sigma_b": 0.0})


def test_biases_move_the_fixed_point(run):
    def q(*words):
        return json.loads(run("theory", "--activation", "tanh", "--init", "xavier", "--json", *words).out)["phase"]["q"]

    assert q("--bias-std", "0.5") > 0.3 > q()


def test_measured_stands_beside_predicted(run):
    words = ("theory", "--depth", "6", "--width", "256", "--activation", "tanh", "--measure", "--seeds", "4", "--json")
    found = json.loads(run(*words).out)
    seen = found["measured"]
    assert seen["seeds"] == 4 and seen["gradient"][-1] == 1 and all(error > 0 for error in seen["moment_error"])
    for layer, moment, gradient in zip(found["layers"], seen["moment"], seen["gradient"], strict=True):
        assert moment == pytest.approx(layer["moment"], rel=0.1)
        assert gradient == pytest.approx(layer["gradient"], rel=0.15)
    assert " ± " in run(*words[:-1]).out


@pytest.mark.parametrize("name", ["maxout", "gelu"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer", "rms"])
def test_every_norm_and_a_layer_of_pieces_is_measured(name, norm, run):
    words = ("--depth", "3", "--width", "64", "--seeds", "3", "--bias-std", "0.1", "--measure", "--json")
    found = json.loads(run("theory", "--activation", name, "--norm", norm, *words).out)
    ratio = found["measured"]["moment"][-1] / found["layers"][-1]["moment"]
    assert 0.6 < ratio < 1.6


def test_ones_own_net_is_read_as_it_is(run, mynet):
    words = ("theory", "--model", "mynet.py:build", "--input-shape", "1,28,28")
    found = json.loads(run(*words, "--json").out)
    assert found["layers"][0]["path"] == "1" and found["layers"][0]["sigma_w"] == pytest.approx(3**-0.5, rel=0.01)
    assert found["verdict"]["trains"] == "no" and found["gradient_ratio"] < 1e-6
    assert "it will not train" in run(*words, "--measure", "--seeds", "2").out


def test_a_function_of_shape_and_outputs_is_given_both(run, mynet):
    found = json.loads(run("theory", "--model", "mynet.py:sized", "--input-shape", "3x8x8", "--json").out)
    assert [layer["units"] for layer in found["layers"]] == [8, 10]


@pytest.mark.parametrize("suffix", ["html", "svg"])
@pytest.mark.parametrize("words", [("--depth", "4"), ("phase", "--activation", "tanh"), ("spectrum", "--depth", "3")])
def test_pictures_are_saved_complete(words, suffix, run, tmp_path):
    target = tmp_path / f"picture.{suffix}"
    done = run("theory", *words, "--save", str(target))
    assert done.code == 0 and str(target) in done.out
    text = target.read_text(encoding="utf-8")
    assert "<path" in text and len(text) < 200_000
    assert not re.search(r"(?:src|href)=\"https?:", text)
    if suffix == "svg":
        assert text.lstrip().startswith("<?xml") and not re.search(r"#0[1-6]0[1-6]0[1-6]", text)


def test_measured_points_are_in_the_picture(run, tmp_path):
    words = ("theory", "--depth", "4", "--width", "32", "--measure", "--seeds", "2")
    assert run(*words, "--save", str(tmp_path / "a.html")).code == 0
    assert "two standard errors" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_phases_name_the_published_edge(run):
    found = json.loads(run("theory", "phase", "--activation", "tanh", "--json").out)
    edge = {row["sigma_b"]: row["sigma_w"] for row in found["border"]}
    assert edge[0.0] == pytest.approx(1) and edge[0.2] == pytest.approx(1.304, abs=1e-3)
    assert len(run("theory", "phase", "--activation", "tanh").out.splitlines()) > 10
    assert "no edge of chaos" in run("theory", "phase", "--activation", "softplus").out


def test_spectrum_of_relu_is_the_published_one(run):  # THEORY S12
    orthogonal = json.loads(run("theory", "spectrum", "--depth", "5", "--json").out)
    gaussian = json.loads(run("theory", "spectrum", "--depth", "5", "--weights", "gaussian", "--json").out)
    assert (orthogonal["largest"], gaussian["largest"]) == pytest.approx((3.494, 5.222), abs=2e-3)
    assert (orthogonal["variance"], gaussian["variance"]) == pytest.approx((5, 10))
    assert orthogonal["quantiles"][0] == {"share": 0.5, "value": 0.0}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--depth", "0"], "--depth=0 must be 1 or more"),
        (["--depth", "1000000000"], "or less"),
        (["--depth", "x"], "not a whole number"),
        (["--width", "0"], "--width=0"),
        (["--bias-std", "-1"], "--bias-std=-1"),
        (["--bias-std", "nan"], "--bias-std=nan"),
        (["--activation", "rleu"], "Did you mean 'relu'"),
        (["--init", "kamming"], "Did you mean 'kaiming'"),
        (["--init", "identity"], "Theory predicts nothing"),
        (["--norm", "bacth"], "Did you mean 'batch'"),
        (["--measure", "--seeds", "1"], "--seeds=1"),
        (["--measure", "--activation", "relu6"], "no module for 'relu6'"),
        (["--save", "a.gif"], ".html or .svg"),
        (["phaze"], "Did you mean 'phase'"),
        (["phase", "--activation", "tahn"], "Did you mean 'tanh'"),
        (["spectrum", "--weights", "orthogonl"], "Did you mean 'orthogonal'"),
        (["spectrum", "--variance", "0"], "--variance=0"),
        (["spectrum", "--activation", "maxout"], "There is no such spectrum"),
        (["--model", "mynet.py:build"], "--input-shape"),
        (["--model", "mynet.py:build", "--input-shape", "3,a"], "no list of sizes"),
        (["--model", "mynet.py:build", "--input-shape", "3"], "forward pass failed"),
        (["--model", "mynet.py:buidl", "--input-shape", "784"], "no function"),
        (["--model", "nowhere.py:build", "--input-shape", "784"], "does not exist"),
        (["--model", "mynet.py:broken", "--input-shape", "784"], "no luck"),
        (["--model", "mynet.py:text", "--input-shape", "784"], "not a torch module"),
        (["--model", "mynet.py:attention", "--input-shape", "8"], "nothing of it"),
    ],
)
def test_nonsense_is_answered_in_a_sentence(words, message, run, mynet):
    done = run("theory", *words)
    assert done.code == 2 and done.out == "" and message in done.err and "Traceback" not in done.err


PROBE = """
import sys
from trainwell.cli.main import main
code = main(sys.argv[1:])
print("torch" in sys.modules, "matplotlib" in sys.modules, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (["--depth", "50"], "False False"),
        (["phase"], "False False"),
        (["spectrum", "--depth", "4"], "False False"),
        (["--depth", "3", "--width", "8", "--measure", "--seeds", "2"], "True False"),  # control
    ],
)
def test_torch_is_imported_only_where_a_net_is_built(words, loaded):
    done = subprocess.run([sys.executable, "-c", PROBE, "theory", *words], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == loaded
