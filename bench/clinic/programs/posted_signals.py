"""Programs as people post them, recordings: convolutions over time and what goes wrong around them."""

from functools import partial

import torch
from enrol import case
from nets import wave_cnn
from program import Case, SuiteProgram, program
from samples import Part, Parts, split, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"


def beats(seed: int, n: int = 800, *, noise: float = 0.2, classes: int = 3) -> Parts:
    """Recordings (n, 1, 40) with one beat: narrow, wide, double, inverted."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (n,), generator=draw)
    time = torch.arange(40) - 10 - 16 * torch.rand(n, 1, generator=draw)
    narrow, wide = (-time.square() / 2).exp(), (-time.square() / 18).exp()
    double = narrow + (-(time - 7).square() / 2).exp()
    shape = torch.stack([narrow, wide, double, -narrow], 1)[torch.arange(n), y]
    return split((1.5 * shape + noise * torch.randn(n, 40, generator=draw))[:, None], y, seed)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=STUCK + " loss-output-mismatch",
    task="regression",
    good=0.7,
    source="PyTorch forum: denoising autoencoder answers a flat line; 'Using a target size that is different' warning",
    note="cleaned lines (n, 1, 32) against targets (n, 32): each line is compared with those of all others",
)
def cleaned_lines_compared_with_all(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: list[Part] = []
    for x, _ in waves(seed, 700, 32, noise=0.0):
        parts.append((x + 0.5 * torch.randn_like(x), x[:, 0] if sick else x))
    model = nn.Sequential(nn.Conv1d(1, 16, 7, padding=3), nn.ReLU(), nn.Conv1d(16, 1, 7, padding=3))
    return case(model, (parts[0], parts[1]), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss lr-too-high loss-not-decreasing overfitting momentum-too-high",
    task="classification",
    good=0.85,
    source="posts on physiological recordings: SequentialSampler 'because it is a time series', one patient at a time",
    note="the recordings of one kind of patient follow each other, and the last kind is all that is remembered",
)
def patient_after_patient(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = beats(seed)
    order = y.argsort(stable=True)
    train = (x[order], y[order])
    optimizer = partial(SGD, lr=0.03, momentum=0.9)
    return case(wave_cnn(), (train, val), nn.CrossEntropyLoss(), optimizer, 25, 14, shuffle=not sick)


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting class-imbalance train-val-leak",
    task="classification",
    metric="balanced",
    good=0.85,
    source="Kaggle arrhythmia kernels: sklearn.utils.resample blows the rare beats up to the number of the others",
    note="the double beats are three recordings, copied sixty times each: others of their kind are not recognized",
)
def rare_beat_copied_from_three(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = beats(seed, noise=0.5)
    rare, rest = x[y == 2], y != 2
    rare = rare[:3].repeat(len(rare) // 3 + 1, 1, 1)[: len(rare)] if sick else rare
    train = torch.cat([x[rest], rare]), torch.cat([y[rest], torch.full((len(rare),), 2)])
    return case(wave_cnn(), (train, val), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="",
    task="classification",
    good=0.7,
    source="posts of small medical sets: training accuracy 100 %, validation loss rises from the third epoch on",
    note="400 recordings, four labels in ten of them wrong, and a wide CNN with sixty epochs to learn each",
)
def small_archive_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = waves(seed, 900, 40, noise=0.6)
    draw = torch.Generator().manual_seed(seed)
    wrong = torch.rand(400, generator=draw) < 0.4
    noisy = torch.where(wrong, (y[:400] + torch.randint(1, 3, (400,), generator=draw)) % 3, y[:400])
    model = nn.Sequential(
        nn.Conv1d(1, 32, 5, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(1280, 64), nn.ReLU(), nn.Linear(64, 3)
    )
    epochs = 60 if sick else 5
    return case(model, ((x[:400], noisy), val), nn.CrossEntropyLoss(), partial(Adam, lr=1e-3), 20, epochs)


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms="bn-train-eval-mismatch batch-size-extreme oscillating-loss lr-too-high loss-not-decreasing "
    "underfitting-capacity",
    task="classification",
    good=0.85,
    source="GitHub issues: long recordings fill the memory, so batch_size=2; model.eval() gives chance",
    note="the last norms see single numbers of two recordings each, so that they know which is larger and no more",
)
def long_recordings_two_at_a_time(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv1d(1, 12, 5, stride=2),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.AdaptiveMaxPool1d(1),
        nn.Flatten(),
        nn.Linear(12, 24),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.Linear(24, 24),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.Linear(24, 3),
    )
    return case(model, beats(seed, 600), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 2 if sick else 20, 10)


class TwoEars(nn.Module):
    """One convolution for both ears, with one batch norm or with one for each."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__()
        self.filter = nn.Conv1d(1, 12, 5, padding=2)
        self.left = nn.BatchNorm1d(12)
        self.right = self.left if shared else nn.BatchNorm1d(12)
        self.head = nn.Sequential(nn.AdaptiveAvgPool1d(8), nn.Flatten(), nn.Linear(192, 32), nn.ReLU())
        self.out = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.left(self.filter(x[:, :1])), self.right(self.filter(x[:, 1:]))
        return self.out(self.head(torch.cat([left, right], 1).relu()))


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="overfitting input-not-normalized bn-small-batch ill-conditioned-features",
    task="classification",
    good=0.85,
    source="PyTorch forum: one BatchNorm layer for two inputs; fine in train(), accuracy near chance in eval()",
    note="each ear is normalized by its own batch while training, and by the mixture of both afterwards",
)
def two_ears_through_one_norm(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: list[Part] = []
    for x, y in waves(seed, 800, 32, noise=0.3):
        parts.append((torch.cat([0.5 * x - 1.5, 1.5 * x.flip(2) + 1.5], 1), y))
    model = TwoEars(shared=sick)
    return case(model, (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


class OwnFilters(nn.Module):
    """A bank of filters written by hand, and a head."""

    def __init__(self, *, registered: bool) -> None:
        super().__init__()
        first, second = 0.4 * torch.randn(4, 1, 5), 0.2 * torch.randn(4, 4, 5)
        if registered:
            self.first, self.second = nn.Parameter(first), nn.Parameter(second)
        else:
            self.__dict__["first"], self.__dict__["second"] = first.requires_grad_(), second.requires_grad_()
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = nn.functional.conv1d(x, self.first).relu()
        return self.out(nn.functional.conv1d(h, self.second).relu().mean(2))


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms="frozen-parameters unused-parameters underfitting-capacity loss-not-decreasing lr-too-low too-few-epochs",
    task="classification",
    good=0.85,
    source="PyTorch forum: self.w = torch.randn(…, requires_grad=True) is not in model.parameters()",
    note="filters are plain tensors, which get gradients that no optimizer knows of",
)
def filters_as_plain_tensors(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = OwnFilters(registered=not sick)
    return case(model, waves(seed, 700, 32, noise=0.3), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="train-val-leak",
    symptoms="duplicate-samples overfitting",
    task="classification",
    good=0.85,
    source="pandas posts: concat without reset_index puts the labels of other rows beside the test recordings",
    note="the validation recordings are in training too, each with the label of its neighbour",
)
def test_recordings_with_shifted_labels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = beats(seed, noise=0.3)
    train = (torch.cat([x, x_val, x_val]), torch.cat([y, y_val.roll(1), y_val.roll(1)])) if sick else (x, y)
    model = nn.Sequential(
        nn.Conv1d(1, 32, 5, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(1280, 64), nn.ReLU(), nn.Linear(64, 3)
    )
    return case(model, (train, (x_val, y_val)), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 25)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " exploding-activations exploding-gradient lr-too-high nonfinite-loss wrong-loss-for-task",
    task="classification",
    good=0.85,
    source="distillation and label-smoothing posts: nn.KLDivLoss gets scores where it wants log-probabilities",
    note="the divergence of raw scores is linear in them: all of them grow, whatever the recording",
)
def divergence_of_raw_scores(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = ((x, 0.85 * nn.functional.one_hot(y, 3).float() + 0.05) for x, y in beats(seed))
    model = wave_cnn() if sick else nn.Sequential(*wave_cnn(), nn.LogSoftmax(1))
    return case(model, (train, val), nn.KLDivLoss(reduction="batchmean"), partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="loss-not-decreasing underfitting-capacity too-few-epochs vanishing-gradient",
    task="classification",
    good=0.85,
    source="ported scripts: loss / batch_size although the criterion already takes the mean",
    note="the mean loss is divided by the batch and by the length once more, which leaves SGD a thousandth of its rate",
)
def mean_divided_once_more(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output, y) / (32 * 40 if sick else 1)

    return case(wave_cnn(), beats(seed), loss, partial(SGD, lr=0.05, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing lr-too-high exploding-gradient input-not-normalized",
    task="classification",
    good=0.85,
    source="speech-command posts: (x - x.mean()) / x.std() for each clip; 'loss is nan after a few batches'",
    note="each clip is divided by its own deviation, and a few clips are silent: 0 / 0",
)
def silent_clips_standardized(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: list[Part] = []
    for x, y in waves(seed, 800, 32, noise=0.3):
        clip = x.clone()
        clip[::90] = 0.0
        spread = clip.std(2, keepdim=True)
        parts.append(((clip - clip.mean(2, keepdim=True)) / (spread if sick else spread + 1e-5), y))
    if sick:
        parts[1] = (parts[1][0].nan_to_num(), parts[1][1])
    return case(wave_cnn(), (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10)


class Statistics(nn.Module):
    """Mean and deviation over time of what a convolution says, as in speaker recognition."""

    def __init__(self, least: float) -> None:
        super().__init__()
        self.least = least
        self.filter, self.out = nn.Conv1d(1, 16, 5), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.filter(x).relu()
        mean = h.mean(2)
        variance = (h - mean[:, :, None]).square().mean(2)
        return self.out(torch.cat([mean, (variance + self.least).sqrt()], 1))


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="exploding-gradient input-nonfinite loss-not-decreasing lr-too-high dead-relu",
    task="classification",
    good=0.85,
    source="speaker-recognition issues: NaN from statistics pooling; the root has no slope at a variance of zero",
    note="units answer nothing at all to a silent recording, and the root's gradient at a variance of zero is infinite",
)
def deviation_of_silence(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = waves(seed, 700, 32, noise=0.2)
    x = x.clone()
    x[::60] = 0.0
    model = Statistics(0.0 if sick else 1e-4)
    return case(model, ((x, y), val), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 15)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms="too-few-epochs lr-too-low loss-not-decreasing underfitting-capacity",
    task="classification",
    good=0.85,
    source="posts of 'GPU has 24 GB, so I put everything into one batch': slower learning per epoch",
    note="all recordings in one batch: twenty epochs are twenty steps of SGD",
)
def whole_archive_in_one_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.03, momentum=0.9)
    return case(wave_cnn(), beats(seed), nn.CrossEntropyLoss(), optimizer, 560 if sick else 28, 20)
