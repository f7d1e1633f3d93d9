"""Checkpoints on disk: whole or not there, two kept, read without running anything."""

import copy
import errno
import io
import json
import os
import pickle
from functools import partial

import pytest
import torch
from small_programs import mlp, program, weights
from torch import nn

from trainwell.errors import InputError, JobError
from trainwell.training import Training, checkpoint, fit
from trainwell.training.checkpoint import Checkpoints, load_module, load_optimizer, read
from trainwell.training.weights import load_weights, read_weights, save_weights, write_atomically

SETTINGS = Training(log_every=2, checkpoint_every=4)


def names(folder):
    return sorted(path.name for path in (folder / "checkpoint").iterdir())


def state(step):
    return {"step": step, "x": torch.full((3,), float(step))}


def test_the_last_two_are_kept_and_a_stopped_one_until_the_next(tmp_path):
    kept = Checkpoints(tmp_path)
    for step in (0, 5, 10):
        kept.save(state(step))
    kept.save(state(12), regular=False)
    assert names(tmp_path) == ["step-000000005.pt", "step-000000010.pt", "stopped-000000012.pt"]
    assert kept.newest()[0]["step"] == 12 and kept.last_good(None)["step"] == 10
    kept.save(state(15))
    assert names(tmp_path) == ["step-000000010.pt", "step-000000015.pt"]


def test_one_of_before_the_crash_is_dropped_where_it_was_tried_in_vain(tmp_path):
    for folder in (tmp_path, None):
        kept = Checkpoints(folder)
        for step in (0, 5, 10):
            kept.save(state(step))
        assert kept.last_good(5)["step"] == 10
        assert kept.last_good(10)["step"] == 5
        assert kept.last_good(5)["step"] == 5  # the only one left


def test_in_memory_states_share_nothing_with_what_was_given_or_is_returned():
    kept, given = Checkpoints(None), state(1)
    kept.save(given)
    given["x"].zero_()
    kept.last_good(None)["x"].zero_()
    assert kept.last_good(None)["x"].tolist() == [1, 1, 1]


def test_a_run_leaves_two_checkpoints_and_no_temporary_file(tmp_path):
    fit(program(), training=SETTINGS, folder=tmp_path)
    assert [n for n in names(tmp_path) if n.endswith(".pt")] == ["step-000000020.pt", "step-000000024.pt"]
    assert not list(tmp_path.rglob("*.tmp"))
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


class DiskFull:
    """Fails from the ``after``-th call on, having written something."""

    def __init__(self, after, real):
        self.calls, self.after, self.real = 0, after, real

    def __call__(self, *args, **options):
        self.calls += 1
        if self.calls > self.after:
            if isinstance(args[1], os.PathLike) and args[0].__class__ is dict:
                args[1].write_bytes(b"half a checkpo")
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.real(*args, **options)


@pytest.mark.parametrize("what", ["save", "replace"])
def test_a_full_disk_is_a_sentence_and_the_run_goes_on_when_there_is_room(what, tmp_path, monkeypatch):
    make = partial(program, val=None)  # no best weights in between: every file is a checkpoint
    whole = fit(make(), training=SETTINGS, folder=tmp_path / "whole")
    module = torch if what == "save" else os
    with monkeypatch.context() as patch:
        patch.setattr(module, what, DiskFull(3, getattr(module, what)))
        with pytest.raises(
            JobError, match=r"could not be written: No space left on device.*what was saved before is untouched"
        ):
            fit(make(), training=SETTINGS, folder=tmp_path / "run")
    assert names(tmp_path / "run") == ["step-000000004.pt", "step-000000008.pt"]
    assert read(tmp_path / "run" / "checkpoint" / "step-000000008.pt")["step"] == 8
    again = fit(make(), training=SETTINGS, folder=tmp_path / "run", resume=True)
    assert torch.equal(weights(again.model), weights(whole.model))
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


def test_a_full_disk_that_torch_reports_as_a_runtime_error_is_the_same_sentence(tmp_path):
    def write(temporary):
        temporary.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:603] . PytorchStreamWriter failed\nmore")

    with pytest.raises(JobError, match="could not be written"):
        write_atomically(tmp_path / "x", write)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("new, half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, write)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_temporary_files_of_a_crash_are_cleared_away(tmp_path):
    fit(program(epochs=1), folder=tmp_path)
    (tmp_path / "checkpoint" / ".step-000000099.pt.123.tmp").write_bytes(b"half")
    fit(program(epochs=1), folder=tmp_path, resume=True)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.fixture
def stopped(tmp_path):
    """A folder whose run died after step 18: checkpoints of steps 12 and 16."""

    def power_cut(event, state):
        if event == "step_end" and state.step == 18:
            raise OSError("the lights went out")

    with pytest.raises(OSError, match="lights"):
        fit(program(mlp(0.3)), training=SETTINGS, folder=tmp_path, callbacks=[power_cut])
    return tmp_path


def truncate(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_newest_checkpoint_is_passed_over_with_a_sentence(share, stopped):
    truncate(stopped / "checkpoint" / "step-000000016.pt", share)
    run = fit(program(mlp(0.3)), training=SETTINGS, folder=stopped, resume=True)
    assert "step-000000016.pt cannot be read" in run.notes[0] and "older checkpoint is used" in run.notes[0]
    reference = fit(program(mlp(0.3)), training=SETTINGS)
    assert torch.equal(weights(run.model), weights(reference.model)) and run.history == reference.history


def test_all_truncated_is_an_input_error_that_names_one(stopped):
    for path in (stopped / "checkpoint").iterdir():
        truncate(path, 0.5)
    with pytest.raises(InputError, match=r"step-000000016.pt cannot be read as a checkpoint.*train anew"):
        fit(program(mlp(0.3)), training=SETTINGS, folder=stopped, resume=True)


class Payload:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (os.mkdir, (self.target,))


def malicious(target):
    buffer = io.BytesIO()
    torch.save({"format": 1, "step": 999, "x": Payload(target)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_pickle_is_refused_and_not_run(form, stopped):
    target = stopped / "owned"
    evil = malicious(target) if form == "torch" else pickle.dumps(Payload(target))
    for path in (stopped / "checkpoint").iterdir():
        path.write_bytes(evil)
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        fit(program(mlp(0.3)), training=SETTINGS, folder=stopped, resume=True)
    assert not target.exists()


def test_the_payload_would_run_if_pickles_were_trusted(tmp_path):  # control
    torch.load(io.BytesIO(malicious(tmp_path / "owned")), weights_only=False)
    assert (tmp_path / "owned").is_dir()


@pytest.mark.parametrize("content", [{"format": 7, "step": 1}, {"step": 1}, [1, 2]])
def test_another_format_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "step-000000001.pt")
    with pytest.raises(InputError, match="has checkpoint format"):
        read(tmp_path / "step-000000001.pt")


# ---- loading into models and optimizers --------------------------------------------------------------------------


def convolution(channels_last):
    torch.manual_seed(0)
    model = nn.Conv2d(8, 8, 3)
    return model.to(memory_format=torch.channels_last) if channels_last else model


def steps(model, optimizer, times, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(times):
        x = torch.randn(4, 8, 6, 6, generator=generator)
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("made_last", [True, False])
@pytest.mark.parametrize("kind", [partial(torch.optim.AdamW, lr=0.1), partial(torch.optim.SGD, lr=0.1, momentum=0.9)])
def test_states_take_their_parameters_layout(made_last, kind):
    """Wall 1. The reference is the unfused loop, which is right for any strides."""
    source, target, reference = convolution(not made_last), convolution(made_last), convolution(False)
    first, second, slow = (
        kind(source.parameters(), fused=True),
        kind(target.parameters(), fused=True),
        kind(reference.parameters()),
    )
    steps(source, first, 3, seed=1)
    steps(reference, slow, 3, seed=1)
    load_module(target, source.state_dict(), "test")
    load_optimizer(second, first.state_dict())
    for p, entries in second.state.items():
        for value in entries.values():
            assert value.dim() == 0 or value.stride() == p.stride()
    steps(target, second, 3, seed=2)
    steps(reference, slow, 3, seed=2)
    torch.testing.assert_close(weights(target), weights(reference), rtol=1e-4, atol=1e-5)


def test_torchs_own_loading_computes_wrong_numbers():  # control
    source, target, reference = convolution(False), convolution(True), convolution(False)
    kind = partial(torch.optim.AdamW, lr=0.1)
    first, second, slow = (
        kind(source.parameters(), fused=True),
        kind(target.parameters(), fused=True),
        kind(reference.parameters()),
    )
    steps(source, first, 3, seed=1)
    steps(reference, slow, 3, seed=1)
    load_module(target, source.state_dict(), "test")
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(target, second, 3, seed=2)
    steps(reference, slow, 3, seed=2)
    assert float((weights(target) - weights(reference)).abs().max()) > 1e-3


def test_loaded_states_share_no_memory():
    """Wall 6, with the control beside it."""
    source, target, other = mlp(), mlp(), mlp()
    make = partial(torch.optim.Adam, lr=0.1)
    first, second, third = make(source.parameters()), make(target.parameters()), make(other.parameters())
    for p in source.parameters():
        p.grad = torch.ones_like(p)
    first.step()
    load_optimizer(second, first.state_dict())
    third.load_state_dict(first.state_dict())
    mine, theirs, shared = (next(iter(o.state.values()))["exp_avg"].data_ptr() for o in (first, second, third))
    assert mine != theirs and mine == shared
    for p in target.parameters():
        p.grad = torch.ones_like(p)
    second.step()
    assert {float(s["step"]) for s in first.state.values()} == {1.0}  # the count of steps is not shared either


def test_a_state_of_before_the_layout_changed_is_laid_out_when_the_run_begins():
    made = convolution(False)
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.1, fused=True)
    steps(made, optimizer, 2, seed=1)
    x = torch.randn(8, 8, 6, 6)
    run = program(made, train=(x, torch.zeros(8, 8, 4, 4)), val=None, loss=nn.MSELoss(), optimizer=optimizer, epochs=1)
    fit(run, training=Training(channels_last=True))
    for p, entries in optimizer.state.items():
        assert all(v.dim() == 0 or v.stride() == p.stride() for v in entries.values())


# ---- weights -----------------------------------------------------------------------------------------------------


def test_weights_go_round_in_equal_bytes_and_any_layout(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    for path, layout in (("a", torch.contiguous_format), ("b", torch.channels_last)):
        save_weights(model.to(memory_format=layout).state_dict(), tmp_path / path)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    fresh = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    load_weights(fresh, tmp_path / "a")
    assert torch.equal(weights(fresh), weights(model)) and fresh[0].weight.stride() == model[0].weight.stride()


def test_tied_weights_are_stored_once_and_read_back(tmp_path):
    def tied():
        model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
        model[1].weight = model[0].weight
        return model

    model, fresh = tied(), tied()
    save_weights(model.state_dict(), tmp_path / "w")
    assert list(read_weights(tmp_path / "w")) == ["0.weight"]
    load_weights(fresh, tmp_path / "w")
    assert torch.equal(fresh[1].weight, model[1].weight)


def test_weights_of_another_model_name_the_first_tensor(tmp_path):
    save_weights(mlp().state_dict(), tmp_path / "w")
    with pytest.raises(InputError, match=r"is of another model: 9 tensors .* first 1.bias"):
        load_weights(mlp(norm=True), tmp_path / "w")
    before = nn.Linear(2, 2)
    with pytest.raises(InputError, match="another model"):
        load_weights(before, tmp_path / "w")


@pytest.mark.parametrize("content", [b"", b"short", pickle.dumps({"a": 1}), b"\x80" * 200])
def test_files_that_hold_no_weights_are_refused(content, tmp_path):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(InputError, match="holds no weights"):
        read_weights(tmp_path / "w")


def test_truncated_and_missing_weights_are_refused(tmp_path):
    save_weights(mlp().state_dict(), tmp_path / "w")
    truncate(tmp_path / "w", 0.7)
    with pytest.raises(InputError, match="holds no weights"):
        read_weights(tmp_path / "w")
    with pytest.raises(InputError, match="does not exist"):
        read_weights(tmp_path / "nothing")


def test_checkpoint_holds_plain_data_alone(stopped):
    saved = checkpoint.read(stopped / "checkpoint" / "step-000000016.pt")
    json.dumps({k: v for k, v in saved.items() if k in ("step", "epoch", "history", "best", "fingerprint", "factor")})
    assert saved["step"] == 16 and saved["format"] == checkpoint.FORMAT
