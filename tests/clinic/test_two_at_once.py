"""Two sure causes are tried together; targets beside 0 and 1 are left out of a loss without moving an answer."""

import torch
from torch import nn

import trainwell as tw
from trainwell.clinic.cures.head_and_loss import OfKnown
from trainwell.clinic.cures.targets import zero_for_minus_one


def cubes(scale: float) -> tw.Program:
    """A table in whole numbers and a target in their cubes; of usual size for a scale of 1."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(600, 3, generator=draw)
    y = (x[:, :1] + 0.5 * x[:, 1:2].square()).clone()
    x, y = scale * (x + 2), scale**3 * (y + 3)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1))
    return tw.Program(
        model=model, train=(x[:400], y[:400]), val=(x[400:], y[400:]), loss=nn.MSELoss(),
        optimizer=lambda p: torch.optim.Adam(p, lr=5e-3), batch_size=32, epochs=30, task="regression",
    )  # fmt: skip


def test_inputs_and_targets_that_need_each_other_are_both_found_in_one_trial() -> None:
    exam = tw.examine(cubes(1000.0))
    assert {"input-not-normalized", "targets-not-normalized"} <= {f.code for f in exam.findings if f.severity != "info"}
    first = exam.reasoned.trials[0]
    assert ";" in first.cure.name and first.gain > 0.5


def test_the_same_question_at_its_usual_size_is_healthy() -> None:
    assert tw.examine(cubes(1.0)).healthy


def test_a_target_that_is_neither_gives_no_gradient_and_the_others_give_theirs() -> None:
    answer = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    target = torch.tensor([[0.0, 1.0, -1.0]]).expand(4, 3).clone()
    for loss, logits in ((nn.BCEWithLogitsLoss(), True), (nn.BCELoss(), False)):
        output = answer if logits else answer.sigmoid()
        (masked,) = torch.autograd.grad(OfKnown(loss, logits)(output, target), answer, retain_graph=True)
        (plain,) = torch.autograd.grad(loss(output, target.clamp(min=0)), answer, retain_graph=True)
        assert float(masked[:, 2].abs().max()) < 1e-7 < float(plain[:, 2].abs().min())
        torch.testing.assert_close(masked[:, :2], plain[:, :2])


def test_minus_one_becomes_zero_in_both_parts() -> None:
    y = torch.tensor([[-1.0, 1.0], [1.0, 0.0]])
    program = tw.Program(
        model=nn.Linear(2, 2), train=(torch.zeros(2, 2), y), val=(torch.zeros(2, 2), y), loss=nn.BCEWithLogitsLoss(),
        optimizer=lambda p: torch.optim.SGD(p, lr=0.1), batch_size=2, epochs=1,
    )  # fmt: skip
    cured = zero_for_minus_one().apply(program)
    assert torch.equal(cured.train[1], torch.tensor([[0.0, 1.0], [1.0, 0.0]])) and torch.equal(
        cured.val[1], cured.train[1]
    )
    assert float(y.min()) == -1.0
