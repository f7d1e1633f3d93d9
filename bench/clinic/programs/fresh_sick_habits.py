"""Programs as they are posted when nothing works, third part: norms, modes, budgets, crashes, two causes."""

from functools import partial

import torch
from enrol import case
from nets import Attention, SeriesRNN, TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program, two_causes
from samples import blobs, cancer, digits, friedman, split, tags, tokens, waves, wine
from sklearn import datasets
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
NORMS = "bn-train-eval-mismatch bn-small-batch wrong-mode overfitting oscillating-loss"


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms=NORMS + " batch-size-extreme lr-too-high unshuffled-data",
    task="classification",
    good=0.86,
    source="ports from Keras: momentum=0.99 there is momentum=0.01 in PyTorch",
    note="the running statistics are those of the last six samples, and evaluation uses them for all",
)
def momentum_of_keras_norms(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for wide, narrow in ((12, 48), (48, 48), (48, 32)):
        layers += [nn.Linear(wide, narrow), nn.BatchNorm1d(narrow, momentum=0.99 if sick else 0.01), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(32, 8))
    return case(model, blobs(seed, 900, 12, 8, 3.5), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 6, 6)


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms=NORMS + " batch-size-extreme lr-too-high " + STUCK,
    task="regression",
    good=0.8,
    source="detection posts: two images fit on the card, the norms were left in",
    note="batches of two turn every normalized activation into −1 or 1",
)
def norms_over_two_patients(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    norm = nn.BatchNorm1d if sick else nn.LayerNorm
    model = nn.Sequential(
        nn.Linear(8, 32), norm(32), nn.ReLU(), nn.Linear(32, 32), norm(32), nn.ReLU(), nn.Linear(32, 1)
    )
    return case(model, friedman(seed, 500), nn.MSELoss(), partial(Adam, lr=2e-3), 2, 7)


class Dropped(nn.Module):
    """A classifier with functional dropout, told of the mode or not."""

    def __init__(self, told: bool) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(64, 48), nn.Linear(48, 32), nn.Linear(32, 10)
        self.told = told

    def forward(self, x: Tensor) -> Tensor:
        active = self.training or not self.told
        h = nn.functional.dropout(self.first(x).relu(), 0.6, active)
        return self.out(nn.functional.dropout(self.second(h).relu(), 0.6, active))


@program(
    PROGRAMS,
    faults="wrong-mode",
    symptoms="dropout-too-high underfitting-capacity too-few-epochs",
    task="classification",
    good=0.85,
    source="StackOverflow 53879727: F.dropout(x, 0.5) is active in evaluation too unless training=self.training",
    note="half of the units are dropped when it counts as well: the answers are drawn by lot",
)
def functional_dropout_never_told(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Dropped(not sick), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 15)


class FrozenNorms(nn.Sequential):
    """Layers whose batch norms stay in evaluation mode, as in detection code with pretrained backbones."""

    def train(self, mode: bool = True) -> "FrozenNorms":
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm1d):
                layer.eval()
        return self


@program(
    PROGRAMS,
    faults="wrong-mode bn-train-eval-mismatch",
    symptoms=STUCK + " input-not-normalized lr-too-high exploding-activations dead-relu exploding-gradient "
    "oscillating-loss saturated-activations bad-init-scale ill-conditioned-features nonfinite-loss",
    task="classification",
    good=0.9,
    source="torchvision-detection code: train() overridden to keep norms in eval mode, used from scratch",
    note="the norms keep mean 0 and variance 1 of their start, although the first was there to scale raw columns",
)
def norms_held_in_evaluation(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    kind = FrozenNorms if sick else nn.Sequential
    model = kind(nn.BatchNorm1d(13), nn.Linear(13, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 3))
    return case(model, wine(seed, raw=True), nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 16, 20)


class Forgetful(SGD):
    """A wrapper for gradient accumulation that lost the line which empties the gradients."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing."""


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms="lr-too-high oscillating-loss momentum-too-high loss-not-decreasing exploding-gradient dead-relu "
    "exploding-activations nonfinite-loss",
    task="classification",
    good=0.88,
    source="UMLAUT-like fault lists and forum posts: optimizer.zero_grad() commented out for accumulation",
    note="every step takes the sum of all gradients since the start",
)
def gradients_never_emptied(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Forgetful if sick else SGD, lr=0.1)
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 12)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=STUCK + " oscillating-loss",
    task="classification",
    good=0.85,
    source="forum posts: spatial dropout of 0.9 on word vectors, copied as 'keep 0.9'",
    note="nine of ten entries of every word vector are dropped before the GRU counts the words",
)
def nine_tenths_of_every_word(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(20, 3)
    model.embed = nn.Sequential(model.embed, nn.Dropout(0.9 if sick else 0.05))
    return case(model, tokens(seed, 1200), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="",
    task="multilabel",
    good=0.7,
    source="genomics posts: hundreds of columns, a hundred patients, training loss zero",
    note="300 rows of thirty columns, three tenths of their labels wrong, are learnt by heart",
)
def more_columns_than_sense(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    (x, y), val = tags(seed, 900, 30, 4)
    flip = torch.rand(y.shape, generator=draw) < 0.3
    x, y = x[:300], torch.where(flip, 1 - y, y)[:300]
    model = mlp(30, 256, 4) if sick else nn.Linear(30, 4)
    optimizer = partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.0 if sick else 0.5)
    return case(model, ((x, y), val), nn.BCEWithLogitsLoss(), optimizer, 16, 60 if sick else 20)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="loss-not-decreasing too-few-epochs lr-too-low missing-nonlinearity",
    task="regression",
    good=0.85,
    source="autoencoder posts: 'the output is always the same blurred picture' with a code of one",
    note="pictures of ten kinds through a code of one number",
)
def pictures_through_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    code = 1 if sick else 24
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, code), nn.Linear(code, 48), nn.ReLU())
    model.append(nn.Linear(48, 64))
    parts = tuple((x, x) for x, _ in digits(seed))
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing batch-size-extreme",
    task="regression",
    good=0.8,
    source="tutorial code with num_epochs = 2 for a demonstration, used as it stands",
    note="two epochs of an autoencoder are enough for the mean picture",
)
def two_epochs_of_an_autoencoder(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, x) for x, _ in digits(seed))
    return case(mlp(64, 48, 16, 48, 64), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 2 if sick else 30)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms=STUCK,
    task="classification",
    good=0.85,
    source="posts after a move to a large card: batch size 700, 'same number of epochs, worse by far'",
    note="700 rows in one batch: ten epochs are ten steps of a transformer",
)
def transformer_in_ten_steps(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Attention(20, 3), tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 700 if sick else 16, 10)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations vanishing-gradient dead-relu",
    task="classification",
    good=0.9,
    source="posts on image nets: weight_decay=1e-1 with SGD and momentum 'against overfitting'",
    note="the kernels of a small CNN shrink by a hundredth in every step, faster than they learn",
)
def kernels_pulled_to_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.05, momentum=0.9, weight_decay=0.2 if sick else 1e-4)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 10)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms="lr-too-high oscillating-loss loss-not-decreasing exploding-gradient exploding-activations "
    "saturated-activations lr-too-low too-few-epochs overfitting",
    task="regression",
    good=0.9,
    source="betas=(0.999, 0.9) by mistake for (0.9, 0.999)",
    note="Adam with its two betas exchanged: the mean of a thousand gradients over the size of the last ten",
)
def betas_exchanged(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    betas = (0.999, 0.9) if sick else (0.9, 0.999)
    optimizer = partial(Adam, lr=0.01, betas=betas)
    return case(mlp(8, 48, 24, 1, activation=nn.Tanh), friedman(seed), nn.MSELoss(), optimizer, 32, 20)


class FixedState(SeriesRNN):
    """A recurrent net that makes its first state for a batch of a set size."""

    size: int | None = 32

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(1, self.size or len(x), 24)
        return self.head(self.rnn(x, state)[0][:, -1])


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="target-shape-mismatch",
    task="classification",
    good=0.85,
    source="StackOverflow: 'Expected hidden size (1, 22, 24), got [1, 32, 24]' in the last batch",
    note="the first state is made for 32 rows, and the last batch has fewer",
)
def state_for_full_batches_only(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = FixedState(1, 3)
    model.size = 32 if sick else None
    parts = tuple((x.transpose(1, 2), y) for x, y in waves(seed, 700, 24, noise=0.2))
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 15)


class InPlace(nn.Module):
    """A shortcut that is added in place to what sigmoid keeps for its gradient."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(30, 24), nn.Linear(24, 24), nn.Linear(24, 1)
        self.in_place = in_place

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).relu()
        gate = self.second(h).sigmoid()
        if self.in_place:
            gate += h
        else:
            gate = gate + h
        return self.out(gate)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="",
    task="binary",
    good=0.92,
    source="PyTorch forum: '... needed for gradient computation has been modified by an inplace operation'",
    note="+= overwrites what the sigmoid's gradient needs",
)
def shortcut_added_in_place(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(InPlace(sick), cancer(seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 12)


class Ratings(nn.Module):
    """The sum of a user's and an item's bias and of the product of their vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(20, 6), nn.Embedding(20, 6)
        self.bias = nn.Embedding(20, 1)

    def forward(self, x: Tensor) -> Tensor:
        product = (self.user(x[:, 0]) * self.item(x[:, 1])).mean(1, keepdim=True)
        return product + self.bias(x[:, 1])


@two_causes(
    PROGRAMS,
    task="regression",
    causes="target-shape-mismatch weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations",
    good=0.8,
    source="recommender posts: ratings of shape (n,), and Adam's weight_decay read as the λ of a paper",
    note="ratings (n,) against answers (n, 1), and a penalty that empties the tables",
)
def double_ratings_flat_and_decayed(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 20, (1200, 2), generator=draw)
    user, item = torch.randn(20, 2, generator=draw), torch.randn(20, 2, generator=draw)
    y = (user[x[:, 0]] * item[x[:, 1]]).sum(1, keepdim=True) + item[x[:, 1], :1]
    y = (y - y.mean()) / y.std()
    parts = split(x, y[:, 0] if "target-shape-mismatch" in left else y, seed)
    decay = 0.5 if "weight-decay-too-high" in left else 1e-4
    return case(Ratings(), parts, nn.MSELoss(), partial(Adam, lr=0.03, weight_decay=decay), 32, 20)


@two_causes(
    PROGRAMS,
    task="binary",
    causes="missing-nonlinearity lr-too-high",
    symptoms=STUCK + " oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "momentum-too-high",
    good=0.93,
    source="DeepFD's fault lists, which have both in one program",
    note="two circles for linear layers only, and Adam at one",
)
def double_circles_straight_and_fast(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    x, y = datasets.make_circles(800, noise=0.08, factor=0.5, random_state=seed)
    parts = split(torch.tensor(2 * x, dtype=torch.float32), torch.tensor(y).float()[:, None], seed)
    model = mlp(2, 24, 24, 1, activation=nn.Identity if "missing-nonlinearity" in left else nn.ReLU)
    rate = 1.0 if "lr-too-high" in left else 5e-3
    return case(model, parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=rate), 32, 15)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="bn-train-eval-mismatch loss-output-mismatch",
    symptoms=STUCK + " wrong-mode vanishing-gradient overfitting",
    good=0.9,
    source="ports from TensorFlow: its norms' decay as the momentum, and softmax in the last layer",
    note="norms whose statistics move by a hundred-thousandth a step, and softmax twice",
)
def double_ported_norms_and_softmax(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    norm = partial(nn.BatchNorm2d, momentum=1e-5 if "bn-train-eval-mismatch" in left else 0.1)
    model = nn.Sequential(norm(1), nn.Conv2d(1, 8, 3), norm(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2), norm(12), nn.ReLU())
    model.extend([nn.Flatten(), nn.Linear(48, 10)])
    if "loss-output-mismatch" in left:
        model.append(nn.Softmax(1))
    parts = digits(seed, image=True, raw=True)
    return case(model, parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.02), 32, 10)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="input-constant-feature lr-too-low",
    symptoms=STUCK + " input-not-normalized saturated-activations vanishing-gradient",
    good=0.88,
    source="telemetry posts: the station's height is a channel, and the rate is that of a fine-tuning recipe",
    note="a channel of 2962 metres at all times in a GRU, trained by Adam at 1e-5",
)
def double_station_height_and_slow(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    height = 2962.0 if "input-constant-feature" in left else 0.0
    parts = []
    for x, y in waves(seed, 700, 24, noise=0.2):
        wave = x.transpose(1, 2)
        parts.append((torch.cat([wave, torch.full_like(wave, height)], 2), y))
    rate = 1e-5 if "lr-too-low" in left else 0.01
    return case(SeriesRNN(2, 3, 24), tuple(parts), nn.CrossEntropyLoss(), partial(Adam, lr=rate), 32, 18)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="input-nonfinite targets-not-normalized",
    symptoms=STUCK + " nonfinite-loss exploding-gradient lr-too-high oscillating-loss dead-relu exploding-activations",
    good=0.75,
    source="house-price notebooks: empty cells of a column, and prices in thousands",
    note="one cell in three hundred is empty; prices of thousands throw the weights of SGD away",
)
def double_empty_cells_and_prices(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed, 800)
    if "input-nonfinite" in left:
        x = x.masked_fill(torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < 1 / 300, torch.nan)
    if "targets-not-normalized" in left:
        y, y_val = 900 * y + 4000, 900 * y_val + 4000
    return case(mlp(8, 48, 1), ((x, y), (x_val, y_val)), nn.MSELoss(), partial(SGD, lr=0.03, momentum=0.9), 32, 15)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="wrong-mode weight-decay-too-high",
    symptoms=STUCK + " dropout-too-high vanishing-activations",
    good=0.85,
    source="forum posts: F.dropout without training=, and a decay of 0.2 'because it overfits'",
    note="units are dropped in evaluation as well, and the weights are pulled to zero",
)
def double_always_dropped_and_decayed(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    decay = 0.2 if "weight-decay-too-high" in left else 1e-4
    optimizer = partial(SGD, lr=0.05, momentum=0.9, weight_decay=decay)
    return case(Dropped("wrong-mode" not in left), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 15)
