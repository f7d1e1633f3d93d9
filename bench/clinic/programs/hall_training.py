"""Programs as an examiner would choose them, second part: structure, settings of the training, two causes at once."""

from functools import partial

import torch
from enrol import case
from nets import Attention, TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import cancer, digits, friedman, majority, rings, split, tags, tokens, waves, wine
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import ExponentialLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations momentum-too-high"
)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient",
    task="classification",
    good=0.85,
    source="PyTorch forum: transformer encoder, loss at log 4 from the second epoch on, Adam at 0.1",
    note="Adam's steps of 0.1 wreck the attention at once",
)
def hall_attention_at_a_tenth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 0.3 if sick else 3e-3
    return case(Attention(4, 4), majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=rate), 32, 8)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD,
    task="classification",
    good=0.9,
    source="Keras course translated: SGD(lr=1) as in the slides, with momentum",
    note="a rate of 1 with momentum 0.9 for a small convolutional net",
)
def hall_cnn_at_rate_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    make = partial(SGD, lr=1.0 if sick else 0.05, momentum=0.9)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), make, 32, 10)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="regression",
    good=0.75,
    source="StackOverflow: the loss decreases by 0.0001 an epoch, optimizer Adam(lr=1e-5)",
    note="a rate of 1e-5, two hundred times less than usual",
)
def hall_adam_at_a_hundred_thousandth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 1e-5 if sick else 3e-3
    return case(mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(), partial(Adam, lr=rate), 32, 20)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="classification",
    good=0.85,
    source="PyTorch forum: ExponentialLR stepped after every batch instead of every epoch",
    note="gamma 0.8 per batch: the rate is gone within thirty batches",
)
def hall_decay_every_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    decay = partial(ExponentialLR, gamma=0.8 if sick else 0.8 ** (1 / 40))
    make = partial(SGD, lr=0.1, momentum=0.9)
    return case(mlp(64, 32, 10), digits(seed), nn.CrossEntropyLoss(), make, 32, 12, scheduler=decay)


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=STUCK + " saturated-activations too-deep-for-width vanishing-activations bad-init-scale",
    task="binary",
    good=0.9,
    source="StackOverflow: 'my deep network predicts 0.5 for everything', sigmoid in each of five layers",
    note="every sigmoid layer shrinks the gradient at least fourfold",
)
def hall_sigmoids_on_moons(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = rings(seed)
    parts = (x, y.float()[:, None]), (x_val, y_val.float()[:, None])
    model = mlp(2, 24, 24, 24, 24, 24, 1, activation=nn.Sigmoid if sick else nn.ReLU)
    return case(model, parts, nn.BCEWithLogitsLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 25)


class LongRecall(nn.Module):
    """A recurrence over a long row of tokens; the answer is read from its last state."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(8, 16), nn.RNN(16, 32, batch_first=True), nn.Linear(32, 4)
        for name, p in self.rnn.named_parameters():
            if name.startswith("weight_hh"):
                nn.init.orthogonal_(p, gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(x))[0][:, -1])


def recall(seed: int, length: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Rows of noise tokens 4 … 7 whose first token, 0 … 3, is the class."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (800,), generator=draw)
    x = torch.randint(4, 8, (800, length), generator=draw)
    x[:, 0] = y
    return split(x, y, seed)


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=STUCK + " bad-init-scale vanishing-activations",
    task="classification",
    good=0.9,
    source="PyTorch forum: nn.RNN cannot remember the first token of the sequence",
    note="a small recurrent matrix forgets the first token, and no gradient gets back to it",
)
def hall_first_token_forgotten(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = LongRecall(0.3 if sick else 1.0)
    return case(model, recall(seed, 25), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 15, clip_grad=1.0)


class Unbounded(nn.Module):
    """A linear recurrence over a series, read by a head."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.inlet, self.turn, self.head = nn.Linear(1, 16), nn.Linear(16, 16), nn.Linear(16, 3)
        nn.init.orthogonal_(self.turn.weight, gain)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(len(x), 16)
        for step in x.transpose(1, 2).unbind(1):
            h = (self.inlet(step) + self.turn(h)).relu()
        return self.head(h)


@program(
    PROGRAMS,
    faults="exploding-gradient exploding-activations bad-init-scale",
    symptoms=WILD + " lr-too-high",
    task="classification",
    good=0.75,
    source="StackOverflow: my own RNN cell gives nan after a few batches",
    note="a recurrent matrix of gain two: states and gradients double at each of 32 steps",
)
def hall_own_cell_explodes(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Unbounded(2.2 if sick else 1.0)
    return case(model, waves(seed, 700, 32, noise=0.1), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="too-deep-for-width vanishing-gradient vanishing-activations dead-relu",
    symptoms=STUCK + " bad-init-scale",
    task="classification",
    good=0.85,
    source="DeepFD: twenty layers of six units, accuracy at chance",
    note="in a long chain of narrow ReLU layers the signal dies",
)
def hall_narrow_chain(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(13, *[6] * (20 if sick else 2), 3)
    return case(model, wine(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 16, 40)


@program(
    PROGRAMS,
    faults="missing-nonlinearity underfitting-capacity",
    symptoms=STUCK,
    task="classification",
    good=0.93,
    source="PyTorch forum: three linear layers do no better than logistic regression",
    note="without activations the layers are one linear map, and the moons are not linear",
)
def hall_linear_upon_linear(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(2, 32, 32, 2, activation=nn.Identity if sick else nn.ReLU)
    return case(model, rings(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 25)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer unused-parameters",
    task="classification",
    good=0.85,
    source="transfer learning tutorial: requires_grad = False copied to a net without pretrained weights",
    note="embedding and recurrence are frozen at random values",
)
def hall_frozen_from_the_tutorial(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(20, 3, 12)
    for p in [*model.embed.parameters(), *model.rnn.parameters()]:
        p.requires_grad_(not sick)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters",
    task="regression",
    good=0.75,
    source="StackOverflow: the loss is constant; the model was built a second time after the optimizer",
    note="the optimizer holds the parameters of another copy of the model",
)
def hall_optimizer_of_another_model(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model, other = mlp(8, 48, 1), mlp(8, 48, 1)
    make = Adam((other if sick else model).parameters(), lr=0.01)
    return case(model, friedman(seed), nn.MSELoss(), make, 32, 25)


class Detached(nn.Module):
    """A body and a head, with or without a detach between them."""

    def __init__(self, sick: bool) -> None:
        super().__init__()
        self.body, self.head, self.sick = mlp(2, 16, 16), nn.Linear(16, 2), sick

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x).tanh()
        return self.head(h.detach() if self.sick else h)


@program(
    PROGRAMS,
    faults="frozen-parameters unused-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer vanishing-gradient",
    task="classification",
    good=0.93,
    source="PyTorch forum: .detach() was put in 'to save memory', only the head learns",
    note="the features are detached: the body receives no gradient",
)
def hall_features_detached(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Detached(sick), rings(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 25)


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="bn-small-batch overfitting lr-too-low too-few-epochs",
    task="classification",
    good=0.85,
    source="PyTorch forum: good in train(), chance in eval(); momentum taken over from Keras",
    note="momentum 0.001 leaves the running averages at their start when the training ends",
)
def hall_keras_momentum(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    share = 0.0005 if sick else 0.1
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8, momentum=share), nn.ReLU(), nn.MaxPool2d(2))
    model.extend([nn.Flatten(), nn.Linear(128, 32), nn.BatchNorm1d(32, momentum=share), nn.ReLU(), nn.Linear(32, 10)])
    parts = tuple((16 * x, y) for x, y in digits(seed, image=True))
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 64, 6)


@program(
    PROGRAMS,
    faults="bn-small-batch batch-size-extreme",
    symptoms="bn-train-eval-mismatch oscillating-loss lr-too-high loss-not-decreasing underfitting-capacity",
    task="regression",
    good=0.7,
    source="GitHub issue: batch of two because of the memory, the model got worse",
    note="batch norm over two samples leaves only the sign of each feature",
)
def hall_two_rows_and_norms(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.Tanh(), nn.Linear(32, 32), nn.BatchNorm1d(32))
    model.extend([nn.Tanh(), nn.Linear(32, 1)])
    return case(model, friedman(seed, 600), nn.MSELoss(), partial(Adam, lr=5e-3), 2 if sick else 32, 15)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=STUCK,
    task="classification",
    good=0.85,
    source="Keras habits: Dropout(0.9) read as the share that is kept",
    note="nine units of ten are dropped in both layers",
)
def hall_dropout_read_as_kept(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 0.9 if sick else 0.1
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Dropout(rate), nn.Linear(48, 32), nn.ReLU())
    model.extend([nn.Dropout(rate), nn.Linear(32, 10)])
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="",
    task="binary",
    good=0.87,
    source="Kaggle: the train loss goes to zero, the validation loss climbs after epoch ten",
    note="three labels of ten are wrong, and a large net has time to learn them all by heart",
)
def hall_wrong_labels_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = cancer(seed)
    wrong = torch.rand(y.shape, generator=torch.Generator().manual_seed(seed)) < 0.3
    y = torch.where(wrong, 1 - y, y)
    make = partial(AdamW, lr=1e-3, weight_decay=0.0 if sick else 0.5)
    return case(mlp(30, 128, 128, 1), ((x, y), val), nn.BCEWithLogitsLoss(), make, 32, 150 if sick else 8)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="too-few-epochs loss-not-decreasing lr-too-low dead-relu too-deep-for-width",
    task="regression",
    good=0.5,
    source="autoencoder posts: every reconstruction is the same blurred digit",
    note="a code of one number for ten kinds of digits",
)
def hall_code_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, x) for x, _ in digits(seed))
    model = mlp(64, 32, 1 if sick else 16, 32, 64)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing batch-size-extreme",
    task="classification",
    good=0.85,
    source="course posts: stopped after two epochs because the tutorial does so with 60000 pictures",
    note="two epochs of some twenty steps; the loss is falling when it ends",
)
def hall_two_epochs_as_in_mnist(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    epochs = 2 if sick else 25
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 64, epochs)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms=STUCK,
    task="classification",
    good=0.85,
    source="StackOverflow: the whole data set in one batch, twenty epochs are twenty steps",
    note="one step an epoch",
)
def hall_whole_table_at_once(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    size = 5000 if sick else 32
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1), size, 20)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations vanishing-gradient",
    task="multilabel",
    good=0.85,
    source="PyTorch forum: Adam(weight_decay=0.5), every output near zero",
    note="the penalty outweighs the loss: all weights shrink to nothing",
)
def hall_decay_of_a_half(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    make = partial(Adam, lr=3e-3, weight_decay=0.5 if sick else 0.0)
    return case(mlp(12, 32, 5), tags(seed), nn.BCEWithLogitsLoss(), make, 32, 15)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms="lr-too-high " + WILD,
    task="regression",
    good=0.75,
    source="StackOverflow: momentum=0.999 'because more is better'",
    note="the speed of a thousand steps adds up and overshoots for ever",
)
def hall_momentum_of_three_nines(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    make = partial(SGD, lr=0.02, momentum=0.999 if sick else 0.9)
    return case(mlp(8, 32, 32, 1), friedman(seed), nn.MSELoss(), make, 32, 20)
