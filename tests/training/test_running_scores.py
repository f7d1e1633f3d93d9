"""Scores of a pass, against scikit-learn and SciPy on all rows at once, whatever the batches."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error
from small_programs import mlp, program, table
from torch import nn

from trainwell.training.evaluation import ordered, outputs, score
from trainwell.training.predictions import class_codes, head, probabilities
from trainwell.training.scores import Scores
from trainwell.training.step import Forward

CPU = torch.device("cpu")


def scored(output, target, loss, task, sizes, threshold=0.5):
    scores = Scores(task, loss, threshold)
    for o, t in zip(output.split(sizes), target.split(sizes), strict=True):
        scores.add(o, t, loss(o, t), len(t))
    return scores.result()


SIZES = [[100], [1] * 100, [64, 36], [7] * 14 + [2]]


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: str(s[0]))
def test_classification(sizes):
    rng = np.random.default_rng(0)
    logits, y = rng.standard_normal((100, 4)), rng.integers(0, 4, 100)
    found = scored(torch.from_numpy(logits), torch.from_numpy(y), nn.CrossEntropyLoss(), "classification", sizes)
    assert found["loss"] == pytest.approx(log_loss(y, softmax(logits, 1)), rel=1e-12)
    assert found["accuracy"] == accuracy_score(y, logits.argmax(1))


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: str(s[0]))
@pytest.mark.parametrize("form", ["two logits", "one logit", "probability"])
@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_binary(sizes, form, threshold):
    rng = np.random.default_rng(1)
    logit, y = rng.standard_normal(100), rng.integers(0, 2, 100)
    z, t = torch.from_numpy(logit), torch.from_numpy(y)
    if form == "two logits":
        output, target, loss = torch.stack([torch.zeros(100), z], 1), t, nn.CrossEntropyLoss()
    else:
        output, target = z[:, None] if form == "one logit" else z.sigmoid()[:, None], t.double()[:, None]
        loss = nn.BCEWithLogitsLoss() if form == "one logit" else nn.BCELoss()
    found = scored(output, target, loss, "binary", sizes, threshold)
    assert found["accuracy"] == accuracy_score(y, expit(logit) >= threshold)
    assert found["loss"] == pytest.approx(log_loss(y, expit(logit)), rel=1e-9)


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: str(s[0]))
def test_multilabel(sizes):
    rng = np.random.default_rng(2)
    logits, y = rng.standard_normal((100, 3)), rng.integers(0, 2, (100, 3))
    found = scored(torch.from_numpy(logits), torch.from_numpy(y).double(), nn.BCEWithLogitsLoss(), "multilabel", sizes)
    assert found["accuracy"] == pytest.approx(((logits > 0) == y).mean(), rel=1e-12)


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: str(s[0]))
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("targets", [1, 3])
def test_regression(sizes, offset, targets):
    rng = np.random.default_rng(3)
    y = offset + rng.standard_normal((100, targets))
    predicted = y + 0.3 * rng.standard_normal((100, targets))
    y, predicted = y.astype(np.float32), predicted.astype(np.float32)
    found = scored(torch.from_numpy(predicted), torch.from_numpy(y), nn.MSELoss(), "regression", sizes)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(y.ravel(), predicted.ravel()), rel=1e-5)
    assert found["r2"] == pytest.approx(r2_score(y.astype(float), predicted.astype(float)), rel=1e-6)


def test_a_flat_target_against_a_column_is_no_broadcast():
    y, predicted = torch.randn(50), torch.randn(50, 1)
    found = scored(predicted, y, lambda o, t: (o[:, 0] - t).square().mean(), "regression", [20, 30])
    assert found["r2"] == pytest.approx(r2_score(y, predicted[:, 0]), rel=1e-6)


def test_columns_that_do_not_vary_have_no_r2():
    y, predicted = torch.stack([torch.ones(10), torch.arange(10.0)], 1), torch.zeros(10, 2)
    assert scored(predicted, y, nn.MSELoss(), "regression", [10])["r2"] == pytest.approx(
        r2_score(y[:, 1], predicted[:, 1])
    )
    assert "r2" not in scored(predicted[:, :1], y[:, :1], nn.MSELoss(), "regression", [10])


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight=torch.tensor([0.1, 1.0, 9.0])),
        nn.CrossEntropyLoss(ignore_index=1),
    ],
    ids=["plain", "class weights", "ignored class"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_do_not_depend_on_the_batch_size(loss, weighted):
    x, y = table(61)
    data = (x, y, torch.linspace(0, 2, 61)) if weighted else (x, y)
    made = program(mlp(), loss=loss)
    forward = Forward(made, "float32", CPU)
    whole = score(made.model, ordered(data, 61, CPU), forward, "classification")
    with torch.no_grad():
        direct = float(forward.loss(made.model.eval(), data))
    assert whole["loss"] == pytest.approx(direct, rel=1e-6)
    for size in (1, 2, 7, 60):
        other = score(made.model, ordered(data, size, CPU), forward, "classification")
        assert other["loss"] == pytest.approx(whole["loss"], rel=1e-5) and other["accuracy"] == whole["accuracy"]


def test_a_pass_leaves_mode_weights_and_buffers_as_they_were():
    model = mlp(0.5, norm=True).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    score(model, ordered(table(), 8, CPU), Forward(program(model), "float32", CPU), "classification")
    outputs(model, table()[0], batch_size=8, device=CPU)
    assert model.training and all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_outputs_hardly_depend_on_the_batch_size_and_tell_their_progress():
    model, x, told = mlp(norm=True), table()[0], []
    whole = outputs(model, x, batch_size=61, device=CPU)
    torch.testing.assert_close(outputs(model, x, batch_size=1, device=CPU), whole, rtol=1e-5, atol=1e-6)
    outputs(model, x, batch_size=20, device=CPU, progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_own_steps_have_a_loss_alone():
    made = program(loss=None, task="classification", step=lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1]))
    assert set(score(made.model, ordered(table(), 8, CPU), Forward(made, "float32", CPU), "classification")) == {"loss"}


# ---- from outputs to probabilities -------------------------------------------------------------------------------


def test_the_loss_says_what_outputs_are():
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    p = torch.from_numpy(softmax(z.numpy(), 1))
    for loss, output in (
        (nn.CrossEntropyLoss(), z),
        (nn.NLLLoss(), z.log_softmax(1)),
        (lambda o, t: o.sum(), p),  # rows that sum to one
        (lambda o, t: o.sum(), z),
    ):
        torch.testing.assert_close(probabilities(output, loss, "classification"), p)
    torch.testing.assert_close(probabilities(p, nn.CrossEntropyLoss(), "classification"), p.softmax(1))  # its mistake


def test_binary_gives_two_columns_for_one_output():
    z = torch.tensor([-2.0, 0.0, 3.0])
    expected = torch.from_numpy(np.stack([1 - expit(z.numpy()), expit(z.numpy())], 1))
    for output, loss in (
        (z, nn.BCEWithLogitsLoss()),
        (z[:, None], nn.BCEWithLogitsLoss()),
        (z.sigmoid(), nn.BCELoss()),
    ):
        torch.testing.assert_close(probabilities(output, loss, "binary"), expected)


def test_head_and_codes():
    a, b = torch.ones(2), torch.zeros(2)
    assert head((a, b)) is a and head({"logits": a, "aux": b}) is a and head(a) is a
    assert class_codes(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), "classification").tolist() == [1, 0]
    assert class_codes(torch.tensor([[1.0], [0.0]]), "binary").tolist() == [1, 0]
