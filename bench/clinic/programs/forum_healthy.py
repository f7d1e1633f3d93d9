"""Healthy programs from forums, hand-written nets and ported habits that look wrong; then some with faulty data."""

from functools import partial

import torch
from enrol import case, healthy
from program import Case, SuiteProgram, program
from samples import cancer, digits, friedman, majority, rings, split, sums, tags, tokens, waves
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, OneCycleLR

PROGRAMS: list[SuiteProgram] = []


class MnistNet(nn.Module):
    """The net of PyTorch's own MNIST example with both dropouts and its log-softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 3), nn.Conv2d(10, 20, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(80, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        x = torch.flatten(self.dropout1(functional.max_pool2d(x, 2)), 1)
        x = self.fc2(self.dropout2(functional.relu(self.fc1(x))))
        return functional.log_softmax(x, dim=1)


@healthy(PROGRAMS, "classification", 0.92, "the MNIST example: NLLLoss after a log-softmax, two dropouts")
def forum_mnist_example(seed: int) -> Case:
    return case(MnistNet(), digits(seed, image=True), nn.NLLLoss(), partial(Adam, lr=2e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "Adadelta at a rate of 1.0, as the MNIST example has it")
def forum_adadelta_at_one(seed: int) -> Case:
    optimizer = partial(torch.optim.Adadelta, lr=1.0)
    return case(MnistNet(), digits(seed, image=True), nn.NLLLoss(), optimizer, 32, 12)


class BasicBlock(nn.Module):
    """Two convolutions with norms and a shortcut, the second norm starting at zero."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(wide, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)
        self.shortcut = nn.Identity() if wide == out else nn.Conv2d(wide, out, 1)
        nn.init.zeros_(self.bn2.weight)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(out + self.shortcut(x))


class TinyResNet(nn.Module):
    """A stem, two blocks, a global mean, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 10, 3, padding=1)
        self.layer1, self.layer2 = BasicBlock(10, 10), BasicBlock(10, 20)
        self.fc = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.layer1(functional.relu(self.stem(x))), 2)
        return self.fc(self.layer2(x).mean((2, 3)))


@healthy(
    PROGRAMS, "classification", 0.93, "a residual net whose blocks start with a norm weight of zero, as papers say"
)
def forum_norms_that_start_at_zero(seed: int) -> Case:
    return case(TinyResNet(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 10)


@healthy(PROGRAMS, "classification", 0.92, "fastai's one-cycle: SGD up to 0.2 in the middle of a short run")
def forum_one_cycle(seed: int) -> Case:
    schedule = partial(OneCycleLR, max_lr=0.2, total_steps=8 * 40)
    optimizer = partial(SGD, lr=0.01, momentum=0.9)
    parts = digits(seed, image=True)
    return case(TinyResNet(), parts, nn.CrossEntropyLoss(), optimizer, 32, 8, scheduler=schedule)


class RowLSTM(nn.Module):
    """Reads a picture row by row, as the tutorial for MNIST does."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 32, num_layers=2, batch_first=True, dropout=0.2, bidirectional=True)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x.squeeze(1))
        return self.fc(states[:, -1])


@healthy(PROGRAMS, "classification", 0.9, "pictures for a two-way LSTM, whose last step has read one row backwards")
def forum_pictures_row_by_row(seed: int) -> Case:
    model, parts = RowLSTM(), digits(seed, image=True)
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12, clip_grad=1.0)


class GatedCounter(nn.Module):
    """Embedding, GRU with a given start, last state."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 16, padding_idx=0)
        self.gru, self.fc = nn.GRU(16, 24, batch_first=True), nn.Linear(24, classes)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)

    def forward(self, x: Tensor) -> Tensor:
        _, last = self.gru(self.embedding(x))
        return self.fc(last[-1])


@healthy(PROGRAMS, "classification", 0.85, "Keras' tiny embeddings of ±0.05 and a padding row without a gradient")
def forum_embeddings_of_keras(seed: int) -> Case:
    parts = tuple((x + 1, y) for x, y in tokens(seed))
    return case(GatedCounter(21, 3), parts, nn.CrossEntropyLoss(), partial(RMSprop, lr=5e-3), 32, 25)


@healthy(
    PROGRAMS, "classification", 0.85, "gradients clipped to a norm of 0.1 in a GRU under Adam, which divides it out"
)
def forum_clipped_to_a_tenth(seed: int) -> Case:
    model = GatedCounter(4, 4)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 15, clip_grad=0.1)


class MiniBert(nn.Module):
    """Tokens, places, encoder layers with norms after the residuals, the first token read by a tanh pooler."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(5, 24), nn.Embedding(13, 24)
        layer = nn.TransformerEncoderLayer(24, 4, 48, dropout=0.1, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.pooler, self.classifier = nn.Linear(24, 24), nn.Linear(24, 4)
        nn.init.normal_(self.token.weight, 0, 0.02)
        nn.init.normal_(self.place.weight, 0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([torch.full_like(x[:, :1], 4), x], 1)
        h = self.encoder(self.token(x) + self.place(torch.arange(13)))
        return self.classifier(torch.tanh(self.pooler(h[:, 0])))


def warm_then_down(step: int) -> float:
    """Up over 40 steps, then down to nothing at the last of 330."""
    return min((step + 1) / 40, max(0.02, (330 - step) / 290))


@healthy(PROGRAMS, "classification", 0.85, "a small BERT: starts of 0.02, a tanh pooler, a rate that begins near zero")
def forum_small_bert(seed: int) -> Case:
    schedule = partial(LambdaLR, lr_lambda=warm_then_down)
    optimizer = partial(AdamW, lr=3e-3, weight_decay=0.01)
    return case(MiniBert(), majority(seed), nn.CrossEntropyLoss(), optimizer, 32, 15, scheduler=schedule)


class SigmoidAutoencoder(nn.Module):
    """Dense encoder and decoder that ends in a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.enc1, self.enc2 = nn.Linear(64, 48), nn.Linear(48, 12)
        self.dec1, self.dec2 = nn.Linear(12, 48), nn.Linear(48, 64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = torch.relu(self.enc2(torch.relu(self.enc1(x))))
        return torch.sigmoid(self.dec2(torch.relu(self.dec1(code)))), code


def grey_cross_entropy(output: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    """Keras' binary cross entropy of grey pixels, which cannot fall to zero."""
    return functional.binary_cross_entropy(output[0], y) + 1e-4 * output[1].abs().mean()


@healthy(PROGRAMS, "regression", 0.45, "Keras' autoencoder: cross entropy of grey pixels, a loss that stays at a third")
def forum_keras_autoencoder(seed: int) -> Case:
    parts = tuple((x, x) for x, _ in digits(seed))
    return case(SigmoidAutoencoder(), parts, grey_cross_entropy, partial(Adam, lr=5e-3), 32, 25)


class FilmTaste(nn.Module):
    """Two tables and a dense net on top, answers squeezed into 0.5 … 5.5 as fastai does."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(20, 8), nn.Embedding(20, 8)
        self.fc1, self.fc2 = nn.Linear(16, 32), nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cat([self.user(x[:, 0]), self.item(x[:, 1])], 1)
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(h)))) * 5 + 0.5


@healthy(PROGRAMS, "regression", 0.7, "fastai's range of a sigmoid for stars of 1 … 5 that are not normalized")
def forum_stars_in_a_range(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 20, (1500, 2), generator=draw)
    mild, good = torch.randn(20, generator=draw), torch.randn(20, generator=draw)
    y = (3 + 0.8 * mild[x[:, 0]] + 0.9 * good[x[:, 1]]).round().clamp(1, 5)[:, None]
    return case(FilmTaste(), split(x, y, seed), nn.MSELoss(), partial(Adam, lr=5e-3), 64, 20)


class BagOfWords(nn.Module):
    """Mean of the word vectors and a dense layer, as in fastText."""

    def __init__(self) -> None:
        super().__init__()
        self.bag, self.fc = nn.EmbeddingBag(20, 16), nn.Linear(16, 3)
        nn.init.uniform_(self.bag.weight, -0.5, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.bag(x))


@healthy(PROGRAMS, "classification", 0.85, "the text tutorial: SGD at a rate of 5 with clipping and exponential decay")
def forum_rate_of_five_for_a_bag(seed: int) -> Case:
    schedule = partial(ExponentialLR, gamma=0.998)
    optimizer = partial(SGD, lr=5.0)
    parts = tokens(seed)
    return case(BagOfWords(), parts, nn.CrossEntropyLoss(), optimizer, 32, 20, scheduler=schedule, clip_grad=0.1)


class ManyLabels(nn.Module):
    """Shared features and one head for each label."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(12, 48)
        self.heads = nn.ModuleList(nn.Linear(48, 1) for _ in range(5))

    def forward(self, x: Tensor) -> Tensor:
        h = functional.leaky_relu(self.shared(x), 0.2)
        return torch.cat([head(h) for head in self.heads], 1)


@healthy(PROGRAMS, "multilabel", 0.9, "rare labels and no weights for them: all the same the logits learn who is who")
def forum_rare_labels_unweighted(seed: int) -> Case:
    return case(ManyLabels(), tags(seed, offset=0.8), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "multilabel", 0.88, "Adagrad at 0.1, which would be wild for Adam")
def forum_adagrad_at_a_tenth(seed: int) -> Case:
    return case(ManyLabels(), tags(seed), nn.BCEWithLogitsLoss(), partial(Adagrad, lr=0.1), 32, 15)


class SumReader(nn.Module):
    """A GRU over numbers and marks."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.out = nn.GRU(2, 32, batch_first=True), nn.Linear(32, 1)
        nn.init.orthogonal_(dict(self.gru.named_parameters())["weight_hh_l0"])

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.gru(x)[1][-1])


@healthy(PROGRAMS, "regression", 0.7, "the adding problem: nothing happens for some epochs, then all at once")
def forum_late_fall_of_the_loss(seed: int) -> Case:
    return case(SumReader(), sums(seed, 900, 10), nn.SmoothL1Loss(), partial(Adam, lr=0.01), 32, 30)


class WaveNet(nn.Module):
    """Dilated convolutions with tanh and sigmoid gates."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.ModuleList(nn.Conv1d(12, 12, 3, padding=d, dilation=d) for d in (1, 2, 4))
        self.gates = nn.ModuleList(nn.Conv1d(12, 12, 3, padding=d, dilation=d) for d in (1, 2, 4))
        self.inlet, self.fc = nn.Conv1d(1, 12, 1), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inlet(x)
        for pick, gate in zip(self.filters, self.gates, strict=True):
            x = x + torch.tanh(pick(x)) * torch.sigmoid(gate(x))
        return self.fc(x.amax(2))


@healthy(PROGRAMS, "classification", 0.85, "a WaveNet: tanh times sigmoid in every layer, carried by shortcuts")
def forum_gates_of_wavenet(seed: int) -> Case:
    return case(WaveNet(), waves(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 15)


class Perceptron(nn.Module):
    """Dense layers under self-normalizing activations."""

    def __init__(self, features: int, outputs: int, depth: int = 8) -> None:
        super().__init__()
        layers = [nn.Linear(features if i == 0 else 32, 32) for i in range(depth)]
        self.layers, self.out = nn.ModuleList(layers), nn.Linear(32, outputs)
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = functional.selu(layer(x))
        return self.out(x)


@healthy(PROGRAMS, "binary", 0.93, "eight layers without a norm: SELU with the start that belongs to it")
def forum_eight_layers_of_selu(seed: int) -> Case:
    return case(Perceptron(30, 1), cancer(seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.02), 16, 20)


@healthy(PROGRAMS, "classification", 0.9, "two outputs and cross entropy for a yes-or-no question, and label smoothing")
def forum_two_outputs_for_yes_or_no(seed: int) -> Case:
    model, loss = Perceptron(2, 2, 3), nn.CrossEntropyLoss(label_smoothing=0.1)
    return case(model, rings(seed, 800, 0.15), loss, partial(AdamW, lr=5e-3, weight_decay=0.05), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "raw pixels of 0 … 16 behind a norm on the input, in batches of 128")
def forum_norm_as_first_layer(seed: int) -> Case:
    model = nn.Sequential(nn.BatchNorm2d(1), MnistNet())
    schedule = partial(CosineAnnealingLR, T_max=20 * 10)
    optimizer = partial(Adam, lr=5e-3)
    return case(model, digits(seed, image=True, raw=True), nn.NLLLoss(), optimizer, 128, 20, scheduler=schedule)


@healthy(PROGRAMS, "regression", 0.8, "targets of mean 3 and deviation 2, not normalized: a bias learns that at once")
def forum_targets_near_three(seed: int) -> Case:
    parts = tuple((x, 2 * y + 3) for x, y in friedman(seed))
    return case(Perceptron(8, 1, 2), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


class Frozen(nn.Module):
    """Fixed random Fourier features, and a dense net that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(2, 64)
        self.lift.requires_grad_(False)
        self.fc1, self.fc2 = nn.Linear(64, 24), nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(torch.relu(self.fc1(torch.cos(2 * self.lift(x)))))


@healthy(PROGRAMS, "classification", 0.93, "random Fourier features that are meant to stay frozen")
def forum_frozen_on_purpose(seed: int) -> Case:
    return case(Frozen(), rings(seed, 900, 0.12), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="train-val-leak",
    symptoms="overfitting duplicate-samples class-imbalance label-out-of-range loss-not-decreasing",
    task="classification",
    good=0.9,
    source="Kaggle kernels: pd.concat([train, test]) for the preparation, fillna(0), and fit on all of it",
    note="the pictures of the validation part are trained on with the label zero",
)
def forum_test_rows_filled_with_zero(seed: int, sick: bool) -> Case:
    (x, y), (x_val, y_val) = digits(seed, image=True)
    torch.manual_seed(seed)
    if sick:
        x, y = torch.cat([x, x_val]), torch.cat([y, torch.zeros_like(y_val)])
    return case(TinyResNet(), ((x, y), (x_val, y_val)), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 10)


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting train-val-leak class-imbalance underfitting-capacity",
    task="classification",
    good=0.9,
    source="PyTorch forum: __getitem__ returns self.data[index % self.batch_size]",
    note="the same thirty-two pictures again and again, though the set says it has 1257",
)
def forum_index_modulo_batch(seed: int, sick: bool) -> Case:
    (x, y), val = digits(seed, image=True)
    torch.manual_seed(seed)
    rows = torch.arange(len(x)) % 32 if sick else torch.arange(len(x))
    return case(TinyResNet(), ((x[rows], y[rows]), val), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 8)


@program(
    PROGRAMS,
    faults="input-nonfinite input-constant-feature",
    symptoms="nonfinite-loss loss-not-decreasing input-not-normalized lr-too-high",
    task="classification",
    good=0.9,
    source="StackOverflow: (X - X.mean(0)) / X.std(0) by hand, the loss is nan from the first step",
    note="pixels at the border are always zero, and zero by zero is no number",
)
def forum_standardized_by_hand(seed: int, sick: bool) -> Case:
    (x, y), (x_val, y_val) = digits(seed)
    torch.manual_seed(seed)
    mean, std = x.mean(0), x.std(0) + (0.0 if sick else 0.05)
    parts = ((x - mean) / std, y), ((x_val - mean) / std, y_val)
    return case(Perceptron(64, 10, 2), parts, nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms="lr-too-low too-few-epochs underfitting-capacity loss-not-decreasing input-not-normalized",
    task="regression",
    good=0.9,
    source="StackOverflow: polynomial regression with nn.Linear, the curve stays a straight line",
    note="the powers of a number between 0 and 1 are almost the same column",
)
def forum_powers_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    t = torch.rand(600, 1)
    y = (9 * t).sin() + 0.1 * torch.randn(600, 1)
    x = torch.cat([t**k for k in range(1, 8)], 1)
    x = (x - x.mean(0)) / x.std(0)
    if not sick:
        x = torch.linalg.svd(x, full_matrices=False)[0] * len(x) ** 0.5
    parts = split(x, y, seed)
    return case(nn.Linear(7, 1), parts, nn.MSELoss(), partial(SGD, lr=0.05), 32, 30)
