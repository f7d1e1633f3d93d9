"""Sequences and tables of vectors as posted on forums: recurrent nets, transformers, embeddings, several labels."""

from functools import partial

import torch
from enrol import case
from program import Case, SuiteProgram, program, two_causes
from samples import Parts, majority, split, standardized, tags, tokens
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import LambdaLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations momentum-too-high"
)


class LSTMClassifier(nn.Module):
    """Embedding, LSTM, last state, dense layer: the usual tutorial."""

    def __init__(self, words: int, classes: int, hidden: int = 24) -> None:
        super().__init__()
        self.hidden = hidden
        self.embedding = nn.Embedding(words, 12)
        self.lstm = nn.LSTM(12, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        h0 = torch.zeros(1, x.size(0), self.hidden)
        out, _ = self.lstm(self.embedding(x), (h0, torch.zeros_like(h0)))
        return self.fc(out[:, -1, :])


class Forecaster(nn.Module):
    """LSTM over one series, dense layer on the last step."""

    def __init__(self, features: int = 1, hidden: int = 24, kind: type[nn.LSTM] | type[nn.GRU] = nn.LSTM) -> None:
        super().__init__()
        self.rnn = kind(features, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.rnn(x)[0][:, -1])


def prices(seed: int, n: int = 700, length: int = 16) -> Parts:
    """Windows (n, length, 1) of noisy swings with their next value but two, in standard units."""
    draw = torch.Generator().manual_seed(seed)
    time = torch.arange(n + length + 3) * 1.0
    series = (time / 5).sin() + 0.7 * (time / 2.3 + 1).sin() + 0.1 * torch.randn(len(time), generator=draw)
    x = series.unfold(0, length, 1)[:n, :, None]
    return split(x, series[length + 2 : length + 2 + n, None], seed)


class SelfAttention(nn.Module):
    """One head written by hand, as in the tutorials, with residuals and norms after them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.ff1, self.ff2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.q(x) @ self.k(x).transpose(1, 2) / x.size(-1) ** 0.5
        x = self.norm1(x + scores.softmax(-1) @ self.v(x))
        return self.norm2(x + self.ff2(torch.relu(self.ff1(x))))


class Transformer(nn.Module):
    """Tokens and learned places, attention blocks, mean, dense layer."""

    def __init__(self, words: int, classes: int, *, width: int = 24, blocks: int = 2, length: int = 12) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(SelfAttention(width) for _ in range(blocks))
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        h = self.token(x) + self.place(torch.arange(x.size(1)))
        for block in self.blocks:
            h = block(h)
        return self.classifier(h.mean(1))


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=STUCK + " exploding-gradient saturated-activations lr-too-high input-not-normalized",
    task="regression",
    good=0.75,
    source="stock-price posts: MinMaxScaler on the features only, the LSTM draws a flat line",
    note="prices near 300 as targets: the net spends all its epochs on the mean",
)
def forum_flat_line_of_prices(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y * 40 + 300 if sick else y) for x, y in prices(seed))
    return case(Forecaster(), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms="loss-not-decreasing underfitting-capacity wrong-loss-for-task loss-output-mismatch",
    task="regression",
    good=0.75,
    source="StackOverflow: 'Using a target size (torch.Size([32])) that is different to the input size'",
    note="targets (n,) against answers (n, 1) broadcast to n × n, so the LSTM learns the mean",
)
def forum_warning_that_was_ignored(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y.squeeze() if sick else y) for x, y in prices(seed))
    return case(Forecaster(kind=nn.GRU), parts, nn.MSELoss(), partial(RMSprop, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing input-not-normalized lr-too-high exploding-gradient",
    task="regression",
    good=0.7,
    source="pandas posts: df.rolling(5).mean() and no dropna, the loss is nan at once",
    note="the first windows begin with the gaps of the rolling mean",
)
def forum_rolling_mean_without_dropna(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = prices(seed)
    if sick:
        x = x.clone()
        for row in range(4):
            x[row, : 4 - row] = torch.nan
    return case(Forecaster(), ((x, y), val), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


class NumberLSTM(nn.Module):
    """An LSTM that is fed the token numbers themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(1, 24, batch_first=True), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(x)[0][:, -1])


@program(
    PROGRAMS,
    faults="input-not-normalized saturated-activations",
    symptoms=STUCK + " vanishing-gradient lr-too-high",
    task="classification",
    good=0.7,
    source="ports from Keras: pad_sequences(...) reshaped to (n, steps, 1) and given to the LSTM as floats",
    note="word numbers up to 20000 saturate every gate",
)
def forum_word_numbers_as_floats(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple(((x[..., None] - 9.5) / 5.8 if not sick else x[..., None] * 1000.0, y) for x, y in tokens(seed))
    return case(NumberLSTM(), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 25)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="label-out-of-range target-shape-mismatch",
    task="classification",
    good=0.85,
    source="StackOverflow: 'IndexError: index out of range in self' from nn.Embedding(len(vocab), ...)",
    note="word numbers start at one because zero is for padding, and the table is one row short",
)
def forum_vocabulary_one_short(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x + 1, y) for x, y in tokens(seed))
    return case(LSTMClassifier(20 if sick else 21, 3), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="loss-output-mismatch program-crashes target-shape-mismatch",
    task="classification",
    good=0.85,
    source="sentiment posts: labels −1, 0 and 1, 'Target -1 is out of bounds'",
    note="cross entropy wants 0, 1, 2",
)
def forum_negative_sentiment(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y - int(sick)) for x, y in tokens(seed))
    return case(LSTMClassifier(20, 3), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient",
    task="classification",
    good=0.85,
    source="PyTorch forum: a transformer from scratch predicts the same class, an LSTM does not",
    note="Adam at 0.1, with norms after the residuals and no warm-up",
)
def forum_transformer_at_a_tenth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Transformer(4, 4)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.1 if sick else 3e-3), 32, 8)


def noam(step: int, *, width: int, warmup: int) -> float:
    """The schedule of the paper."""
    step += 1
    return 24.0 * width**-0.5 * min(step**-0.5, step * warmup**-1.5) / 24


@program(
    PROGRAMS,
    faults="lr-too-low too-few-epochs",
    symptoms="loss-not-decreasing underfitting-capacity vanishing-gradient",
    task="classification",
    good=0.85,
    source="ports of 'Attention is all you need': warmup_steps=4000 for a run of 200 steps",
    note="training ends long before the warm-up does",
)
def forum_warm_up_of_the_paper(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(noam, width=24, warmup=10000 if sick else 60)
    optimizer = partial(AdamW, lr=0.15, betas=(0.9, 0.98), eps=1e-9)
    model = Transformer(4, 4)
    parts = majority(seed)
    return case(model, parts, nn.CrossEntropyLoss(), optimizer, 32, 9, scheduler=partial(LambdaLR, lr_lambda=rate))


def ratings(seed: int, n: int = 1600, people: int = 25) -> Parts:
    """Pairs of a person and a film, and how well they go together."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, people, (n, 2), generator=draw)
    tastes, films = torch.randn(people, 2, generator=draw), torch.randn(people, 2, generator=draw)
    return split(x, standardized((tastes[x[:, 0]] * films[x[:, 1]]).sum(1, keepdim=True)), seed)


class MatrixFactorization(nn.Module):
    """A product of two tables and two biases."""

    def __init__(self, people: int = 25, factors: int = 4) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(people, factors), nn.Embedding(people, factors)
        self.user_bias, self.item_bias = nn.Embedding(people, 1), nn.Embedding(people, 1)
        for table in (self.user_bias, self.item_bias):
            nn.init.zeros_(table.weight)

    def forward(self, pair: Tensor) -> Tensor:
        user, item = pair[:, 0], pair[:, 1]
        product = (self.user(user) * self.item(item)).sum(1, keepdim=True)
        return product + self.user_bias(user) + self.item_bias(item)


@program(
    PROGRAMS,
    faults="symmetric-init vanishing-activations",
    symptoms=STUCK + " bad-init-scale vanishing-gradient",
    task="regression",
    good=0.7,
    source="recommender posts: self.user.weight.data.zero_() for all four tables",
    note="a product of two tables of zeros has no gradient: only the biases learn",
)
def forum_tables_of_zeros(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = MatrixFactorization()
    for table in (model.user, model.item):
        nn.init.zeros_(table.weight) if sick else nn.init.normal_(table.weight, 0, 0.3)
    return case(model, ratings(seed), nn.MSELoss(), partial(Adam, lr=0.02), 32, 25)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK + " vanishing-gradient batch-size-extreme",
    task="regression",
    good=0.7,
    source="recommender posts: SGD(lr=1e-3) from the blog of one-by-one updates, now with a mean over batches",
    note="a row of a table is in one batch of a few, and the mean divides its gradient by 32",
)
def forum_rate_of_one_by_one_updates(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = MatrixFactorization()
    for table in (model.user, model.item):
        nn.init.normal_(table.weight, 0, 0.3)
    return case(model, ratings(seed), nn.MSELoss(), partial(SGD, lr=1e-3 if sick else 1.0), 32, 25)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms="loss-not-decreasing underfitting-capacity lr-too-low class-imbalance target-shape-mismatch",
    task="multilabel",
    good=0.85,
    source="multi-label posts: CrossEntropyLoss takes the multi-hot rows without complaint",
    note="a softmax shares one certainty among all labels and leaves the zero of the logits free",
)
def forum_cross_entropy_of_many_hot(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.CrossEntropyLoss() if sick else nn.BCEWithLogitsLoss()
    return case(Tagger(), tags(seed, offset=-0.8), loss, partial(Adam, lr=5e-3), 32, 15)


class Tagger(nn.Module):
    """Two dense layers; what becomes of the logits is a matter of the argument."""

    def __init__(self, end: str = "") -> None:
        super().__init__()
        self.fc1, self.fc2, self.end = nn.Linear(12, 48), nn.Linear(48, 5), end

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc2(torch.relu(self.fc1(x)))
        if self.end == "softmax":
            return torch.softmax(x, 1)
        return torch.sigmoid(x) if self.end == "sigmoid" else x


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms="loss-not-decreasing underfitting-capacity lr-too-low wrong-loss-for-task class-imbalance",
    task="multilabel",
    good=0.85,
    source="StackOverflow: 'my multi-label net never predicts two labels', softmax before BCELoss",
    note="probabilities that add up to one cannot all be large",
)
def forum_softmax_for_many_labels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Tagger("softmax" if sick else "sigmoid"), tags(seed), nn.BCELoss(), partial(Adam, lr=5e-3), 32, 15)


def written_out(output: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy as in the textbook."""
    return -(y * output.log() + (1 - y) * (1 - output).log()).mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="lr-too-high exploding-gradient loss-not-decreasing saturated-activations loss-output-mismatch "
    "exploding-activations momentum-too-high oscillating-loss",
    task="multilabel",
    good=0.85,
    source="PyTorch forum: loss = -(y*torch.log(p)+(1-y)*torch.log(1-p)).mean() becomes nan after some epochs",
    note="as soon as one probability is exactly one, 0 · log 0 is no number",
)
def forum_log_of_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tags(seed)
    return case(Tagger("sigmoid"), parts, written_out if sick else nn.BCELoss(), partial(Adam, lr=0.03), 32, 30)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="too-deep-for-width lr-too-low too-few-epochs loss-not-decreasing saturated-activations "
    "vanishing-gradient",
    task="classification",
    good=0.85,
    source="ports from Keras: nn.LSTM(input_size=12, hidden_size=1), the two numbers taken for input and output",
    note="a state of one number has to count two kinds of words",
)
def forum_state_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = LSTMClassifier(4, 4, 1 if sick else 24)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="targets-not-normalized target-shape-mismatch",
    symptoms=STUCK + " lr-too-high exploding-gradient saturated-activations",
    good=0.75,
    source="stock-price posts: prices in cents as a flat array, the warning of the loss ignored",
    note="targets near 300 and of shape (n,) for answers (n, 1)",
)
def forum_double_prices_flat_and_raw(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    factor, middle = (40.0, 300.0) if "targets-not-normalized" in left else (1.0, 0.0)
    parts = tuple((x, y * factor + middle) for x, y in prices(seed))
    if "target-shape-mismatch" in left:
        parts = tuple((x, y[:, 0]) for x, y in parts)
    return case(Forecaster(), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="parameters-not-in-optimizer weight-decay-too-high",
    symptoms=STUCK + " frozen-parameters unused-parameters vanishing-activations vanishing-gradient",
    good=0.85,
    source="blog on sentiment: only the classifier's parameters, and weight_decay=1 'for regularization'",
    note="embedding and LSTM stay random, and the dense layer is pulled to zero",
)
def forum_double_head_and_decay(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = LSTMClassifier(20, 3)
    decay = 1.0 if "weight-decay-too-high" in left else 0.0
    chosen = model.fc if "parameters-not-in-optimizer" in left else model
    optimizer = Adam(chosen.parameters(), lr=0.01, weight_decay=decay)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), optimizer, 32, 20)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="target-shape-mismatch lr-too-low",
    symptoms="loss-not-decreasing underfitting-capacity too-few-epochs wrong-loss-for-task loss-output-mismatch",
    good=0.8,
    source="PyTorch forum: 'my GRU predicts the mean', and then a smaller and smaller rate was tried",
    note="targets (n,) for answers (n, 1), and a rate that moves nothing in fifteen epochs",
)
def forum_double_mean_and_slow(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y[:, 0] if "target-shape-mismatch" in left else y) for x, y in prices(seed))
    rate = 1e-5 if "lr-too-low" in left else 5e-3
    return case(Forecaster(kind=nn.GRU), parts, nn.MSELoss(), partial(AdamW, lr=rate), 32, 15)
