"""Sick loops: the watch speaks once, with the right code and place; without the cause it is silent (test_healthy)."""

import time

import loops
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

import trainwell as tw
from trainwell.clinic.finding import ERROR, Finding
from trainwell.errors import InputError


def only(watch) -> Finding:
    """The one finding that was spoken."""
    assert [finding.code for finding in watch.findings] == [watch.findings[0].code] and not watch._failed
    return watch.findings[0]


def run(parts: loops.Parts, steps: int = 60, loader=None, **how):
    with loops.attentive(parts.net, parts.optimizer, parts.loss, loader) as watch:
        loops.train(parts, steps, **how)
    return watch


# ---- what is not finite ----------------------------------------------------------------------------------------------


def test_operation_layer_batch_and_sample_of_a_nan_are_named():
    parts = loops.mlp(0.01)
    parts.net[3] = loops.Cut()  # the logarithm of an inactive unit, times 0
    finding = only(run(parts, 5))
    assert (finding.code, finding.where, finding.severity) == ("nonfinite-loss", "3", ERROR)
    assert finding.evidence["made by"] == "log" and finding.evidence["batch"] == finding.evidence["step"] == 1


def test_nan_is_found_in_the_batch_in_which_it_begins():
    parts = loops.mlp(0.01)
    parts.net.insert(0, Root())
    parts.x = parts.x.abs() + 0.1
    parts.x[0] *= -1
    finding = only(run(parts, 16))
    first = next(i for i, (x, y) in enumerate(parts.batches(16), start=1) if bool((x < 0).any()))
    assert (finding.where, finding.evidence["made by"], finding.evidence["step"]) == ("0", "sqrt", first)
    row = next(int((x < 0).all(1).nonzero()) for i, (x, y) in enumerate(parts.batches(16), start=1) if i == first)
    assert finding.evidence["samples"] == str(row)


class Root(nn.Module):
    def forward(self, x):
        return torch.sqrt(x)


def test_mask_of_minus_infinity_is_not_blamed_for_what_comes_later():
    parts = loops.transformer()
    parts.net.head = nn.Sequential(parts.net.head, Overflow())
    finding = only(run(parts, 3))
    assert (finding.where, finding.evidence["made by"]) == ("head.1", "exp")


class Overflow(nn.Module):
    def forward(self, h):
        return torch.exp(1e4 * h.abs()) * torch.zeros_like(h)  # ∞ · 0


def test_row_that_a_mask_leaves_empty_is_found_at_the_softmax():
    class Empty(nn.Module):
        def forward(self, h):
            return h + torch.softmax(h.masked_fill(torch.ones_like(h, dtype=torch.bool), -torch.inf), 1)

    parts = loops.mlp()
    parts.net.append(Empty())
    assert only(run(parts, 2)).evidence["made by"] == "_softmax"


def test_nan_in_the_loss_function_is_told_from_one_in_the_net():
    parts = loops.mlp()

    def loss(output, y):
        return F.cross_entropy(output, y) + torch.log(output.sum() * 0 - 1)

    watch = loops.attentive(parts.net, parts.optimizer, loss)
    parts.loss = watch.loss
    with watch:
        loops.train(parts, 2)
    finding = only(watch)
    assert (finding.where, finding.evidence["made by"]) == ("the loss", "log")


def test_derivative_that_makes_a_nan_of_a_finite_loss_is_named():
    class Distance(nn.Module):
        def forward(self, h):
            return h + torch.sqrt((h - h).square())  # its derivative at 0 is 0 · ∞

    parts = loops.mlp()
    parts.net[3] = nn.Sequential(nn.ReLU(), Distance())
    finding = only(run(parts, 2))
    assert (finding.code, finding.where) == ("nonfinite-loss", "3.1")
    assert "derivative of sqrt" in finding.message and finding.evidence["step"] == 1


@pytest.mark.parametrize("what", ["x", "y"])
def test_nan_of_the_data_is_the_datas(what):
    parts = loops.mlp(0.01)
    parts.net[4], parts.loss = nn.Linear(64, 1), nn.MSELoss()
    parts.optimizer = torch.optim.SGD(parts.net.parameters(), lr=0.01)
    parts.y = parts.y[:, None].float()
    getattr(parts, what)[7, 0] = float("nan")
    finding = only(run(parts, 16))
    assert (finding.code, finding.where) == ("input-nonfinite", {"x": "the batch", "y": "the targets"}[what])


def test_weights_that_were_not_finite_before_are_named():
    parts = loops.mlp()
    with torch.no_grad():
        parts.net[2].weight[3, 5] = float("inf")
    finding = only(run(parts, 2))
    assert finding.where == "2.weight" and finding.evidence["made by"] == "weights"


def test_what_is_drawn_in_the_pass_is_drawn_again():
    class Sometimes(nn.Module):
        def forward(self, h):
            return torch.where(torch.rand(()) < 0.2, torch.log(h * 0 - 1), h)

    parts = loops.mlp()
    parts.net[3] = Sometimes()
    torch.manual_seed(0)
    finding = only(run(parts, 40))
    assert (finding.where, finding.evidence["made by"]) == ("3", "log") and finding.evidence["step"] > 1


# ---- rate, gradients, units ------------------------------------------------------------------------------------------


def test_rate_too_high_is_said_when_a_step_throws_the_weights_away():
    finding = only(run(loops.cnn_at(1e3), 40))
    assert (finding.code, finding.where) == ("lr-too-high", "optimizer.lr") and finding.evidence["step"] <= 3


def test_rate_too_high_is_said_when_the_loss_stays_above_its_start():
    parts = loops.mlp()
    parts.optimizer = torch.optim.RMSprop(parts.net.parameters(), lr=0.1)
    assert only(run(parts, 80)).code == "lr-too-high"


def test_harder_data_are_no_rate_that_is_too_high():  # control: the loss rises, and the steps still lower it
    parts = loops.mlp(0.01)
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        for number, (x, y) in enumerate(parts.batches(80)):
            hard = torch.randint(0, 4, y.shape, generator=torch.Generator().manual_seed(number))
            parts.optimizer.zero_grad()
            parts.loss(parts.net(x if number < 20 else 2 * x), y if number < 20 else hard).backward()
            parts.optimizer.step()
    assert watch.findings == []


def test_rate_far_too_low():
    finding = only(run(loops.mlp(1e-9)))
    assert finding.code == "lr-too-low" and finding.evidence["largest relative change"] < 1e-6


def test_warm_up_from_zero_is_no_rate_that_is_too_low():  # control
    parts = loops.mlp(0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(parts.optimizer, lambda step: 1e-9 * (step + 1))
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        for x, y in parts.batches(60):
            parts.optimizer.zero_grad()
            parts.loss(parts.net(x), y).backward()
            parts.optimizer.step()
            schedule.step()
    assert watch.findings == []


@pytest.mark.parametrize("functional", [False, True])
def test_dying_units(functional):
    parts = loops.mlp(0.1)
    if functional:
        parts.net[1] = Called(F.relu)
    with torch.no_grad():
        parts.net[0].bias[:60] = -50.0
    finding = only(run(parts))
    assert (finding.code, finding.where) == ("dead-relu", "2")
    assert finding.evidence["dead share"] == pytest.approx(60 / 64)


class Called(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, h):
        return self.function(h)


def test_dead_channels_are_seen_through_pooling_and_flattening():
    parts = loops.cnn()
    with torch.no_grad():
        parts.net[5].bias.fill_(-50.0)  # of the norm before the last rectifier
        parts.net[5].bias[0] = 0.0
    finding = only(run(parts, 10))
    assert finding.where == "10" and finding.evidence["dead share"] == pytest.approx(15 / 16)


def test_vanishing_gradient():
    torch.manual_seed(0)
    parts = loops.mlp()
    layers = [layer for _ in range(12) for layer in (nn.Linear(20, 20), nn.Sigmoid())]
    parts.net = nn.Sequential(*layers, nn.Linear(20, 4))
    parts.optimizer = torch.optim.SGD(parts.net.parameters(), lr=0.01)
    finding = only(run(parts))
    assert (finding.code, finding.where) == ("vanishing-gradient", "0.weight")


def test_constant_loss_gives_no_gradient():
    parts = loops.mlp()
    parts.net.append(Called(lambda h: h * 0))
    assert only(run(parts, 20)).code == "vanishing-gradient"


def test_exploding_gradient():
    parts = loops.mlp(0.02)
    parts.loss, parts.y = nn.MSELoss(), F.one_hot(parts.y).float()
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        for number, (x, y) in enumerate(parts.batches(30)):
            parts.optimizer.zero_grad()
            parts.loss(parts.net(x), y if number != 20 else 1e4 * y).backward()
            parts.optimizer.step()
    assert watch.findings[0].code == "exploding-gradient" and watch.findings[0].evidence["step"] == 21


# ---- the loop itself -------------------------------------------------------------------------------------------------


def test_gradients_that_are_never_zeroed():
    parts = loops.mlp(1e-3)
    finding = only(run(parts, 12, zero=False))
    assert (finding.code, finding.where, finding.evidence["step"]) == ("stale-gradients", "optimizer.zero_grad", 3)


def test_gradients_that_are_never_zeroed_with_accumulation():
    assert only(run(loops.mlp(1e-3), 12, zero=False, accumulate=3)).code == "stale-gradients"


def test_training_in_evaluation_mode_after_a_validation():
    parts = loops.cnn()
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        loops.train(parts, 4)
        parts.net.eval()
        with torch.no_grad():
            parts.loss(parts.net(parts.x[:64]), parts.y[:64])
        loops.train(parts, 4)
    finding = only(watch)
    assert (finding.code, finding.where, finding.evidence["mode"]) == ("wrong-mode", "1", "eval")
    assert finding.evidence["step"] == 5


@pytest.mark.parametrize("with_loss", [False, True])
def test_validation_in_training_mode(with_loss):
    parts = loops.cnn()
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        loops.train(parts, 10)
        with torch.no_grad():
            for x, y in parts.batches(2):
                output = parts.net(x)
                if with_loss:
                    parts.loss(output, y)
        loops.train(parts, 3)
    finding = only(watch)
    assert (finding.code, finding.evidence["mode"], finding.evidence["step"]) == ("wrong-mode", "train", 11)


def test_validation_in_evaluation_mode_and_new_moments_are_silent():  # control
    parts = loops.cnn()
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        for _ in range(2):
            loops.train(parts, 10)
            parts.net.eval()
            with torch.no_grad():
                for x, y in parts.batches(3):
                    parts.loss(parts.net(x), y)
            parts.net.train()
            torch.optim.swa_utils.update_bn([x for x, _ in parts.batches(3)], parts.net)
    assert watch.findings == []


def test_layer_that_no_optimizer_holds():
    parts = loops.mlp()
    parts.optimizer = torch.optim.SGD([p for layer in parts.net[2:] for p in layer.parameters()], lr=0.05)
    finding = only(run(parts))
    assert (finding.code, finding.where) == ("parameters-not-in-optimizer", "0.weight")
    assert finding.evidence["parameters"] == 2


def test_layer_that_another_optimizer_holds_is_silent():  # control
    parts = loops.mlp()
    first = torch.optim.SGD(parts.net[0].parameters(), lr=0.05)
    parts.optimizer = torch.optim.SGD([p for layer in parts.net[2:] for p in layer.parameters()], lr=0.05)
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        for x, y in parts.batches(30):
            parts.loss(parts.net(x), y).backward()
            for one in (first, parts.optimizer):
                one.step()
                one.zero_grad()
    assert watch.findings == []


def test_layer_that_is_never_used():
    parts = loops.mlp()
    parts.net[1].spare = nn.Linear(64, 64)
    parts.optimizer = torch.optim.SGD(parts.net.parameters(), lr=0.05)
    finding = only(run(parts, 20))
    assert (finding.code, finding.where) == ("unused-parameters", "1.spare.weight")


class Slow(Dataset):
    def __init__(self, x, y, seconds):
        self.x, self.y, self.seconds = x, y, seconds

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        time.sleep(self.seconds)
        return self.x[index], self.y[index]


@pytest.mark.parametrize("seconds", [0.0, 2e-3])
def test_data_that_the_net_waits_for(seconds):
    parts = loops.mlp()
    loader = DataLoader(Slow(parts.x[:320], parts.y[:320], seconds), batch_size=8, shuffle=True)
    if not seconds:
        loader = [(x, y) for x, y in loader]
    with loops.attentive(parts.net, parts.optimizer, parts.loss, loader) as watch:
        for x, y in loader:
            parts.optimizer.zero_grad()
            parts.loss(parts.net(x), y).backward()
            parts.optimizer.step()
    if not seconds:
        assert watch.findings == []
        return
    finding = only(watch)
    assert finding.code == "data-loading-bottleneck" and "no workers" in finding.message
    assert finding.evidence["share"] > 0.5 and finding.evidence["milliseconds"] > 16


class Labelled(Dataset):
    """A data set that has its labels only one by one."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


@pytest.mark.parametrize("kind", [TensorDataset, Labelled])
@pytest.mark.parametrize("shuffle", [False, True])
def test_samples_sorted_by_class(kind, shuffle):
    parts = loops.mlp(0.01)
    order = parts.y.argsort()
    loader = DataLoader(kind(parts.x[order], parts.y[order]), batch_size=32, shuffle=shuffle)
    with loops.attentive(parts.net, parts.optimizer, parts.loss, loader) as watch:
        for x, y in loader:
            parts.optimizer.zero_grad()
            parts.loss(parts.net(x), y).backward()
            parts.optimizer.step()
    assert [finding.code for finding in watch.findings] == ["unshuffled-data"] * (not shuffle)
    if not shuffle:
        assert watch.findings[0].evidence["step"] == (1 if kind is TensorDataset else 8)


# ---- what is said ----------------------------------------------------------------------------------------------------


def test_a_finding_is_a_sentence_on_stderr_once(capsys):
    parts = loops.mlp(1e-3)
    with tw.watch(parts.net, parts.optimizer, loss=parts.loss) as watch:
        loops.train(parts, 12, zero=False)
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert told.err.startswith("trainwell: step 3: stale-gradients at optimizer.zero_grad. Gradients of earlier")
    assert "stale-gradients" in str(watch) and "Cure: call optimizer.zero_grad() every step." in str(watch)
    assert "stale-gradients" in watch._repr_html_() and "stale-gradients" in repr(watch)
    given = watch.to_dict()
    assert given["findings"][0]["evidence"]["step"] == 3 and not given["healthy"] and given["steps"] == 12
    assert '"code": "stale-gradients"' in watch.to_json()


def test_it_says_what_it_cannot_see_without_loss_and_loader():
    parts = loops.mlp()
    with loops.attentive(parts.net, parts.optimizer) as watch:
        loops.train(parts, 4)
    assert [one.partition(":")[0] for one in watch.blind] == ["without loader", "without loss"]
    assert str(watch).count("without loss") == 1
    with loops.attentive(parts.net, parts.optimizer, lambda output, y: None, []) as watch:
        loops.train(parts, 4)
    assert watch.blind == ["the loss is never seen: call w.loss in its place"]
    with loops.attentive(parts.net, parts.optimizer, parts.loss, []) as watch:
        loops.train(parts, 4)
    assert watch.blind == []


def test_nan_is_found_by_the_gradients_where_no_loss_is_seen():
    parts = loops.mlp()
    parts.net[3] = loops.Cut()
    with loops.attentive(parts.net, parts.optimizer) as watch:
        loops.train(parts, 4)
    finding = only(watch)
    assert (finding.where, finding.evidence["made by"]) == ("3", "log")


def test_an_alarm_that_fails_is_said_and_asked_no_more():
    parts = loops.mlp()
    watch = loops.attentive(parts.net, parts.optimizer, parts.loss, [])

    class Broken:
        BLIND = "something"

        def step(self, seen):
            raise KeyError("x")

    watch._asked["step"].insert(0, Broken())
    with watch:
        loops.train(parts, 3)
    assert len(watch.blind) == 1 and watch.blind[0].startswith("something: ") and "KeyError" in watch.blind[0]


def test_symptoms_are_folded_below_the_cause_that_was_said():
    parts = loops.mlp(1e-3)
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        loops.train(parts, 8, zero=False)
        for group in parts.optimizer.param_groups:
            group["lr"] = 100.0
        loops.train(parts, 8, zero=False)
    assert watch.findings[0].code == "stale-gradients" and "lr-too-high" in watch.findings[0].symptoms


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"net": 3}, "the net is a int"),
        ({"optimizer": "sgd"}, "the optimizer is a str"),
        ({"optimizer": []}, "no optimizer"),
        ({"loss": 0.3}, "the loss is a float"),
        ({"share": 0.0}, "share is 0"),
    ],
)
def test_wrong_input_is_refused(change, words):
    parts = loops.mlp()
    given = {"net": parts.net, "optimizer": parts.optimizer, "loss": parts.loss, **change}
    with pytest.raises(InputError, match=words):
        tw.watch(**given)
