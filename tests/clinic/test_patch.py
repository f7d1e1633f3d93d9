"""A cure as a patch of the user's own file: what is changed is the cause and nothing else, and never unasked."""

import shutil
import stat
import subprocess
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures import activations, head_and_loss, inputs, modules, optimizer_parameters, settings, targets
from trainwell.clinic.cures.initialization import redraw, zero_biases
from trainwell.clinic.features import features_of
from trainwell.clinic.meter import Meter
from trainwell.clinic.patch import patch, write
from trainwell.clinic.subject import Subject
from trainwell.errors import InputError
from trainwell.training.userfile import load_function

HEAD = '''"""Mine. π"""
import torch
import trainwell as tw
from torch import nn


def data():
    generator = torch.Generator().manual_seed(0)
    X = 50 + 9 * torch.randn(60, 4, generator=generator)
    return X, (X.sum(1) > 200).long()

'''

PLAIN = (
    HEAD
    + """
def program():
    torch.manual_seed(1)
    X, y = data()
    model = nn.Sequential(
        nn.Linear(4, 8),
        nn.Sigmoid(),  # squash
        nn.Dropout(0.9),
        nn.Linear(8, 2),
        nn.Softmax(dim=1),
    )
    return tw.Program(
        model=model,
        train=(X[:40], y[:40]),
        val=(X[40:], y[40:]),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda p: torch.optim.SGD(p, lr=5.0, momentum=0.99),
        epochs=3,
    )
"""
)

CLASS = (
    HEAD
    + """
LR = 5.0


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(4, width)
        self.act = nn.Sigmoid()
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.act(self.first(x)))


def build(width):
    net = Net(width)
    for p in net.first.parameters():
        p.requires_grad = False
    return net


def program():
    torch.manual_seed(1)
    X, y = data()
    net = build(8)
    optimizer = torch.optim.Adam(net.head.parameters(), LR)
    return dict(model=net, train=(X, y + 1), loss=nn.CrossEntropyLoss(), optimizer=optimizer, shuffle=False)
"""
)

LOOP = (
    HEAD
    + """
def program():
    torch.manual_seed(1)
    X, y = data()
    layers = []
    for _ in range(3):
        layers += [nn.Linear(4, 4), nn.Tanh()]
    return {"model": nn.Sequential(*layers, nn.Linear(4, 2)), "train": (X, y), "loss": nn.CrossEntropyLoss(),
            "optimizer": torch.optim.SGD}
"""
)


def made(path, function="program"):
    """The program that the function of this file makes."""
    found = load_function(f"{path}:{function}")()
    return found if isinstance(found, tw.Program) else tw.Program(**found)


@pytest.fixture
def patched(tmp_path):
    """Patch a source by cures that are made from the subject; gives the patch, and the program of the patched file."""

    def call(source, *makers):
        path = tmp_path / "mine.py"
        path.write_text(source, encoding="utf-8")
        program = made(path)
        subject = Subject(program, Meter(1e9))
        cures = [cure(subject) for cure in makers]
        found = patch(
            SimpleNamespace(program=program, reasoned=SimpleNamespace(subject=subject)), path, "program", cures
        )
        assert path.read_text(encoding="utf-8") == source  # never touched
        (tmp_path / "after.py").write_text(found.text, encoding="utf-8")
        return found, made(tmp_path / "after.py")

    return call


def changed(found) -> list[str]:
    """Lines that the diff takes away and adds."""
    return [line for line in found.diff.splitlines()[2:] if line[:1] in "+-"]


def test_a_rate_changes_in_one_line(patched):
    found, program = patched(PLAIN, lambda s: settings.set_rate(s, 0.05))
    assert changed(found) == [
        "-        optimizer=lambda p: torch.optim.SGD(p, lr=5.0, momentum=0.99),",
        "+        optimizer=lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.99),",
    ]
    assert program.optimizer(program.model.parameters()).param_groups[0]["lr"] == 0.05 and not found.by_hand


def test_no_cure_changes_nothing(patched):  # control
    found, _ = patched(PLAIN)
    assert found.diff == "" and str(found) == "" and found.text == PLAIN


def test_settings_are_replaced_or_added_in_the_authors_layout(patched):
    found, program = patched(
        PLAIN,
        lambda s: settings.set_option(s, "momentum", 0.9),
        lambda s: settings.set_option(s, "weight_decay", 1e-4),
        lambda s: settings.set_field(s, "epochs", 30),
        lambda s: settings.set_field(s, "clip_grad", 1.0),
    )
    group = program.optimizer(program.model.parameters()).param_groups[0]
    assert (group["momentum"], group["weight_decay"], program.epochs, program.clip_grad) == (0.9, 1e-4, 30, 1.0)
    assert "+        epochs=30,\n+        clip_grad=1,\n" in found.diff


def test_settings_of_a_dict_with_a_positional_rate(patched):
    def words(s):
        return settings.set_field(s, "shuffle", True)

    found, program = patched(
        CLASS, words, lambda s: settings.set_rate(s, 0.01), lambda s: settings.set_field(s, "epochs", 4)
    )
    assert program.shuffle and program.epochs == 4 and program.optimizer.param_groups[0]["lr"] == 0.01
    assert not found.by_hand and "Adam(net.head.parameters(), 0.01)" in found.text


def test_an_activation_in_a_sequential_is_replaced_and_its_comment_kept(patched):
    found, program = patched(PLAIN, lambda s: activations.exchange_activations(s, ["Sigmoid"]))
    assert isinstance(program.model[1], nn.ReLU) and "+        nn.ReLU(),  # squash" in found.diff


def test_activations_of_a_loop_are_replaced_together(patched):
    found, program = patched(LOOP, lambda s: activations.exchange_activations(s, ["Tanh"]))
    assert sum(isinstance(m, nn.ReLU) for m in program.model) == 3 and len(changed(found)) == 2


def test_an_activation_of_a_class_is_found_through_the_functions_of_the_file(patched):
    found, program = patched(CLASS, lambda s: activations.exchange_activations(s, ["Sigmoid"]))
    assert isinstance(program.model.act, nn.ReLU) and "+        self.act = nn.ReLU()" in found.diff


def test_only_some_layers_of_a_loop_are_left_to_the_author(patched):  # control
    cure = Cure("", (Change("model.1", "Tanh", "nn.ReLU()"),), lambda program: program)
    found, _ = patched(LOOP, lambda s: cure)
    assert found.diff == "" and found.by_hand == cure.changes
    assert str(found).startswith("# By hand, at the program of") and "#   model.1: Tanh → nn.ReLU()" in str(found)


def test_a_layer_that_is_wrapped_keeps_the_authors_words(patched):
    found, program = patched(PLAIN, lambda s: activations.insert_activations(s, ["0"]))
    assert "+        nn.Sequential(nn.Linear(4, 8), nn.ReLU())," in found.diff and isinstance(
        program.model[0][1], nn.ReLU
    )


def test_dropout_and_head_and_loss(patched):
    def head(s):
        return head_and_loss.without(s, s.chain.layers[-1])

    found, program = patched(PLAIN, lambda s: modules.set_dropout({"2": 0.9}, 0.2), head)
    assert program.model[2].p == 0.2 and isinstance(program.model[4], nn.Identity) and not found.by_hand
    found, program = patched(PLAIN, lambda s: head_and_loss.another_loss(s, nn.NLLLoss()))
    assert isinstance(program.loss, nn.NLLLoss)


def test_inputs_are_scaled_by_inserted_lines_as_the_cure_does(patched):
    found, program = patched(PLAIN, lambda s: inputs.standardize(features_of(s)))
    X, _ = program.train
    scaled = program.model[0](X)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(0), torch.ones(4), atol=1e-5, rtol=0)
    assert "+    train_inputs = torch.as_tensor(X[:40]).double()" in found.diff and len(changed(found)) == 5


def test_targets_and_weights_and_biases(patched):
    def labels(s):
        return targets.relabel(torch.tensor([1, 2]))

    found, program = patched(CLASS, labels, lambda s: redraw(s), lambda s: zero_biases(s, ["head"]))
    assert program.train[1].unique().tolist() == [0, 1] and not program.model.head.bias.any()
    assert "    tw.init.apply_(net, 'kaiming', example=torch.as_tensor(X)[:2])\n" in found.text
    assert not found.by_hand


def test_frozen_and_forgotten_parameters(patched):
    def unfreeze(s):
        return optimizer_parameters.unfreeze([n for n, p in s.program.model.named_parameters() if not p.requires_grad])

    found, program = patched(CLASS, unfreeze, lambda s: optimizer_parameters.train_everything(s, ["first.weight"]))
    assert all(p.requires_grad for p in program.model.parameters()) and not found.by_hand
    assert len(program.optimizer.param_groups[0]["params"]) == 4
    assert "+        p.requires_grad = True" in found.diff and len(changed(found)) == 4


@pytest.mark.parametrize(
    "source",
    [
        "def program():\n    return make(**settings)\n",
        "def program():\n    if True:\n        return Program(epochs=1)\n    return Program(epochs=2)\n",
        "def program():\n    words = {'epochs': 1}\n    words |= {}\n    return Program(**words)\n",
        "program = 3\n",
    ],
)
def test_what_is_not_certain_is_left_to_the_author(source, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(source)
    program = tw.Program(nn.Linear(1, 1), (torch.ones(4, 1), torch.ones(4, 1)), nn.MSELoss(), torch.optim.SGD)
    subject = Subject(program, Meter(1e9))
    exam = SimpleNamespace(program=program, reasoned=SimpleNamespace(subject=subject))
    found = patch(exam, path, "program", [settings.set_field(subject, "epochs", 9)])
    assert found.diff == "" and [change.target for change in found.by_hand] == ["epochs"]


def test_line_ends_and_permissions_stay(tmp_path):
    path = tmp_path / "mine.py"
    path.write_bytes(PLAIN.replace("\n", "\r\n").encode())
    path.chmod(0o751)
    program = made(path)
    subject = Subject(program, Meter(1e9))
    exam = SimpleNamespace(program=program, reasoned=SimpleNamespace(subject=subject))
    cures = [settings.set_field(subject, "batch_size", 8), inputs.standardize(features_of(subject))]
    found = patch(exam, path, "program", cures)
    assert path.read_bytes() == PLAIN.replace("\n", "\r\n").encode()
    assert write(found) == path.resolve()
    after = path.read_bytes()
    assert after == found.text.encode() and b"\n" not in after.replace(b"\r\n", b"") and b"batch_size=8" in after
    assert stat.S_IMODE(path.stat().st_mode) == 0o751 and [p.name for p in tmp_path.glob("*mine*")] == ["mine.py"]


@pytest.mark.skipif(shutil.which("patch") is None, reason="there is no patch program")
def test_the_diff_is_one_that_other_programs_apply(patched, tmp_path):
    found, _ = patched(PLAIN, lambda s: settings.set_rate(s, 0.05), lambda s: inputs.standardize(features_of(s)))
    (tmp_path / "cure.diff").write_text(f"{found}\n", encoding="utf-8")
    subprocess.run(["patch", "-p1", "-i", "cure.diff"], cwd=tmp_path, check=True)
    assert (tmp_path / "mine.py").read_text(encoding="utf-8") == found.text


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    program = tw.Program(nn.Linear(1, 1), (torch.ones(4, 1), torch.ones(4, 1)), nn.MSELoss(), torch.optim.SGD)
    with pytest.raises(InputError, match=r"absent\.py cannot be read"):
        patch(SimpleNamespace(program=program), tmp_path / "absent.py", "program", [])
