"""How forum posters train: rates, decay, schedules, batches, and what forward forgets; nets written by hand."""

from functools import partial

import torch
from enrol import case
from nets import TokenRNN
from program import Case, SuiteProgram, program
from samples import Parts, digits, majority, waves
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import StepLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations momentum-too-high"
)


class Net(nn.Module):
    """The net of the MNIST example, made small for pictures of 8 × 8."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 3), nn.Conv2d(10, 20, 3)
        self.fc1, self.fc2 = nn.Linear(80, 40), nn.Linear(40, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv1(x))
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(x.view(-1, 80)))
        return self.fc2(x)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations vanishing-gradient",
    task="classification",
    good=0.9,
    source="Kaggle kernels: AdamW's weight_decay=0.1 copied into Adam",
    note="the penalty of Adam goes through its scaling and pulls all weights to nothing",
)
def forum_decay_of_adamw_in_adam(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=2e-3, weight_decay=0.2 if sick else 1e-4)
    return case(Net(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-low too-few-epochs",
    symptoms="loss-not-decreasing underfitting-capacity vanishing-gradient",
    task="classification",
    good=0.9,
    source="fine-tuning rate of 2e-5 kept when the same script trains from scratch",
    note="a rate for a pretrained net, but this one knows nothing yet",
)
def forum_rate_of_fine_tuning(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(AdamW, lr=2e-5 if sick else 3e-3)
    return case(Net(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK + " vanishing-gradient",
    task="classification",
    good=0.9,
    source="PyTorch forum: scheduler.step() inside the batch loop with StepLR(step_size=7, gamma=0.1)",
    note="the rate falls to a tenth every seven batches, not epochs",
)
def forum_scheduler_in_the_batch_loop(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    steps = 7 if sick else 7 * 40
    schedule = partial(StepLR, step_size=steps, gamma=0.1)
    optimizer = partial(SGD, lr=0.02, momentum=0.9)
    return case(Net(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 14, scheduler=schedule)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms=WILD + " bad-init-scale",
    task="classification",
    good=0.9,
    source="ports from Keras: the 0.99 of BatchNormalization(momentum=0.99) given to SGD",
    note="each step goes on for a hundred more",
)
def forum_momentum_of_the_norm(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.05, momentum=0.995 if sick else 0.9)
    return case(Net(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 8)


@program(
    PROGRAMS,
    faults="batch-size-extreme too-few-epochs",
    symptoms="lr-too-low loss-not-decreasing underfitting-capacity",
    task="classification",
    good=0.9,
    source="PyTorch forum: no DataLoader, model(X_train) once per epoch",
    note="all pictures in one batch: fifteen epochs are fifteen steps",
)
def forum_no_loader(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    size = 1300 if sick else 32
    return case(Net(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=1e-3), size, 15)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low loss-not-decreasing underfitting-capacity",
    task="classification",
    good=0.9,
    source="fastai habit: learn.fit(1), but there is no pretrained net behind it",
    note="one epoch of a GRU from scratch",
)
def forum_one_epoch_of_fastai(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(4, 4)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 1 if sick else 25)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss loss-not-decreasing lr-too-high overfitting momentum-too-high dead-relu",
    task="classification",
    good=0.9,
    source="StackOverflow: pictures read folder by folder and DataLoader without shuffle",
    note="all of one class, then all of the next: the net names the last folder",
)
def forum_folder_by_folder(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed, image=True)
    order = y.argsort(stable=True)
    optimizer = partial(SGD, lr=0.02, momentum=0.9)
    parts = (x[order], y[order]), val
    return case(Net(), parts, nn.CrossEntropyLoss(), optimizer, 32, 10, shuffle=not sick)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms="loss-not-decreasing underfitting-capacity wrong-loss-for-task overfitting too-few-epochs lr-too-low",
    task="binary",
    metric="balanced",
    good=0.8,
    source="PyTorch forum: 97 % accuracy and every X-ray is healthy",
    note="three blurred eights in a hundred pictures, hardly one of them found without weights",
)
def forum_every_xray_is_healthy(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = []
    for part, (x, y) in enumerate(digits(seed, image=True, share=0.6)):
        rest, ill = (y != 8).nonzero()[:, 0], (y == 8).nonzero()[:, 0]
        rows = torch.cat([rest, ill if part else ill[:36]])
        noisy = x[rows] + 0.15 * torch.randn(len(rows), 1, 8, 8)
        parts.append((noisy, (y[rows] == 8).float()[:, None]))
    loss = nn.BCEWithLogitsLoss(pos_weight=None if sick else torch.tensor([25.0]))
    return case(Net(1), tuple(parts), loss, partial(Adam, lr=1e-3), 32, 10)


class Skipping(nn.Module):
    """A block whose result may be lost in forward."""

    def __init__(self, lost: bool) -> None:
        super().__init__()
        self.lost = lost
        self.conv1, self.conv2 = nn.Conv1d(1, 12, 5, padding=2), nn.Conv1d(12, 24, 5, padding=2)
        self.small, self.big = nn.Linear(32, 3), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.lost:
            return self.small(x.flatten(1))
        h = torch.relu(self.conv2(functional.max_pool1d(torch.relu(self.conv1(x)), 2)))
        return self.big(h.amax(2)) + self.small(x.flatten(1))


@program(
    PROGRAMS,
    faults="unused-parameters",
    symptoms=STUCK + " missing-nonlinearity frozen-parameters parameters-not-in-optimizer",
    task="classification",
    good=0.85,
    source="StackOverflow: forward computes the convolutions and returns something else after a refactoring",
    note="only the linear shortcut is used, and it cannot see a frequency of random phase",
)
def forum_branch_lost_in_refactoring(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Skipping(sick), waves(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


class PlainConvs(nn.Module):
    """Convolutions over time and their mean; activations may be missing."""

    def __init__(self, bare: bool) -> None:
        super().__init__()
        self.bare = bare
        self.conv1, self.conv2 = nn.Conv1d(1, 12, 5, padding=2), nn.Conv1d(12, 24, 5, padding=2)
        self.fc1, self.fc2 = nn.Linear(24 * 16, 32), nn.Linear(32, 3)

    def activate(self, x: Tensor) -> Tensor:
        return x if self.bare else torch.relu(x)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.avg_pool1d(self.activate(self.conv1(x)), 2)
        x = self.activate(self.conv2(x)).flatten(1)
        return self.fc2(self.activate(self.fc1(x)))


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=STUCK + " overfitting",
    task="classification",
    good=0.85,
    source="ports from Keras: Conv1D(12, 5, activation='relu') became nn.Conv1d(1, 12, 5)",
    note="four layers that amount to one linear map",
)
def forum_activation_was_an_argument(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(PlainConvs(sick), waves(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


class Autoencoder(nn.Module):
    """Encoder and decoder of dense layers for pictures of 64 pixels."""

    def __init__(self, code: int = 12, *, squashed: bool = False) -> None:
        super().__init__()
        self.encoder1, self.encoder2 = nn.Linear(64, 48), nn.Linear(48, code)
        self.decoder1, self.decoder2 = nn.Linear(code, 48), nn.Linear(48, 64)
        self.squashed = squashed

    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder2(torch.relu(self.encoder1(x)))
        out = self.decoder2(torch.relu(self.decoder1(code)))
        return torch.sigmoid(out) if self.squashed else out


def pictures(seed: int, scale: float = 1.0, shift: float = 0.0) -> Parts:
    """Digits as their own targets."""
    (x, _), (x_val, _) = digits(seed)
    x, x_val = x * scale + shift, x_val * scale + shift
    return (x, x), (x_val, x_val)


@program(
    PROGRAMS,
    faults="loss-output-mismatch targets-not-normalized",
    symptoms=STUCK + " saturated-activations vanishing-gradient wrong-loss-for-task input-not-normalized",
    task="regression",
    good=0.8,
    source="StackOverflow: autoencoder with Normalize((0.5,), (0.5,)) and a sigmoid at the end, everything is grey",
    note="pixels from −1 to 1, answers from 0 to 1",
)
def forum_sigmoid_for_normalized_pixels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = pictures(seed, 2.0, -1.0)
    return case(Autoencoder(squashed=sick), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="too-few-epochs lr-too-low loss-not-decreasing",
    task="regression",
    good=0.8,
    source="autoencoder posts: a code of two for a nice plot, then 'why are all pictures blurred'",
    note="one number for each picture of ten kinds",
)
def forum_code_for_a_plot(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Autoencoder(1 if sick else 12), pictures(seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters",
    task="regression",
    good=0.8,
    source="PyTorch forum: one optimizer for the encoder and one for the decoder, step() of one of them",
    note="the encoder stays a random projection on eight numbers",
)
def forum_step_of_the_decoder_only(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Autoencoder(8)
    decoder = [*model.decoder1.parameters(), *model.decoder2.parameters()]
    optimizer = Adam(decoder if sick else model.parameters(), lr=3e-3)
    return case(model, pictures(seed), nn.MSELoss(), optimizer, 32, 25)


@program(
    PROGRAMS,
    faults="batch-size-extreme lr-too-high",
    symptoms="oscillating-loss loss-not-decreasing dead-relu momentum-too-high exploding-gradient nonfinite-loss "
    "exploding-activations saturated-activations",
    task="classification",
    good=0.88,
    source="course exercise: DataLoader(data) with its default batch_size=1, the rest as for batches of 64",
    note="a step after each picture at a rate meant for the mean of many",
)
def forum_loader_by_default(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.05, momentum=0.9)
    return case(Net(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 1 if sick else 32, 8)


class PlainRNN(nn.Module):
    """A recurrent layer with ReLU, whose recurrent weights start as told."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.rnn, self.fc = nn.RNN(1, 32, nonlinearity="relu", batch_first=True), nn.Linear(32, 3)
        dict(self.rnn.named_parameters())["weight_hh_l0"].data = gain * torch.eye(32)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(x.transpose(1, 2))[0][:, -1])


@program(
    PROGRAMS,
    faults="exploding-gradient exploding-activations bad-init-scale",
    symptoms="lr-too-high oscillating-loss nonfinite-loss loss-not-decreasing dead-relu momentum-too-high",
    task="classification",
    good=0.7,
    source="PyTorch forum: an RNN with ReLU, 'the loss is 1e9, then nan'",
    note="recurrent weights of 1.6 times the identity: 32 steps multiply by three million",
)
def forum_relu_recurrence(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = PlainRNN(1.6 if sick else 0.9)
    return case(model, waves(seed, noise=0.2), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 25, clip_grad=5.0)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="dropout-too-high train-val-leak loss-not-decreasing",
    task="classification",
    good=0.8,
    source="Kaggle forum: labels from crowd workers, training accuracy 100 %, validation falls from epoch 5 on",
    note="half of the labels of some hundred pictures are wrong, and a wide net learns each by heart",
)
def forum_crowd_labels_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed, share=0.35)
    wrong = torch.rand(len(y)) < 0.45
    y = torch.where(wrong, torch.randint(0, 10, y.shape), y)
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    decay, epochs = (0.0, 60) if sick else (0.5, 8)
    optimizer = partial(AdamW, lr=2e-3, weight_decay=decay)
    return case(model, ((x, y), val), nn.CrossEntropyLoss(), optimizer, 32, epochs)


class PatchNet(nn.Module):
    """Patches of a picture, a stack of narrow tanh layers, as an exercise had it."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 4, 2, stride=2)
        self.layers = nn.ModuleList(nn.Linear(64 if i == 0 else width, width) for i in range(depth))
        self.out = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.patch(x)).flatten(1)
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.out(x)


@program(
    PROGRAMS,
    faults="too-deep-for-width vanishing-gradient",
    symptoms=STUCK + " vanishing-activations bad-init-scale input-constant-feature",
    task="classification",
    good=0.88,
    source="StackOverflow: 'more layers make it worse', twenty layers of twelve units",
    note="a long narrow chain without shortcuts or norms",
)
def forum_more_layers_make_it_worse(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = PatchNet(24 if sick else 2, 12 if sick else 32)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)
