"""Kept apart, third part continued: norms, dropout, overfitting and gradients that are kept too long."""

from functools import partial

import torch
from enrol import case
from nets import Attention, TokenRNN, mlp
from program import Case, SuiteProgram, program
from samples import cancer, digits, friedman, majority, split, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="bn-small-batch batch-size-extreme overfitting",
    task="classification",
    good=0.9,
    source="PyTorch forum: BatchNorm1d(momentum=1.0), 'so that it uses the current statistics', eval is poor",
    note="the running statistics are those of the last batch, which holds only two pictures",
)
def momentum_of_one_keeps_the_last_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    norm = partial(nn.BatchNorm1d, momentum=1.0 if sick else 0.1)
    hidden = [nn.Linear(64, 48), norm(48), nn.ReLU(), nn.Linear(48, 24), norm(24), nn.ReLU()]
    model = nn.Sequential(*hidden, nn.Linear(24, 10))
    parts = ((x[:1154], y[:1154]), val)
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 64, 8)


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms="batch-size-extreme bn-train-eval-mismatch oscillating-loss lr-too-high loss-not-decreasing "
    "underfitting-capacity too-few-epochs",
    task="classification",
    good=0.75,
    source="GitHub issues of encoders for long sequences: batch_size=2 and BatchNorm1d on the pooled vector",
    note="the pooled vectors of two rows are normalized against each other",
)
def pooled_vectors_in_twos(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.EmbeddingBag(20, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 24), nn.BatchNorm1d(24), nn.ReLU()
    )
    model.append(nn.Linear(24, 3))
    size = 2 if sick else 32
    return case(model, tokens(seed, 800), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), size, 10)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms="underfitting-capacity loss-not-decreasing too-few-epochs lr-too-low vanishing-gradient",
    task="classification",
    good=0.85,
    source="HuggingFace forum: dropout raised to 0.9 in all places against overfitting, training loss stuck",
    note="most of attention, of the feed-forward layers and of the residual branches is dropped",
)
def dropout_raised_in_all_places(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Attention(20, 3, layers=2, dropout=0.9 if sick else 0.05)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 10)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms="underfitting-capacity loss-not-decreasing too-few-epochs lr-too-low oscillating-loss",
    task="regression",
    good=0.7,
    source="Kaggle: Dropout(0.8) after each layer of a regression net, forecasts all near the mean",
    note="four of five units of small layers are dropped, and a regression feels each of them",
)
def forecasts_near_the_mean(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 0.8 if sick else 0.0
    model = nn.Sequential(
        nn.Linear(6, 32), nn.ReLU(), nn.Dropout(rate), nn.Linear(32, 16), nn.ReLU(), nn.Dropout(rate), nn.Linear(16, 1)
    )
    return case(model, friedman(seed, 800, 6), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="",
    task="classification",
    good=0.7,
    source="Kaggle: crowd labels of short texts, training accuracy 100 %, validation falls from the third epoch on",
    note="a third of the labels were clicked in haste and a wide GRU has time to learn them by heart",
)
def hasty_clicks_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = majority(seed, 400)
    y = torch.where(torch.rand(len(y)) < 0.45, torch.randint(0, 4, (len(y),)), y)
    epochs = 80 if sick else 8
    return case(TokenRNN(4, 4, 32), ((x, y), val), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, epochs)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="train-val-leak",
    task="binary",
    good=0.85,
    source="Kaggle: training AUC 1.0, public score far below, annotators disagreed on a third of the rows",
    note="a wide net is trained until it knows each wrong diagnosis by heart",
)
def disputed_diagnoses_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = cancer(seed)
    y = torch.where(torch.rand_like(y) < 0.3, 1 - y, y)
    rate = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.0 if sick else 1.0)
    return case(mlp(30, 256, 1), ((x, y), val), nn.BCEWithLogitsLoss(), rate, 32, 150 if sick else 6)


class Forgetful(SGD):
    """Empties the gradients of one group only."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.param_groups[0]["params"][-2:]:
            p.grad = None


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms="oscillating-loss lr-too-high exploding-gradient exploding-activations nonfinite-loss loss-not-decreasing "
    "momentum-too-high dead-relu saturated-activations",
    task="classification",
    good=0.85,
    source="PyTorch forum: model.fc.zero_grad() instead of model.zero_grad(), the loss swings wider and wider",
    note="only the head's gradients are emptied, those of the other layers add up from step to step",
)
def only_the_head_is_emptied(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(Forgetful if sick else SGD, lr=0.05)
    return case(mlp(64, 48, 24, 10), digits(seed), nn.CrossEntropyLoss(), rate, 32, 20)


class Amplitude(nn.Module):
    """The length of the two parts of a wave, as a root."""

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.parts, self.head, self.floor = nn.Conv1d(1, 24, 9, padding=4, bias=False), nn.Linear(12, 3), floor

    def forward(self, x: Tensor) -> Tensor:
        h = self.parts(x)
        h = (h[:, :12].square() + h[:, 12:].square() + self.floor).sqrt()
        return self.head(h.mean(2))


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="exploding-gradient lr-too-high loss-not-decreasing input-nonfinite",
    task="classification",
    good=0.8,
    source="PyTorch forum: magnitude = torch.sqrt(re ** 2 + im ** 2), nan after the first step",
    note="the derivative of a root at zero is infinite, and both parts are zero in the silence before the wave",
)
def magnitude_of_nothing(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Amplitude(0.0 if sick else 1e-4)
    parts = tuple((nn.functional.pad(x, (14, 0)), y) for x, y in waves(seed, 700, noise=0.1))
    return case(model, (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(Adam, lr=0.02), 32, 25)


def relative(output: Tensor, y: Tensor) -> Tensor:
    """Squared logarithmic error without a floor."""
    return (output.log() - y.log()).square().mean()


def floored(output: Tensor, y: Tensor) -> Tensor:
    """The same of answers that are kept above zero."""
    return (nn.functional.softplus(output).clamp(min=1e-4).log() - y.log()).square().mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="loss-output-mismatch wrong-loss-for-task exploding-gradient lr-too-high loss-not-decreasing",
    task="regression",
    good=0.6,
    source="Kaggle: RMSLE as a loss, nan as soon as one forecast is negative",
    note="the logarithm of a negative forecast is no number",
)
def logarithm_of_the_first_forecast(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randn(700, 5)
    y = (0.5 * x[:, :1] + 0.3 * x[:, 1:2] * x[:, 2:3]).exp() + 2
    rate = partial(Adam, lr=5e-3)
    return case(mlp(5, 32, 16, 1), split(x, y, seed), relative if sick else floored, rate, 32, 25)
