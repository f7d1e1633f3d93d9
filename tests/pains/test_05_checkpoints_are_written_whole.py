"""Lightning-AI/pytorch-lightning#688 → #19970, huggingface/transformers#27820, #35580 → #36112: checkpoints are not
written atomically, so a write that is cut off ruins the only one."""

import pytest
import torch
from pain_programs import SETTINGS, mlp, program, weights

from trainwell.training import checkpoint, fit


class PowerCut(BaseException):
    """Nothing catches it, and nothing after it is done."""


def cut_off(real, from_step):
    """``torch.save`` that dies when half of the file is written."""

    def save(state, path):
        real(state, path)
        if state["step"] >= from_step:
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2])
            raise PowerCut

    return save


@pytest.mark.parametrize("step", [5, 10, 20])
def test_the_checkpoint_before_is_there_and_the_run_ends_as_if_nothing_had_happened(step, tmp_path, monkeypatch):
    whole = fit(program(), training=SETTINGS)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", cut_off(torch.save, step))
        with pytest.raises(PowerCut):
            fit(program(), training=SETTINGS, folder=tmp_path)
    newest = max((tmp_path / "checkpoint").glob("step-*.pt"))
    assert checkpoint.read(newest)["step"] == step - 5
    again = fit(program(), training=SETTINGS, folder=tmp_path, resume=True)
    assert torch.equal(weights(again.model), weights(whole.model)) and again.history == whole.history


def test_writing_over_the_only_file_loses_it(tmp_path):  # control
    path = tmp_path / "last.pt"
    save = cut_off(torch.save, from_step=2)
    save({"step": 1, "model": mlp().state_dict()}, path)
    with pytest.raises(PowerCut):
        save({"step": 2, "model": mlp().state_dict()}, path)
    with pytest.raises(RuntimeError):
        torch.load(path, weights_only=True)


def test_renaming_comes_after_flushing_the_content(tmp_path, monkeypatch):
    """A rename that reaches the disk before the content would leave an empty file under the good name."""
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(checkpoint.write_atomically.__globals__["os"], name)
        monkeypatch.setattr("os." + name, lambda *a, real=real, name=name: (calls.append(name), real(*a))[1])
    checkpoint.Checkpoints(tmp_path).save({"step": 1})
    assert calls[:2] == ["fsync", "replace"]
