"""Programs as people post them, sequences: forecasts, word counts and taggers by RNN, GRU and LSTM."""

from functools import partial

import torch
from enrol import case
from nets import SeriesRNN, TokenRNN
from program import Case, SuiteProgram, program
from samples import Parts, split, standardized, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam, RMSprop

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations loss-not-decreasing "
    "saturated-activations bad-init-scale momentum-too-high"
)


def load_curve(seed: int, n: int = 700, window: int = 16) -> Parts:
    """Windows (n, window, 1) of a noisy daily curve with a slow drift; the target (n, 1) is what comes next."""
    draw = torch.Generator().manual_seed(seed)
    hour = torch.arange(n + window)
    daily = (2 * torch.pi * hour / 24).sin() + 0.5 * (2 * torch.pi * hour / 7).sin()
    curve = standardized((daily + 0.1 * torch.randn(n + window, generator=draw))[:, None])[:, 0]
    windows = curve.unfold(0, window + 1, 1)[:n]
    return split(windows[:, :-1, None].clone(), windows[:, -1:].clone(), seed)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=STUCK + " lr-too-high exploding-gradient",
    task="regression",
    good=0.8,
    source="StackOverflow: LSTM forecast of energy consumption is a flat line far below the data",
    note="inputs were scaled, the load of the next hour was not: 30 000 megawatts, to which Adam goes by thousandths",
)
def load_of_the_next_hour(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = load_curve(seed)
    if sick:
        y, y_val = 30000 + 6000 * y, 30000 + 6000 * y_val
    model = SeriesRNN(1, 1, 24, kind=nn.LSTM)
    return case(model, ((x, y), (x_val, y_val)), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


class ReluForecast(SeriesRNN):
    """A forecast that cannot fall below zero."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


@program(
    PROGRAMS,
    faults="loss-output-mismatch dead-relu",
    symptoms=STUCK + " vanishing-gradient",
    task="regression",
    good=0.8,
    source="PyTorch forum: LSTM + linear + ReLU for a forecast, 'the model never predicts the valleys'",
    note="the standardized series is negative half of the time, a ReLU behind the last layer is not",
)
def forecast_behind_a_relu(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = (ReluForecast if sick else SeriesRNN)(1, 1, 24)
    return case(model, load_curve(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


class Kept(SeriesRNN):
    """A GRU that goes on where the batch before ended."""

    def __init__(self, *, cut: bool) -> None:
        super().__init__(1, 1, 24)
        self.cut, self.state = cut, torch.zeros(1, 1, 24)

    def forward(self, x: Tensor) -> Tensor:
        start = self.state.mean(1, keepdim=True).expand(1, len(x), 24).contiguous()
        answers, state = self.rnn(x, 0.1 * start)
        self.state = state.detach() if self.cut or not self.training else state
        return self.head(answers[:, -1])


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="stale-gradients",
    task="regression",
    good=0.8,
    source="StackOverflow: 'Trying to backward through the graph a second time', the hidden state was not detached",
    note="the state of the last batch comes with its graph, which the backward pass has already freed",
)
def state_kept_with_its_graph(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Kept(cut=not sick), load_curve(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 12)


class Rewrapped(TokenRNN):
    """What the GRU says is put into a new tensor before the head sees it."""

    def forward(self, x: Tensor) -> Tensor:
        answers = self.rnn(self.embed(x))[0][:, -1]
        return self.head(torch.tensor(answers.tolist()))


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms="unused-parameters parameters-not-in-optimizer underfitting-capacity loss-not-decreasing lr-too-low "
    "too-few-epochs",
    task="classification",
    good=0.8,
    source="forum posts: torch.tensor(hidden) or .numpy() in the middle of forward cuts the graph",
    note="the GRU's answer is copied into a new tensor, so that no gradient comes back to it",
)
def answer_put_into_a_new_tensor(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = (Rewrapped if sick else TokenRNN)(20, 3)
    return case(model, tokens(seed, 800), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 15)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="program-crashes target-shape-mismatch loss-output-mismatch",
    task="classification",
    good=0.9,
    source="char-rnn posts: the end-of-text token got the number len(vocabulary): 'Target 12 is out of bounds'",
    note="the next token may be the end token 12, and the head has outputs for 0 to 11",
)
def end_token_not_counted(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 12, (900, 8), generator=draw)
    y = torch.where(x[:, -1] < 2, 12, (x[:, -1] + 1) % 12)
    model = TokenRNN(12, 12 if sick else 13, width=24)
    return case(model, split(x, y, seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 12)


class HandMade(nn.Module):
    """A recurrent cell of one's own: h ← bend(W x + U h)."""

    def __init__(self, features: int, outputs: int, bend: nn.Module, width: int = 24) -> None:
        super().__init__()
        self.inlet, self.back = nn.Linear(features, width), nn.Linear(width, width, bias=False)
        nn.init.orthogonal_(self.back.weight)
        self.bend, self.outlet = bend, nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), self.back.in_features)
        for step in x.unbind(1):
            h = self.bend(self.inlet(step) + self.back(h))
        return self.outlet(h)


def energy(seed: int, n: int = 800, length: int = 8) -> Parts:
    """Rows (n, length, 1) of either sign; the label is whether they are strong."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (n,), generator=draw)
    strength = 0.4 + 1.2 * y[:, None, None]
    return split(strength * torch.randn(n, length, 1, generator=draw), y, seed)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=STUCK,
    task="classification",
    good=0.85,
    source="homework posts: RNN cell written by hand as i2h(x) + h2h(h), the tanh of the formula left out",
    note="without its tanh the recurrence is one linear map, which cannot tell strong from weak rows of either sign",
)
def cell_without_its_tanh(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = HandMade(1, 2, nn.Identity() if sick else nn.Tanh())
    return case(model, energy(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=STUCK + " vanishing-activations saturated-activations bad-init-scale too-deep-for-width",
    task="regression",
    good=0.6,
    source="RNN-from-scratch tutorials with torch.sigmoid in the cell; 'it only remembers the last number'",
    note="a sigmoid in the cell shrinks the gradient at least fourfold with every step back",
)
def cell_with_a_sigmoid(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(800, 10, 1, generator=draw)
    model = HandMade(1, 1, nn.Sigmoid() if sick else nn.Tanh())
    return case(model, split(x, x[:, 2], seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="bad-init-scale saturated-activations",
    symptoms=STUCK + " exploding-gradient vanishing-gradient lr-too-high oscillating-loss exploding-activations",
    task="classification",
    good=0.8,
    source="StackOverflow: for p in rnn.parameters(): p.data.normal_(0, 1), as one did for a perceptron",
    note="standard normal weights between forty-eight tanh units: every unit is at −1 or 1, chaotically",
)
def recurrence_of_standard_normals(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = SeriesRNN(1, 3, 48, kind=nn.RNN)
    for parameter in model.rnn.parameters() if sick else ():
        nn.init.normal_(parameter)
    parts = tuple((x.transpose(1, 2), y) for x, y in waves(seed, 800, 20, noise=0.2))
    return case(model, (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="momentum-too-high lr-too-high",
    symptoms=WILD,
    task="classification",
    good=0.8,
    source="posts of RMSprop(alpha=0.9, momentum=0.995), the two taken for each other",
    note="RMSprop with a momentum of 0.995: two hundred full steps in one direction before it turns",
)
def rmsprop_with_momentum(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(RMSprop, lr=5e-3, momentum=0.995 if sick else 0.0)
    return case(TokenRNN(20, 3), tokens(seed, 800), nn.CrossEntropyLoss(), optimizer, 32, 15)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations",
    task="regression",
    good=0.8,
    source="Kaggle forecasting notebooks: Adam(weight_decay=0.1) 'against overfitting'; the forecast is the mean",
    note="the L2 penalty inside Adam outweighs the gradient of a small error: an LSTM that answers the mean",
)
def decay_against_an_lstm(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=5e-3, weight_decay=0.3 if sick else 1e-5)
    return case(SeriesRNN(1, 1, 24, kind=nn.LSTM), load_curve(seed), nn.MSELoss(), optimizer, 32, 15)


class Repeated(SGD):
    """Empties the gradients on every eighth call only, but steps on every one."""

    calls = 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.calls += 1
        if self.calls % 8 == 1:
            super().zero_grad(set_to_none)


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms=WILD,
    task="regression",
    good=0.8,
    source="gradient-accumulation posts: zero_grad() inside the 'if (i + 1) % 8 == 0', step() outside of it",
    note="each step takes the sum of up to eight gradients, most of them of earlier weights",
)
def accumulated_but_stepped_each_time(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Repeated if sick else SGD, lr=0.1, momentum=0.9)
    return case(SeriesRNN(1, 1, 24), load_curve(seed), nn.MSELoss(), optimizer, 32, 20)


def stars(output: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy of one score, whatever the number of classes."""
    return nn.functional.binary_cross_entropy_with_logits(output, y.float()[:, None])


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch label-out-of-range",
    symptoms=STUCK + " exploding-activations lr-too-high",
    task="classification",
    good=0.8,
    source="sentiment tutorials for two classes followed with three: one output and BCEWithLogitsLoss, loss below zero",
    note="negative, neutral and positive as 0, 1 and 2 for a loss of yes and no: it falls without bound",
)
def three_moods_for_a_binary_loss(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = stars if sick else nn.CrossEntropyLoss()
    return case(TokenRNN(20, 1 if sick else 3), tokens(seed, 800), loss, partial(Adam, lr=0.01), 32, 15)
