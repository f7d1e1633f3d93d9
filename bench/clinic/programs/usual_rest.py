"""Usual posts, third part: length of training, capacity and batches, two causes at once, and healthy programs."""

from functools import partial

import torch
from enrol import case, healthy
from nets import Attention, ResidualMLP, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program, two_causes
from samples import (
    blobs,
    cancer,
    diabetes,
    digits,
    friedman,
    iris,
    majority,
    rings,
    split,
    sums,
    tags,
    tokens,
    waves,
    wine,
)
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu loss-not-decreasing "
    "saturated-activations bad-init-scale vanishing-gradient"
)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="duplicate-samples",
    task="classification",
    good=0.7,
    source="StackOverflow: training accuracy 100 %, validation accuracy falls from epoch to epoch",
    note="a third of 250 labels are wrong, a wide net learns them all by heart in 150 epochs",
)
def usual_hundred_fifty_epochs(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = blobs(seed, 850, 10, 4, 3.0)
    x, y = x[:250], torch.where(torch.rand(250) < 0.35, torch.randint(0, 4, (250,)), y[:250])
    optimizer = partial(AdamW, lr=2e-3, weight_decay=0.0 if sick else 0.5)
    return case(mlp(10, 128, 128, 4), ((x, y), val), nn.CrossEntropyLoss(), optimizer, 32, 150 if sick else 8)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="too-few-epochs loss-not-decreasing lr-too-low input-constant-feature",
    task="regression",
    good=0.78,
    source="StackOverflow: my autoencoder returns the same blurred picture for every input",
    note="a code of one number for pictures of ten digits",
)
def usual_code_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, x) for x, _ in digits(seed))
    return case(mlp(64, 48, 1 if sick else 16, 48, 64), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing",
    task="classification",
    good=0.9,
    source="course exercise run with epochs=1 'to test it'",
    note="one epoch of forty steps",
)
def usual_one_epoch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.02, momentum=0.9)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 1 if sick else 15)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms="too-few-epochs lr-too-low underfitting-capacity loss-not-decreasing",
    task="classification",
    good=0.9,
    source="StackOverflow: the whole set in one batch because the GPU has room for it",
    note="fifteen epochs of a single step each",
)
def usual_whole_set_in_a_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = digits(seed)
    size = len(parts[0][0]) if sick else 32
    return case(mlp(64, 64, 10), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.1), size, 15)


@program(
    PROGRAMS,
    faults="batch-size-extreme lr-too-high oscillating-loss",
    symptoms="momentum-too-high " + WILD,
    task="regression",
    good=0.7,
    source="StackOverflow: online learning, the loss jumps up and down",
    note="one row a step at a rate and a momentum that suit batches of 32",
)
def usual_one_row_a_step(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.03, momentum=0.9)
    return case(mlp(8, 32, 32, 1), friedman(seed, 500), nn.MSELoss(), optimizer, 1 if sick else 32, 15)


class Accumulating(SGD):
    """SGD whose gradients are never set to zero."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Keep what there is."""


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms="lr-too-high momentum-too-high " + WILD,
    task="classification",
    good=0.9,
    source="PyTorch forum: forgot optimizer.zero_grad()",
    note="gradients of all earlier batches stay in the sum",
)
def usual_gradients_never_zeroed(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Accumulating if sick else SGD, lr=0.1)
    return case(mlp(64, 64, 32, 10), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 15)


def log_error(output: Tensor, y: Tensor) -> Tensor:
    """Squared difference of logarithms."""
    return (output.log() - y.log()).square().mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss loss-output-mismatch",
    symptoms="wrong-loss-for-task loss-not-decreasing lr-too-high exploding-gradient targets-not-normalized",
    task="regression",
    good=0.6,
    source="Kaggle: RMSLE as a loss is nan from the first batch",
    note="the logarithm of a negative prediction; the repair ends in softplus",
)
def usual_logarithm_of_predictions(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, (0.5 * y).exp()) for x, y in friedman(seed))
    model = nn.Sequential(*mlp(8, 64, 1), *([] if sick else [nn.Softplus()]))
    return case(model, parts, log_error, partial(Adam, lr=5e-3), 32, 20)


class Rectified(nn.Module):
    """A recurrent layer of ReLUs that starts at a multiple of the identity."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.rnn = nn.RNN(2, 32, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(32, 1)
        with torch.no_grad():
            dict(self.rnn.named_parameters())["weight_hh_l0"].copy_(gain * torch.eye(32))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


@program(
    PROGRAMS,
    faults="exploding-gradient exploding-activations bad-init-scale",
    symptoms="lr-too-high oscillating-loss nonfinite-loss loss-not-decreasing targets-not-normalized dead-relu",
    task="regression",
    good=0.7,
    source="Le et al., 'A simple way to initialize recurrent networks of rectified linear units', done wrongly",
    note="the recurrent matrix is twice the identity: twenty steps multiply by a million",
)
def usual_twice_the_identity(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Rectified(2.0 if sick else 1.0), sums(seed, 1000, 20), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 25)


@two_causes(
    PROGRAMS,
    causes="loss-output-mismatch unshuffled-data",
    symptoms=STUCK + " oscillating-loss vanishing-gradient input-constant-feature",
    task="classification",
    good=0.85,
    source="homework on digits: softmax before cross entropy, and the rows sorted by label",
    note="softmax twice, and one digit after the other",
)
def usual_softmax_and_sorted(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    order, mixed = y.argsort(), "unshuffled-data" not in causes
    end = [nn.Softmax(1)] if "loss-output-mismatch" in causes else []
    model = nn.Sequential(*mlp(64, 48, 10), *end)
    parts = (x[order], y[order]), val
    return case(model, parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.1), 32, 15, shuffle=mixed)


@two_causes(
    PROGRAMS,
    causes="target-shape-mismatch momentum-too-high",
    symptoms=STUCK + " lr-too-high wrong-loss-for-task " + WILD,
    task="regression",
    good=0.7,
    source="two questions in one StackOverflow post: the broadcast warning and momentum=0.999",
    note="targets (n,) against predictions (n, 1), and a momentum of 0.999",
)
def usual_broadcast_and_momentum(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    flat = "target-shape-mismatch" in causes
    parts = tuple((x, y[:, 0] if flat else y) for x, y in friedman(seed))
    optimizer = partial(SGD, lr=0.03, momentum=0.999 if "momentum-too-high" in causes else 0.8)
    return case(mlp(8, 32, 32, 1), parts, nn.MSELoss(), optimizer, 32, 20)


@two_causes(
    PROGRAMS,
    causes="input-not-normalized too-few-epochs",
    symptoms=STUCK + " ill-conditioned-features dead-relu exploding-gradient lr-too-high exploding-activations "
    "oscillating-loss",
    task="classification",
    good=0.88,
    source="beginner's wine notebook: no scaler and epochs=1",
    note="proline in the hundreds, and only one pass over 124 wines",
)
def usual_raw_wine_in_one_epoch(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    parts = wine(seed, raw="input-not-normalized" in causes)
    epochs = 1 if "too-few-epochs" in causes else 30
    return case(mlp(13, 32, 3), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.03), 16, epochs)


@two_causes(
    PROGRAMS,
    causes="dropout-too-high weight-decay-too-high",
    symptoms=STUCK + " vanishing-gradient vanishing-activations dead-relu",
    task="classification",
    good=0.9,
    source="Kaggle: everything against overfitting at once",
    note="dropout of 0.9, and a decay of 1",
)
def usual_dropout_and_decay(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    p = 0.9 if "dropout-too-high" in causes else 0.1
    hidden = [nn.Linear(64, 32), nn.ReLU(), nn.Dropout(p), nn.Linear(32, 24), nn.ReLU(), nn.Dropout(p)]
    model = nn.Sequential(*hidden, nn.Linear(24, 10))
    optimizer = partial(Adam, lr=3e-3, weight_decay=1.0 if "weight-decay-too-high" in causes else 0.0)
    return case(model, digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 20)


@two_causes(
    PROGRAMS,
    causes="missing-nonlinearity lr-too-low",
    symptoms="underfitting-capacity too-few-epochs loss-not-decreasing",
    task="regression",
    good=0.85,
    source="PyTorch forum: linear layers only, and Adam at 1e-6 copied from a fine-tuning script",
    note="no activation, and a rate a thousand times too low",
)
def usual_linear_and_slow(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    between = nn.Identity if "missing-nonlinearity" in causes else nn.ReLU
    optimizer = partial(Adam, lr=1e-6 if "lr-too-low" in causes else 3e-3)
    model = mlp(5, 48, 48, 1, activation=between)
    return case(model, friedman(seed, features=5, noise=0.2), nn.MSELoss(), optimizer, 32, 25)


@healthy(PROGRAMS, "classification", 0.92, "SGD at a rate of 0.5 for softmax regression on pixels of 0 ... 1")
def usual_rate_of_a_half(seed: int) -> Case:
    return case(nn.Linear(64, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.5), 64, 20)


@healthy(PROGRAMS, "regression", 0.25, "no hidden layer and no activation: linear regression is enough here")
def usual_linear_regression(seed: int) -> Case:
    return case(nn.Linear(10, 1), diabetes(seed), nn.MSELoss(), partial(SGD, lr=0.01), 32, 30)


@healthy(PROGRAMS, "classification", 0.92, "raw pixels of 0 ... 16, but batch normalization comes first")
def usual_raw_pixels_normed_inside(seed: int) -> Case:
    model = nn.Sequential(nn.BatchNorm1d(64), *mlp(64, 48, 10))
    return case(model, digits(seed, raw=True), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.92, "dropout of one half in a wide layer")
def usual_half_dropped(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.85, "the whole of iris in one batch, for as many steps as are needed")
def usual_iris_full_batch(seed: int) -> Case:
    return case(mlp(4, 16, 3), iris(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.02), 105, 120)


@healthy(PROGRAMS, "regression", 0.8, "no shuffling, but the rows are drawn at random anyway")
def usual_unshuffled_but_random(seed: int) -> Case:
    return case(mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20, shuffle=False)


@healthy(PROGRAMS, "multilabel", 0.85, "sigmoid and BCELoss, several labels")
def usual_sigmoid_and_bce(seed: int) -> Case:
    model = nn.Sequential(*mlp(12, 32, 5), nn.Sigmoid())
    return case(model, tags(seed), nn.BCELoss(), partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "log-softmax and NLLLoss on waves")
def usual_log_softmax_and_nll(seed: int) -> Case:
    model = nn.Sequential(*wave_cnn(), nn.LogSoftmax(1))
    return case(model, waves(seed), nn.NLLLoss(), partial(Adam, lr=3e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "a one-cycle plan that begins very low and rises to 0.3")
def usual_one_cycle(seed: int) -> Case:
    plan = partial(OneCycleLR, max_lr=0.3, total_steps=480)
    return case(mlp(64, 64, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.01), 32, 12, scheduler=plan)


@healthy(PROGRAMS, "regression", 0.8, "gradients clipped at 0.5 in a GRU that adds marked numbers")
def usual_clipped_gru(seed: int) -> Case:
    return case(SeriesRNN(2, 1), sums(seed, 1000, 10), nn.MSELoss(), partial(Adam, lr=0.01), 32, 25, clip_grad=0.5)


@healthy(PROGRAMS, "classification", 0.92, "a momentum of 0.97 at a small rate")
def usual_high_momentum_low_rate(seed: int) -> Case:
    optimizer = partial(SGD, lr=3e-3, momentum=0.97)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 15)


@healthy(PROGRAMS, "classification", 0.85, "a transformer with warm-up, dropout and the norm behind the residual")
def usual_transformer_post_norm(seed: int) -> Case:
    model = Attention(4, 4, width=16, layers=2, dropout=0.1, norm_first=False)
    plan = partial(LambdaLR, lr_lambda=lambda step: min(1.0, (step + 1) / 60))
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(AdamW, lr=3e-3), 32, 12, scheduler=plan)


@healthy(PROGRAMS, "regression", 0.7, "an autoencoder that ends in a sigmoid, trained with squared errors")
def usual_autoencoder(seed: int) -> Case:
    parts = tuple((x, x) for x, _ in digits(seed))
    model = nn.Sequential(*mlp(64, 48, 12, 48, 64), nn.Sigmoid())
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 30)


@healthy(PROGRAMS, "regression", 0.8, "eight residual blocks without any normalization")
def usual_eight_residual_blocks(seed: int) -> Case:
    return case(ResidualMLP(8, 1, blocks=8), friedman(seed), nn.MSELoss(), partial(Adam, lr=1e-3), 32, 20)


@healthy(PROGRAMS, "binary", 0.85, "one row in eight is positive, but the two clouds lie far apart", metric="balanced")
def usual_rare_but_far(seed: int) -> Case:
    y = (torch.rand(1000, 1) < 0.12).float()
    x = torch.randn(1000, 6) + 2.5 * y
    return case(mlp(6, 16, 1), split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "three tanh layers and RMSprop")
def usual_tanh_and_rmsprop(seed: int) -> Case:
    model = mlp(64, 48, 48, 48, 10, activation=nn.Tanh)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(RMSprop, lr=1e-3), 32, 12)


@healthy(PROGRAMS, "binary", 0.92, "Adagrad at 0.05, a rate that falls by itself")
def usual_adagrad_at_a_twentieth(seed: int) -> Case:
    return case(mlp(30, 16, 1), cancer(seed), nn.BCEWithLogitsLoss(), partial(Adagrad, lr=0.05), 32, 15)


@healthy(PROGRAMS, "classification", 0.85, "random first layer that stays frozen, wide enough for a good head")
def usual_random_features(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 400).requires_grad_(False), nn.ReLU(), nn.Linear(400, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.92, "batches of four with layer normalization")
def usual_batches_of_four(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(2, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    return case(model, rings(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 4, 12)


@healthy(PROGRAMS, "classification", 0.8, "an LSTM over tokens; the loss rests at log 3 in the first epochs")
def usual_lstm_on_tokens(seed: int) -> Case:
    return case(TokenRNN(20, 3, kind=nn.LSTM), tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@healthy(PROGRAMS, "classification", 0.93, "label smoothing: the loss cannot fall to zero")
def usual_label_smoothing(seed: int) -> Case:
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    return case(digit_cnn(), digits(seed, image=True), loss, partial(AdamW, lr=3e-3, weight_decay=0.1), 32, 12)
