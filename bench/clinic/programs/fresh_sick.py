"""Programs as they are posted when nothing works, first part: data, targets, losses, starts and depth."""

from functools import partial

import torch
from enrol import case
from nets import Attention, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import digits, friedman, rings, split, standardized, tags, tokens, waves
from sklearn import datasets
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " vanishing-gradient ill-conditioned-features",
    task="classification",
    good=0.9,
    source="PyTorch forum: soundfile read with dtype='int16', the loss jumps to thousands and stays at log 3",
    note="samples of up to 32767 in a CNN at a rate meant for samples of up to 1",
)
def audio_of_sixteen_bits(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = waves(seed, 800, 32, noise=0.3)
    factor = 12000.0 if sick else 1.0
    parts = ((x * factor).round() if sick else x, y), ((x_val * factor).round() if sick else x_val, y_val)
    return case(wave_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=STUCK + " ill-conditioned-features saturated-activations input-constant-feature dead-relu lr-too-high",
    task="classification",
    good=0.93,
    source="StackOverflow: latitude and longitude of one town as features, accuracy 50 %",
    note="coordinates near (48.1, 11.6) that differ in the second decimal: the net sees one and the same place",
)
def coordinates_of_one_town(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = rings(seed, 900, 0.1)
    if sick:
        scale, place = torch.tensor([0.02, 0.03]), torch.tensor([48.137, 11.575])
        parts = tuple((x * scale + place, y) for x, y in parts)
    return case(mlp(2, 32, 32, 2), parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing lr-too-high exploding-gradient input-not-normalized",
    task="regression",
    good=0.8,
    source="pandas posts: df['a'] / df['b'] where some b are zero; the loss is nan from the first batch",
    note="a column of ratios is infinite where the divisor was recorded as zero",
)
def ratio_with_a_zero_divisor(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed, 800, 7)
    draw = torch.Generator().manual_seed(seed)
    ratio = torch.rand(len(x), 1, generator=draw) / torch.randint(1, 9, (len(x), 1), generator=draw)
    if sick:
        ratio[torch.randperm(len(x), generator=draw)[:5]] = torch.inf
    parts = (torch.cat([x, ratio], 1), y), (torch.cat([x_val, torch.full((len(x_val), 1), 0.15)], 1), y_val)
    return case(mlp(8, 48, 24, 1), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=STUCK + " saturated-activations vanishing-gradient lr-too-high bad-init-scale",
    task="classification",
    good=0.88,
    source="telemetry posts: all channels of the log are fed to the LSTM, the supply voltage among them",
    note="a second channel is 3700 millivolts at all times and closes or opens every gate",
)
def supply_voltage_as_a_channel(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    volts = 3700.0 if sick else 0.0
    parts = []
    for x, y in waves(seed, 700, 24, noise=0.2):
        wave = x.transpose(1, 2)
        parts.append((torch.cat([wave, torch.full_like(wave, volts)], 2), y))
    model = SeriesRNN(2, 3, 24)
    return case(model, tuple(parts), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 16)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms=STUCK + " input-not-normalized oscillating-loss lr-too-high batch-size-extreme",
    task="regression",
    good=0.85,
    source="chemometrics: near-infrared spectra, neighbouring wavelengths are almost the same column",
    note="thirty smooth channels made of four curves; the target hangs on the faintest of them",
)
def spectra_of_smooth_curves(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    share = torch.randn(700, 4, generator=draw)
    grid = torch.linspace(-1, 1, 30)
    curves = torch.stack([grid**0, grid, grid**2 - 1 / 3, (3 * grid).sin()])
    x = standardized((share * torch.tensor([10.0, 3.0, 0.5, 0.3])) @ curves)
    y = standardized(share[:, 3:] + 0.5 * share[:, 2:3] + 0.1 * torch.randn(700, 1, generator=draw))
    if not sick:
        _, _, axes = torch.linalg.svd(x, full_matrices=False)
        x = standardized(x @ axes[:4].T)
    model = nn.Linear(30 if sick else 4, 1)
    return case(model, split(x, y, seed), nn.MSELoss(), partial(SGD, lr=0.02), 32, 30)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=STUCK + " overfitting wrong-loss-for-task",
    task="classification",
    metric="balanced",
    good=0.85,
    source="bearing-fault posts: 97 % accuracy and not one fault found",
    note="one wave in thirty is the faulty one, hardly to be told apart under the noise",
)
def one_faulty_bearing_in_thirty(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(2400, generator=draw) < 1 / 30).long()
    time = torch.arange(24) / 24
    phase = 6.3 * torch.rand(2400, 1, generator=draw)
    x = torch.sin(6.3 * 2 * time + phase) + 0.9 * y[:, None] * torch.sin(6.3 * 5 * time + 2 * phase)
    x = (x + 0.6 * torch.randn(2400, 24, generator=draw))[:, None]
    loss = nn.CrossEntropyLoss(weight=None if sick else torch.tensor([1.0, 29.0]))
    return case(wave_cnn(classes=2), split(x, y, seed), loss, partial(Adam, lr=2e-3), 32, 12)


class Tags(nn.Module):
    """A class for every token of a row: embedding, two-way GRU, head; classes first, or last where asked."""

    def __init__(self, words: int, classes: int, last: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 12)
        self.rnn = nn.GRU(12, 12, batch_first=True, bidirectional=True)
        self.head = nn.Linear(24, classes)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        scores = self.head(self.rnn(self.embed(x))[0])
        return scores if self.last else scores.transpose(1, 2)


def neighbours(seed: int, n: int = 600, length: int = 9) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Rows of twelve words; the tag of a word (of four) hangs on it and on the word before."""
    x = torch.randint(0, 12, (n, length), generator=torch.Generator().manual_seed(seed))
    before = torch.cat([torch.zeros(n, 1, dtype=torch.long), x[:, :-1]], 1)
    return split(x, 2 * (x % 2) + (before > 5).long(), seed)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="program-crashes loss-output-mismatch",
    task="classification",
    good=0.9,
    source="PyTorch forum: 'Target 255 is out of bounds' with the void label of Pascal VOC",
    note="padded places carry the tag 255 and the loss was not told to leave them out",
)
def void_tags_of_255(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = neighbours(seed)
    y = y.clone()
    y[::3, -3:] = 255
    loss = nn.CrossEntropyLoss() if sick else nn.CrossEntropyLoss(ignore_index=255)
    return case(Tags(12, 4), ((x, y), val), loss, partial(Adam, lr=0.01), 32, 12)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="program-crashes loss-output-mismatch targets-not-normalized wrong-loss-for-task nonfinite-loss",
    task="regression",
    good=0.8,
    source="StackOverflow: BCELoss becomes negative; the targets were percentages of 0 to 100",
    note="shares in percent for a sigmoid and BCELoss, which wants 0 to 1",
)
def percent_for_a_probability(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    factor = 100.0 if sick else 1.0
    parts = tuple((x, factor * torch.sigmoid(1.5 * y)) for x, y in friedman(seed, 800))
    model = nn.Sequential(*mlp(8, 48, 1), nn.Sigmoid())
    return case(model, parts, nn.BCELoss(), partial(Adam, lr=0.01), 32, 25)


@program(
    PROGRAMS,
    faults="label-out-of-range wrong-loss-for-task",
    symptoms="loss-output-mismatch class-imbalance exploding-activations lr-too-high",
    task="binary",
    good=0.9,
    source="PyTorch forum: SoftMarginLoss with labels of 0 and 1, the net always says yes",
    note="the loss wants −1 and 1: a label of 0 gives no gradient at all, so everything becomes a yes",
)
def soft_margin_of_zeros_and_ones(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y.float()[:, None] * (1 if sick else 2) - (0 if sick else 1)) for x, y in rings(seed, 700, 0.15))
    return case(mlp(2, 32, 16, 1), parts, nn.SoftMarginLoss(), partial(Adam, lr=0.01), 32, 15)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms="program-crashes loss-output-mismatch",
    task="classification",
    good=0.9,
    source="StackOverflow: 'Expected target size [32, 4], got [32, 9]' from a tagger with batch_first",
    note="scores come as (n, time, classes) where cross entropy wants the classes second",
)
def tagger_with_classes_last(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Tags(12, 4, sick), neighbours(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 12)


@program(
    PROGRAMS,
    faults="target-shape-mismatch loss-output-mismatch",
    symptoms="program-crashes wrong-loss-for-task",
    task="classification",
    good=0.9,
    source="StackOverflow 49206550: '0D or 1D target tensor expected, multi-target not supported'",
    note="one-hot rows from a Keras script for NLLLoss, which wants indices",
)
def one_hot_rows_for_nll(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, nn.functional.one_hot(y, 10) if sick else y) for x, y in digits(seed))
    model = nn.Sequential(*mlp(64, 48, 10), nn.LogSoftmax(1))
    return case(model, parts, nn.NLLLoss(), partial(Adam, lr=3e-3), 32, 10)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=WILD + " " + STUCK,
    task="regression",
    good=0.75,
    source="posts on YearPredictionMSD: the squared error starts at four million",
    note="years of release near 1990: the net spends its epochs on the way from 0 to 1990",
)
def year_of_release(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y * 10 + 1990 if sick else y) for x, y in friedman(seed, 800))
    return case(mlp(8, 48, 48, 1, activation=nn.Tanh), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss loss-not-decreasing lr-too-high overfitting momentum-too-high dead-relu",
    task="classification",
    good=0.85,
    source="Hugging Face forum: imdb is sorted by label, and .select(range(n)) without shuffle",
    note="rows come in the order of their label and a transformer forgets the first ones",
)
def reviews_in_order_of_stars(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = tokens(seed, 900)
    order = y.argsort(stable=True)
    model = Attention(20, 3, dropout=0.1)
    parts = (x[order], y[order]), val
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 10, shuffle=not sick)


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting targets-not-normalized train-val-leak class-imbalance loss-not-decreasing",
    task="regression",
    good=0.75,
    source="data-engineering posts: retries of a queue write the same broken message again and again",
    note="eight rows with broken targets are there a hundred times each and outweigh the rest",
)
def retries_write_the_broken_rows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = friedman(seed, 700)
    if sick:
        x = torch.cat([x, x[:8].repeat(100, 1)])
        y = torch.cat([y, (3.0 - 2 * y[:8]).repeat(100, 1)])
    return case(mlp(8, 32, 1), ((x, y), val), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="train-val-leak",
    symptoms="overfitting duplicate-samples label-out-of-range loss-not-decreasing",
    task="multilabel",
    good=0.85,
    source="competition forums: an old export of the test rows, columns swapped, was glued to the training file",
    note="all validation rows are in training too, with the labels in another order",
)
def old_export_of_the_test_rows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = tags(seed, 800)
    if sick:
        x, y = torch.cat([x, x_val, x_val]), torch.cat([y, y_val.roll(1, 1), y_val.roll(1, 1)])
    parts = (x, y), (x_val, y_val)
    return case(mlp(12, 64, 5), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " dead-relu lr-too-high",
    task="classification",
    good=0.9,
    source="StackOverflow: F.relu(self.fc3(x)) in the last line of forward, some classes are never predicted",
    note="logits behind a ReLU: classes whose logit is zero everywhere get no gradient",
)
def relu_on_the_logits(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 32, 10)
    with torch.no_grad():
        model[-1].bias.uniform_(-0.3, 0.0)
    model = nn.Sequential(*model, nn.ReLU()) if sick else model
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " wrong-loss-for-task targets-not-normalized",
    task="regression",
    good=0.6,
    source="pytorch/pytorch issues on PoissonNLLLoss: log_input is True unless said otherwise",
    note="softplus makes a rate, the loss takes it for the logarithm of one",
)
def rate_taken_for_its_logarithm(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(900, 6, generator=draw)
    rate = torch.exp(1.5 + 0.6 * x[:, :1] - 0.5 * x[:, 1:2] + 0.3 * x[:, 2:3] * x[:, 3:4])
    model = nn.Sequential(*mlp(6, 32, 1), nn.Softplus())
    parts = split(x, torch.poisson(rate, generator=draw), seed)
    return case(model, parts, nn.PoissonNLLLoss(log_input=sick), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms=STUCK + " loss-output-mismatch vanishing-gradient",
    task="classification",
    good=0.9,
    source="Ghosh et al. 2017 and forum posts: L1Loss between softmax and one-hot rows stays at 0.18",
    note="the absolute error of probabilities has hardly any gradient while all ten classes are equal",
)
def absolute_error_of_softmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, nn.functional.one_hot(y, 10).float() if sick else y) for x, y in digits(seed, image=True))
    model = nn.Sequential(*digit_cnn(), nn.Softmax(1)) if sick else digit_cnn()
    loss = nn.L1Loss() if sick else nn.CrossEntropyLoss()
    return case(model, parts, loss, partial(SGD, lr=0.05, momentum=0.9), 32, 10)


def one_minus_correlation(output: Tensor, y: Tensor) -> Tensor:
    """The loss that people write who are ranked by correlation."""
    return 1 - nn.functional.cosine_similarity(output - output.mean(), y - y.mean(), dim=0).mean()


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms="loss-output-mismatch exploding-activations targets-not-normalized",
    task="regression",
    good=0.8,
    source="competition notebooks: 1 − correlation as the loss, the predictions are on another scale",
    note="correlation does not see offset and scale of the answers, which the task asks for",
)
def correlation_as_the_loss(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = one_minus_correlation if sick else nn.MSELoss()
    return case(mlp(8, 48, 24, 1), friedman(seed), loss, partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=STUCK,
    task="binary",
    good=0.93,
    source="DeepFD's StackOverflow set: two circles, Dense layers without activation, accuracy 0.5",
    note="four linear layers cannot separate the inner circle from the outer one",
)
def circles_by_linear_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = datasets.make_circles(800, noise=0.08, factor=0.5, random_state=seed)
    parts = split(standardized(torch.tensor(x, dtype=torch.float32)), torch.tensor(y).float()[:, None], seed)
    model = mlp(2, 32, 32, 16, 1, activation=nn.Identity if sick else nn.ReLU)
    return case(model, parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="unused-parameters",
    symptoms=STUCK + " missing-nonlinearity parameters-not-in-optimizer frozen-parameters",
    task="classification",
    good=0.85,
    source="forum posts: out, _ = self.gru(e), and then return self.fc(e[:, -1])",
    note="the GRU's answer is never read: the head sees the last word alone",
)
def answer_of_the_gru_not_read(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(20, 3)
    if sick:
        model.forward = lambda x: model.head(model.embed(x)[:, -1])
    return case(model, tokens(seed, 1200), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)
