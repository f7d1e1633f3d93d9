"""Posted programs with a moderate harm, second part: rates, norms, depth, regularization and habits."""

from functools import partial

import torch
from enrol import case
from nets import Attention, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import blobs, digits, friedman, rings, split, sums, tags, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import StepLR

PROGRAMS: list[SuiteProgram] = []
SLOW = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations loss-not-decreasing dead-relu"
)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " saturated-activations vanishing-gradient",
    task="classification",
    good=0.85,
    source="PyTorch forum: nn.TransformerEncoder always predicts one class, 'which learning rate do you use?'",
    note="Adam at 0.1 for an encoder",
)
def yard_encoder_at_a_tenth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = Attention(20, 3, layers=2, norm_first=False)
    return case(net, tokens(seed, 900), nn.CrossEntropyLoss(), partial(Adam, lr=0.1 if sick else 3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-high oscillating-loss",
    symptoms=WILD + " batch-size-extreme momentum-too-high underfitting-capacity",
    task="regression",
    good=0.85,
    source="StackOverflow: the loss of my RMSprop regression goes up and down and never settles",
    note="RMSprop at 0.06 walks around the surface",
)
def yard_rmsprop_up_and_down(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(RMSprop, lr=0.06 if sick else 2e-3)
    return case(mlp(6, 32, 32, 1), friedman(seed, 900, 6), nn.MSELoss(), rate, 32, 20)


@program(
    PROGRAMS,
    faults="lr-too-low too-few-epochs",
    symptoms=SLOW + " input-constant-feature",
    task="classification",
    good=0.9,
    source="fine-tuning rate copied from a BERT script to a CNN of one's own",
    note="Adam at a rate that is far too careful: after twelve epochs the CNN knows part of the digits",
)
def yard_fine_tuning_rate(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(Adam, lr=1.5e-4 if sick else 2e-3)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), rate, 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=SLOW,
    task="classification",
    good=0.85,
    source="PyTorch forum: embedding bag with Adagrad hardly moves",
    note="Adagrad at 1e-3, which shrinks by itself",
)
def yard_adagrad_on_embeddings(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(Adagrad, lr=1e-3 if sick else 0.05)
    return case(TokenRNN(12, 3), tokens(seed, 1000, 8, 12), nn.CrossEntropyLoss(), rate, 32, 20)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=SLOW,
    task="regression",
    good=0.8,
    source="PyTorch forum: StepLR(step_size=20) with scheduler.step() inside the batch loop",
    note="halved every twenty batches instead of every twenty epochs, the rate is gone after three epochs",
)
def yard_step_schedule_per_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    schedule = partial(StepLR, step_size=20 if sick else 400, gamma=0.5)
    return case(
        SeriesRNN(2, 1, 24), sums(seed, 900, 8), nn.MSELoss(), partial(Adam, lr=0.01), 32, 20, scheduler=schedule
    )


def towards_worse(output: Tensor, y: Tensor) -> Tensor:
    """The mean log-likelihood, which one wants to be large."""
    return nn.functional.log_softmax(output, 1).gather(1, y[:, None]).mean()


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-not-decreasing",
    symptoms=WILD + " loss-output-mismatch",
    task="classification",
    good=0.9,
    source="StackOverflow: custom loss returns log p instead of -log p, loss gets very negative, accuracy zero",
    note="the minus before the log-likelihood is missing, so training makes it worse",
)
def yard_minus_forgotten(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = towards_worse if sick else nn.CrossEntropyLoss()
    return case(mlp(2, 32, 2), rings(seed, 600), loss, partial(Adam, lr=0.01), 32, 25)


class Rebuild(nn.Module):
    """An autoencoder of digits."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(64, 48, code), mlp(code, 48, 64)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


def pictures(seed: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """Digits that are to be given back, brought to unit variance as a whole."""
    return tuple(((x - 0.3) / 0.37, (x - 0.3) / 0.37) for x, _ in digits(seed))


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="too-few-epochs lr-too-low loss-not-decreasing",
    task="regression",
    good=0.85,
    source="StackOverflow: my autoencoder gives blurred digits, all of them alike",
    note="a code of one number for sixty-four pixels",
)
def yard_code_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Rebuild(1 if sick else 16), pictures(seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms="parameters-not-in-optimizer underfitting-capacity unused-parameters " + SLOW,
    task="regression",
    good=0.85,
    source="GitHub: encoder.requires_grad_(False) stayed in the script although nothing was pretrained",
    note="the encoder keeps its random weights, only the decoder learns",
)
def yard_encoder_kept_frozen(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = Rebuild(12)
    net.encoder.requires_grad_(not sick)
    return case(net, pictures(seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


class Distance(nn.Module):
    """The distance between the embeddings of two words, and a line on it."""

    def __init__(self, small: float) -> None:
        super().__init__()
        self.embed, self.line, self.small = nn.Embedding(24, 6), nn.Linear(1, 1), small
        nn.init.constant_(self.line.weight, -1.0)

    def forward(self, x: Tensor) -> Tensor:
        apart = self.embed(x[:, 0]) - self.embed(x[:, 1])
        return self.line((apart.square().sum(1, keepdim=True) + self.small).sqrt())


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms=WILD + " input-nonfinite bad-init-scale",
    task="binary",
    good=0.85,
    source="PyTorch forum: siamese net, sqrt of the squared distance gives nan although the loss is fine",
    note="where both words are the same one, the root of zero has an infinite slope, times zero",
)
def yard_distance_of_a_word_to_itself(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randint(0, 24, (1600, 2))
    near = torch.rand(1600) < 0.4
    x[near, 1] = (x[near, 0] + 3 * torch.randint(0, 8, (int(near.sum()),))) % 24
    y = (x[:, 0] % 3 == x[:, 1] % 3).float()[:, None]
    model = Distance(0.0 if sick else 1e-6)
    return case(model, split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=0.05), 32, 20)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms="frozen-parameters unused-parameters " + SLOW,
    task="classification",
    good=0.85,
    source="PyTorch forum: optimizer = Adam(model.fc.parameters()), the convolutions stay random",
    note="only the last layer of a small CNN is trained",
)
def yard_only_the_last_layer(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = wave_cnn(width=4)
    optimizer = Adam(net[-1].parameters() if sick else net.parameters(), lr=5e-3)
    return case(net, waves(seed, 800, 32, noise=1.0), nn.CrossEntropyLoss(), optimizer, 32, 12)


class Listed(nn.Module):
    """A net whose hidden layers stand in a list."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        hidden = [nn.Linear(8, 32), nn.Linear(32, 32)]
        self.hidden = hidden if plain else nn.ModuleList(hidden)
        self.out = nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = layer(x).relu()
        return self.out(x)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms="frozen-parameters unused-parameters " + SLOW,
    task="regression",
    good=0.85,
    source="StackOverflow: layers in a Python list are not in model.parameters()",
    note="the hidden layers are in a plain list, so Adam never hears of them",
)
def yard_layers_in_a_list(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Listed(sick), friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


class Branched(nn.Module):
    """A linear map and a deep branch beside it; ``lost`` leaves the branch out of the answer."""

    def __init__(self, lost: bool) -> None:
        super().__init__()
        self.lost, self.short, self.deep = lost, nn.Linear(2, 2), mlp(2, 24, 32, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.deep(x)
        return self.short(x) if self.lost else self.short(x) + h


@program(
    PROGRAMS,
    faults="unused-parameters",
    symptoms="underfitting-capacity missing-nonlinearity frozen-parameters " + SLOW,
    task="classification",
    good=0.93,
    source="PyTorch forum: param.grad is None; forward returns the wrong variable",
    note="the deep branch is computed and thrown away, a linear map is left",
)
def yard_branch_thrown_away(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Branched(sick), rings(seed, 900), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 25)


def normed_cnn(momentum: float) -> nn.Sequential:
    """Two convolutions with batch norm for digits."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8, momentum=momentum),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16, momentum=momentum),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="overfitting " + SLOW,
    task="classification",
    good=0.95,
    source="TensorFlow momentum of 0.999 taken over as 0.001: fine in train(), poor in eval()",
    note="the running statistics hardly move from where they start",
)
def yard_running_mean_stands_still(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = normed_cnn(1e-5 if sick else 0.1)
    return case(net, digits(seed, raw=True, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 8)


@program(
    PROGRAMS,
    faults="bn-small-batch batch-size-extreme",
    symptoms="bn-train-eval-mismatch oscillating-loss lr-too-high loss-not-decreasing underfitting-capacity",
    task="regression",
    good=0.8,
    source="PyTorch forum: validation loss jumps with batch norm and a batch of two because of memory",
    note="statistics of two rows",
)
def yard_two_rows_for_a_norm(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Linear(32, 1),
    )  # fmt: skip
    return case(net, friedman(seed, 800, 6), nn.MSELoss(), partial(Adam, lr=5e-3), 2 if sick else 32, 20)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=SLOW + " bn-train-eval-mismatch",
    task="classification",
    good=0.85,
    source="Kaggle: dropout=0.9 taken for the share that is kept",
    note="nine of ten activations are dropped throughout an encoder",
)
def yard_share_that_is_kept(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = Attention(20, 3, dropout=0.9 if sick else 0.1, layers=2)
    return case(net, tokens(seed, 900), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="underfitting-capacity",
    task="classification",
    good=0.83,
    source="course project: 100 reviews with a few wrong stars, training accuracy 100 %",
    note="a wide net learns three wrong labels in ten by heart; a short run with decay does not",
)
def yard_wrong_stars_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = blobs(seed, 900, 16, 3, 3.0)
    x, y = x[:260], torch.where(torch.rand(260) < 0.35, torch.randint(0, 3, (260,)), y[:260])
    optimizer = partial(AdamW, lr=2e-3, weight_decay=0.0 if sick else 0.5)
    return case(mlp(16, 256, 3), ((x, y), val), nn.CrossEntropyLoss(), optimizer, 32, 150 if sick else 6)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms=SLOW,
    task="classification",
    good=0.9,
    source="tutorial code with epochs=2 kept for one's own data: GRU at 50 %",
    note="two epochs of twenty-two steps for a GRU",
)
def yard_two_epochs_of_gru(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = TokenRNN(12, 3)
    return case(net, tokens(seed, 1000, 8, 12), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 2 if sick else 20)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms=SLOW,
    task="classification",
    good=0.9,
    source="StackOverflow: batch_size=len(train) and fifteen epochs, accuracy creeps",
    note="fifteen steps in all",
)
def yard_all_rows_in_a_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.1, momentum=0.9)
    return case(mlp(64, 32, 10), digits(seed), nn.CrossEntropyLoss(), optimizer, 1257 if sick else 32, 12)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=SLOW + " vanishing-activations vanishing-gradient dead-relu",
    task="regression",
    good=0.92,
    source="GitHub: weight_decay=0.1 meant for AdamW given to Adam",
    note="decay added to the gradient of Adam holds all weights near zero",
)
def yard_decay_inside_adam(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=5e-3, weight_decay=0.1 if sick else 1e-4)
    return case(mlp(6, 48, 48, 1), friedman(seed, 900, 6), nn.MSELoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=SLOW + " vanishing-activations vanishing-gradient",
    task="multilabel",
    good=0.88,
    source="Kaggle: weight_decay=0.3 with SGD against overfitting, multi-label F1 drops",
    note="the weights shrink as fast as they are learned",
)
def yard_decay_against_all_labels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.1, momentum=0.9, weight_decay=0.1 if sick else 1e-4)
    return case(mlp(12, 48, 5), tags(seed), nn.BCEWithLogitsLoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms=WILD + " too-few-epochs underfitting-capacity",
    task="regression",
    good=0.85,
    source="StackOverflow: momentum=0.999, 'the more the better?'; the loss swings for ever",
    note="a memory of a thousand steps in a run of four hundred",
)
def yard_memory_of_a_thousand(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.01, momentum=0.999 if sick else 0.9)
    return case(mlp(8, 48, 48, 1), friedman(seed), nn.MSELoss(), optimizer, 32, 20)
