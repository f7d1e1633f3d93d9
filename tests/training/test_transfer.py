import numpy as np
import pytest
import torch
from small_recipes import fast
from torch import nn
from torch.testing import assert_close

from trainwell.data import from_arrays
from trainwell.errors import InputError
from trainwell.nn import ArrayInput, ImageInput, Predictor, cnn, mlp
from trainwell.training import freeze_, init_from, jobs, load_matching, new_head_, unfreeze_
from trainwell.training.transfer import HEAD_SCALE, head_of, use_pretrained_statistics_
from trainwell.training.weights import save_weights


def net(outputs=3, seed=0, width=6):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, outputs))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("prefix", "wrap"),
    [
        ("", lambda m: m),
        ("module.", lambda m: m),
        ("_orig_mod.module.", lambda m: m),
        ("", lambda m: Predictor(ArrayInput(np.zeros(4), np.ones(4)), m)),
        ("backbone.", lambda m: Predictor(ArrayInput(np.zeros(4), np.ones(4)), m)),
    ],
)
def test_wrappers_names_are_found(prefix, wrap):
    source, target = net(seed=1), net(seed=2)
    found = load_matching(wrap(target), {prefix + name: tensor for name, tensor in source.state_dict().items()})
    assert same(source, target)
    assert found.share == 1.0 and not found.mismatched and not found.unexpected
    assert found.strip == prefix


def test_report_says_what_fits_and_what_does_not():
    source, target = net(outputs=5, seed=1), net(outputs=3, seed=2)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    state = {**source.state_dict(), "extra": torch.zeros(2)}
    del state["1.bias"]
    found = load_matching(target, state)
    assert found.mismatched == {"3.weight": ((3, 6), (5, 6)), "3.bias": ((3,), (5,))}
    assert found.missing == ("1.bias",) and found.unexpected == ("extra",)
    assert "0.weight" in found.matched and "1.running_var" in found.matched
    assert found.share == pytest.approx((24 + 6 + 6) / (24 + 6 + 12 + 18 + 3))
    assert torch.equal(target[0].weight, source[0].weight)
    for name in ("1.bias", "3.weight", "3.bias"):
        assert torch.equal(target.state_dict()[name], before[name])
    text = str(found)
    assert "3.weight 3×6 ← 5×6" in text and "extra" in text and "57.1%" in text


def test_rename_and_leave():
    source, target = net(seed=1), net(seed=2)
    old = {name.replace("0.", "stem.", 1): tensor for name, tensor in source.state_dict().items()}
    head = target[3].weight.clone()
    assert load_matching(target, old, rename={"stem.": "0."}, leave=["3.*"]).left == ("3.weight", "3.bias")
    assert torch.equal(target[0].weight, source[0].weight) and torch.equal(target[3].weight, head)
    load_matching(target, old, rename=lambda name: name.replace("stem", "0"))
    assert same(source, target)


def test_tied_weights_are_not_missing():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

    state = Tied().state_dict()
    del state["b.weight"]
    found = load_matching(Tied(), state)
    assert found.missing == () and found.share == 1.0


def test_files_of_all_kinds(tmp_path):
    source = net(seed=1)
    save_weights(source.state_dict(), tmp_path / "a.safetensors")
    torch.save(source.state_dict(), tmp_path / "a.pt")
    torch.save({"epoch": 3, "state_dict": source.state_dict()}, tmp_path / "nested.pth")
    (tmp_path / "run").mkdir()
    save_weights(net(seed=5).state_dict(), tmp_path / "run" / "model.safetensors")
    save_weights(source.state_dict(), tmp_path / "run" / "best.safetensors")
    for file in ("a.safetensors", "a.pt", "nested.pth", "run"):
        target = net(seed=2)
        assert load_matching(target, tmp_path / file).share == 1.0
        assert same(source, target), file


class Payload:
    def __reduce__(self):
        return (print, ("this ran",))


def test_broken_unsafe_and_foreign_files_are_refused(tmp_path, capsys):
    good = tmp_path / "good.pt"
    torch.save(net().state_dict(), good)
    (tmp_path / "cut.pt").write_bytes(good.read_bytes()[:400])
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save({"0.weight": Payload()}, tmp_path / "unsafe.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"abc")
    (tmp_path / "folder").mkdir()
    for name, sentence in {
        "cut.pt": "cannot be read",
        "empty.pt": "cannot be read",
        "unsafe.pt": "would run code",
        "list.pt": "no tensors by name",
        "cut.safetensors": "holds no weights",
        "folder": "holds no weights",
        "none.pt": "do not exist",
    }.items():
        with pytest.raises(InputError, match=sentence):
            load_matching(net(), tmp_path / name)
    assert "this ran" not in capsys.readouterr().out
    with pytest.raises(InputError, match=r"nothing that fits.*0.weight, 0.bias, 1.weight"):
        load_matching(net(), {"0.weight": torch.zeros(2, 2)})
    sick = net().state_dict()
    sick["0.weight"][0, 0] = float("nan")
    with pytest.raises(InputError, match=r"0\.weight has values that are not finite"):
        load_matching(net(), sick)


def test_matching_buffers_alone_are_no_match():
    source = Predictor(ImageInput([0.5], [1.0]), cnn((1, 8, 8), 3, width=8))
    target = Predictor(ImageInput([0.5], [1.0]), mlp((1, 8, 8), 3, width=8))
    state = {name: tensor for name, tensor in source.state_dict().items() if name.startswith("prepare")}
    with pytest.raises(InputError, match="nothing that fits"):
        load_matching(target, state)


def test_new_head_is_of_the_old_kind_and_small():
    model = cnn((1, 8, 8), 10, width=64)
    path = new_head_(model, 4, generator=torch.Generator().manual_seed(0))
    head = model.get_submodule(path)
    assert path == head_of(model) and type(head).__name__ == "ScaledLinear" and head.scale == 1 / 8
    assert head.out_features == 4 and head.weight.shape == (4, head.in_features)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 4) and not head.bias.any()
    wide = nn.Sequential(nn.Linear(2, 400), nn.Linear(400, 5))
    new_head_(wide, 500, generator=torch.Generator().manual_seed(0))
    assert_close(float(wide[1].weight.detach().std()), HEAD_SCALE / 20, rtol=4 / 200_000**0.5 * 2, atol=0)
    assert HEAD_SCALE == 0.1


def test_head_of_the_forward_pass_where_an_example_is_given():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.stem = nn.Linear(3, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.stem(x))

    assert head_of(Backwards()) == "stem" and head_of(Backwards(), example=torch.zeros(1, 4)) == "head"
    for outputs, model, sentence in (
        (0, net(), "at least 1"),
        (2, nn.ReLU(), "no linear layer"),
        (2, nn.Linear(2, 2), "single"),
    ):
        with pytest.raises(ValueError, match=sentence):
            new_head_(model, outputs)


def test_freezing_by_pattern():
    model = net()
    assert freeze_(model, ["*", "!3"]) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["3.weight", "3.bias"]
    assert not model[1].training and model.training and model[2].training
    moments = model[1].running_mean.clone()
    model(torch.randn(8, 4))
    assert torch.equal(model[1].running_mean, moments)
    assert unfreeze_(model, "1.*") == ["1.weight", "1.bias"] and model[1].training
    with pytest.raises(ValueError, match=r"no parameter matches '3.wieght'. Near: 3.weight"):
        freeze_(model, "3.wieght")
    with pytest.raises(ValueError, match="follow or train"):
        freeze_(model, "3", norms="eval")


def test_norms_of_frozen_parts_drift_when_they_are_left_in_training_mode():  # control
    model = net()
    freeze_(model, ["0", "1"], norms="train")
    moments = model[1].running_mean.clone()
    model(torch.randn(8, 4))
    assert not torch.equal(model[1].running_mean, moments)


def test_a_norm_without_parameters_follows_the_layer_before_it():
    model = nn.Sequential(
        nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False), nn.Linear(3, 3), nn.BatchNorm1d(3, affine=False)
    )
    freeze_(model.eval(), "0")
    assert model.training and not model[1].training and model[3].training


@pytest.mark.parametrize("same_classes", [True, False])
def test_from_another_run(tmp_path, same_classes):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 4)).astype("float32"), np.tile([0, 1, 2], 30)
    first = from_arrays(x, y, task="classification")
    folder = tmp_path / "first"
    folder.mkdir()
    source = Predictor(ArrayInput(np.full(4, 2.0), np.full(4, 3.0)), net(seed=1))
    save_weights(source.state_dict(), folder / "best.safetensors")
    (folder / "schema.json").write_text(first.schema.to_json(), encoding="utf-8")
    schema = first.schema
    if not same_classes:
        schema = from_arrays(x, np.array(["a", "b", "c"])[y], task="classification").schema
        assert schema.classes != first.schema.classes
    target = Predictor(ArrayInput(np.zeros(4), np.ones(4)), net(seed=2))
    found = init_from(target, folder, schema=schema)
    assert torch.equal(target.body[0].weight, source.body[0].weight)
    assert torch.equal(target.prepare.mean, source.prepare.mean)  # the body saw inputs standardized by these
    assert torch.equal(target.body[3].weight, source.body[3].weight) == same_classes
    assert bool(found.notes) != same_classes and str(folder) in found.origin


def test_a_head_with_other_outputs_is_new():
    found = init_from(net(outputs=2), net(outputs=5).state_dict())
    assert found.notes == ("The head 3 is new: 2 outputs of 6 inputs, the weights' has 5.",)


def test_only_a_pretrained_body_brings_its_statistics():
    model = Predictor(ImageInput([0.5], [1.0]), cnn((1, 8, 8), 3, width=8))
    assert not use_pretrained_statistics_(model) and float(model.prepare.mean) == 0.5
    model.body.pretrained_mean, model.body.pretrained_std = (0.25,), (0.125,)
    assert use_pretrained_statistics_(model)
    assert float(model.prepare.mean) == 0.25 and float(model.prepare.std) == 0.125


def test_a_recipe_starts_from_a_run_and_freezes_it(runs, tmp_path):
    recipe = fast(
        f"output.folder={tmp_path / 'second'}",
        f"model.weights={runs.root / 'digits'}",
        "training.epochs=1",
        'model.freeze=["body.*", "!body.6"]',
    )
    second = jobs.train("digits", recipe)
    assert any(note.startswith("Loaded") and "100.0%" in note for note in second.notes)
    head = head_of(second.model)
    first = dict(runs.digits.model.named_parameters())
    moved = {name for name, p in second.model.named_parameters() if not torch.equal(p, first[name])}
    assert moved == {f"{head}.weight", f"{head}.bias"}
