"""Programs as beginners bring them to the desk, last part: the rarer troubles, two at once, and none at all."""

from functools import partial

import torch
from enrol import case, healthy
from nets import Attention, ResidualMLP, SeriesRNN, TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program, two_causes
from samples import blobs, cancer, digits, friedman, iris, majority, rings, tags, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import OneCycleLR

PROGRAMS: list[SuiteProgram] = []
STUCK = " loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = " lr-too-high oscillating-loss exploding-gradient exploding-activations loss-not-decreasing momentum-too-high"
ENTROPY = nn.CrossEntropyLoss()


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=STUCK,
    task="classification",
    good=0.9,
    source="StackOverflow: Dropout(0.95) taken for the share to keep, as in old TensorFlow",
    note="of 48 units two or three are left",
)
def desk_dropout_as_share_to_keep(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    drop = [nn.Dropout(0.95 if sick else 0.05) for _ in range(2)]
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), drop[0], nn.Linear(48, 48), nn.ReLU(), drop[1])
    return case(model.append(nn.Linear(48, 10)), digits(seed), ENTROPY, partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="input-not-normalized overfitting too-few-epochs",
    task="classification",
    good=0.9,
    source="PyTorch forum: fine in train(), chance in eval(): momentum of Keras (0.99 kept) given to PyTorch as 0.001",
    note="running statistics hardly leave their start in four hundred steps",
)
def desk_fine_in_train_chance_in_eval(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    keep = 0.001 if sick else 0.1
    (x, y), (x_val, y_val) = digits(seed, raw=True)
    model = nn.Sequential(nn.BatchNorm1d(64, momentum=keep), nn.Linear(64, 48), nn.BatchNorm1d(48, momentum=keep))
    model.append(nn.ReLU()).append(nn.Linear(48, 10))
    return case(model, ((x + 20, y), (x_val + 20, y_val)), ENTROPY, partial(Adam, lr=3e-3), 32, 10)


@program(
    PROGRAMS,
    faults="bn-small-batch batch-size-extreme",
    symptoms="bn-train-eval-mismatch oscillating-loss lr-too-high" + STUCK,
    task="regression",
    good=0.8,
    source="segmentation repository, an issue: batch of two because of memory, validation is erratic",
    note="statistics of two samples",
)
def desk_batch_norm_over_two(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.BatchNorm1d(32))
    model.append(nn.ReLU()).append(nn.Linear(32, 1))
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 2 if sick else 32, 15)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms=STUCK,
    task="classification",
    good=0.9,
    source="forum: batch_size=len(dataset) because it fits into memory",
    note="one step per epoch, fifteen epochs",
)
def desk_whole_set_in_a_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    data = digits(seed, image=True)
    return case(digit_cnn(), data, ENTROPY, partial(SGD, lr=0.05, momentum=0.9), 1257 if sick else 32, 15)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="too-few-epochs lr-too-low loss-not-decreasing dead-relu",
    task="classification",
    good=0.88,
    source="course exercise: digits through a hidden layer of two units, accuracy about 60 %",
    note="ten classes do not fit through two numbers",
)
def desk_two_hidden_units(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(mlp(64, 2 if sick else 32, 10), digits(seed), ENTROPY, partial(Adam, lr=5e-3), 32, 15)


def by_hand(p: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy as in a lecture."""
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean()


def by_hand_safely(p: Tensor, y: Tensor) -> Tensor:
    """The same away from zero and one."""
    return by_hand(p.clamp(1e-6, 1 - 1e-6), y)


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="lr-too-high exploding-gradient loss-output-mismatch saturated-activations loss-not-decreasing",
    task="binary",
    good=0.95,
    source="StackOverflow: own log loss becomes nan after some good epochs",
    note="0 · log 0 as soon as the sigmoid is rounded to one",
)
def desk_log_loss_by_hand(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = blobs(seed, 800, 6, 2, 6.0)
    parts = (x, y.float()[:, None]), (x_val, y_val.float()[:, None])
    model = mlp(6, 24, 1).append(nn.Sigmoid())
    return case(model, parts, by_hand if sick else by_hand_safely, partial(Adam, lr=0.02), 32, 25)


class Accumulating(SGD):
    """Gradient descent in a loop without ``zero_grad``."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgotten."""


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms=WILD + " nonfinite-loss dead-relu",
    task="classification",
    good=0.9,
    source="StackOverflow: optimizer.zero_grad() forgotten",
    note="the gradients of all batches so far are summed",
)
def desk_zero_grad_forgotten(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(digit_cnn(), digits(seed, image=True), ENTROPY, partial(Accumulating if sick else SGD, lr=0.1), 32, 20)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="target-shape-mismatch loss-output-mismatch",
    task="classification",
    good=0.9,
    source="StackOverflow: 'mat1 and mat2 shapes cannot be multiplied' after Flatten",
    note="the head expects 128 numbers and gets 64",
)
def desk_shapes_cannot_be_multiplied(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = digit_cnn()
    model[7] = nn.Linear(128 if sick else 64, 10)
    return case(model, digits(seed, image=True), ENTROPY, partial(Adam, lr=5e-3), 32, 8)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="label-out-of-range input-not-normalized",
    task="classification",
    good=0.8,
    source="StackOverflow: 'IndexError: index out of range in self' from nn.Embedding",
    note="the vocabulary was counted without its last word",
)
def desk_index_out_of_range_in_self(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(19 if sick else 20, 3)
    return case(model, tokens(seed, 1000, 10), ENTROPY, partial(Adam, lr=0.01), 32, 12)


@program(
    PROGRAMS,
    faults="train-val-leak",
    symptoms="class-imbalance duplicate-samples overfitting label-out-of-range",
    task="classification",
    good=0.9,
    source="Kaggle beginners: pd.concat([train, test]).fillna(0), so the test rows are learnt as zeros",
    note="the rows of validation are in the training part with label 0",
)
def desk_test_rows_as_zeros(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed)
    train = (torch.cat([x, x_val]), torch.cat([y, 0 * y_val])) if sick else (x, y)
    return case(mlp(64, 64, 10), (train, (x_val, y_val)), ENTROPY, partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="exploding-gradient",
    symptoms=WILD + " nonfinite-loss bad-init-scale dead-relu",
    task="classification",
    good=0.8,
    source="PyTorch forum: nn.RNN with relu over long rows, loss nan; clip_grad_norm_ helped",
    note="a recurrence with gain above one over thirty steps, gradients not clipped",
)
def desk_recurrence_explodes(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = waves(seed, 700, 30, noise=0.1)
    parts = (x.transpose(1, 2), y), (x_val.transpose(1, 2), y_val)
    model = SeriesRNN(1, 3, 24)
    model.rnn = nn.RNN(1, 24, batch_first=True, nonlinearity="relu")
    nn.init.orthogonal_(model.rnn.get_parameter("weight_hh_l0"), gain=1.25)
    return case(model, parts, ENTROPY, partial(SGD, lr=0.05, momentum=0.9), 32, 30, clip_grad=None if sick else 1.0)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="input-not-normalized loss-output-mismatch",
    symptoms=WILD + STUCK + " dead-relu saturated-activations vanishing-gradient",
    good=0.88,
    source="forum: first CNN of one's own",
    note="bytes as inputs, and softmax before cross entropy",
)
def desk_bytes_and_softmax(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    factor = 255.0 if "input-not-normalized" in left else 1.0
    parts = tuple((x * factor, y) for x, y in digits(seed, image=True))
    tail = [nn.Softmax(1)] if "loss-output-mismatch" in left else []
    model = nn.Sequential(*digit_cnn(), *tail)
    return case(model, (parts[0], parts[1]), ENTROPY, partial(SGD, lr=0.1), 32, 15)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="targets-not-normalized missing-nonlinearity",
    symptoms=STUCK,
    good=0.85,
    source="course exercise: prices by three linear layers",
    note="targets in thousands, and no activation",
)
def desk_thousands_and_no_activation(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    scale, mean = (3000.0, 20000.0) if "targets-not-normalized" in left else (1.0, 0.0)
    (x, y), (x_val, y_val) = friedman(seed, 900, 6, 0.2)
    parts = (x, y * scale + mean), (x_val, y_val * scale + mean)
    plain = nn.Sequential(nn.Linear(6, 48), nn.Linear(48, 48), nn.Linear(48, 1))
    model = plain if "missing-nonlinearity" in left else mlp(6, 48, 48, 1)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="lr-too-low dropout-too-high",
    symptoms=STUCK,
    good=0.9,
    source="forum: everything was made 'careful' after one overfitted run",
    note="a rate of 0.00005 and dropout of 0.93",
)
def desk_too_careful(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    drop = nn.Dropout(0.93 if "dropout-too-high" in left else 0.1)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), drop, nn.Linear(32, 10))
    return case(model, digits(seed), ENTROPY, partial(Adam, lr=5e-5 if "lr-too-low" in left else 5e-3), 32, 12)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="unshuffled-data parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters oscillating-loss class-imbalance",
    good=0.8,
    source="code review: a text classifier put together from two tutorials",
    note="sorted rows in their order, and only the head in the optimizer",
)
def desk_sorted_and_only_the_head(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(20, 3)
    (x, y), val = tokens(seed, 1000, 10)
    order, mixed = y.argsort(), "unshuffled-data" not in left
    chosen = model.head if "parameters-not-in-optimizer" in left else model
    return case(model, ((x[order], y[order]), val), ENTROPY, Adam(chosen.parameters(), lr=0.02), 32, 15, shuffle=mixed)


@two_causes(
    PROGRAMS,
    task="binary",
    causes="input-nonfinite symmetric-init",
    symptoms=STUCK + " nonfinite-loss bad-init-scale dead-relu vanishing-gradient vanishing-activations",
    good=0.92,
    source="course exercise: own table, own initialization",
    note="a missing number in three rows, and all weights zero",
)
def desk_missing_numbers_and_zeros(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = cancer(seed)
    x = x.clone()
    x[:3, 5] = torch.nan if "input-nonfinite" in left else 0.0
    model = mlp(30, 16, 16, 1)
    for parameter in model.parameters() if "symmetric-init" in left else ():
        nn.init.zeros_(parameter)
    return case(model, ((x, y), val), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.92, "pixels of 0 to 16 as scikit-learn gives them, which Adam stands well")
def desk_pixels_up_to_sixteen(seed: int) -> Case:
    return case(mlp(64, 48, 10), digits(seed, raw=True), ENTROPY, partial(Adam, lr=1e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.85, "centimetres without scaling: all four columns are of one size")
def desk_iris_in_centimetres(seed: int) -> Case:
    return case(mlp(4, 16, 3), iris(seed, raw=True), ENTROPY, partial(Adam, lr=0.01), 10, 40)


@healthy(PROGRAMS, "binary", 0.92, "logistic regression with sigmoid and BCELoss, one layer only")
def desk_logistic_regression(seed: int) -> Case:
    return case(nn.Sequential(nn.Linear(30, 1), nn.Sigmoid()), cancer(seed), nn.BCELoss(), partial(SGD, lr=0.1), 16, 20)


@healthy(PROGRAMS, "classification", 0.9, "a rate of 0.5 for softmax regression is right")
def desk_softmax_regression_at_a_half(seed: int) -> Case:
    return case(nn.Linear(64, 10), digits(seed), ENTROPY, partial(SGD, lr=0.5), 64, 20)


@healthy(PROGRAMS, "classification", 0.92, "half of the units are dropped, as in many textbooks")
def desk_half_dropped(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
    return case(model, digits(seed), ENTROPY, partial(AdamW, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "binary", 0.92, "the whole set in a batch, but a hundred and twenty epochs")
def desk_whole_set_for_long(seed: int) -> Case:
    return case(mlp(30, 16, 1), cancer(seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=0.01), 398, 120)


@healthy(PROGRAMS, "classification", 0.9, "batches of four at a small rate")
def desk_batches_of_four(seed: int) -> Case:
    return case(mlp(64, 32, 10), digits(seed), ENTROPY, partial(SGD, lr=0.02), 4, 10)


@healthy(PROGRAMS, "classification", 0.9, "no shuffling, but the rows are mixed already")
def desk_mixed_before(seed: int) -> Case:
    return case(digit_cnn(), digits(seed, image=True), ENTROPY, partial(RMSprop, lr=2e-3), 32, 12, shuffle=False)


@healthy(PROGRAMS, "regression", 0.6, "an autoencoder with sigmoid outputs for pixels of 0 to 1")
def desk_sigmoid_autoencoder(seed: int) -> Case:
    parts = tuple((x, x) for x, _ in digits(seed))
    model = mlp(64, 48, 12, 48, 64).append(nn.Sigmoid())
    return case(model, (parts[0], parts[1]), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


@healthy(PROGRAMS, "regression", 0.3, "much noise: no net explains more than half of it")
def desk_half_is_noise(seed: int) -> Case:
    return case(mlp(5, 12, 1), friedman(seed, 1200, 5, 4.0), nn.MSELoss(), partial(Adagrad, lr=0.05), 32, 15)


@healthy(PROGRAMS, "multilabel", 0.88, "rare tags: one in six")
def desk_rare_tags(seed: int) -> Case:
    return case(mlp(12, 32, 5), tags(seed, offset=0.9), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.92, "the head starts at zero, so the first loss is exactly log 10")
def desk_head_from_zero(seed: int) -> Case:
    model = digit_cnn()
    nn.init.zeros_(model[7].get_parameter("weight"))
    return case(model, digits(seed, image=True), ENTROPY, partial(Adam, lr=5e-3), 32, 10)


@healthy(PROGRAMS, "classification", 0.92, "label smoothing keeps the loss above 0.5")
def desk_smoothed_labels(seed: int) -> Case:
    return case(mlp(64, 64, 10), digits(seed), nn.CrossEntropyLoss(label_smoothing=0.1), partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.88, "a post-norm transformer with clipped gradients")
def desk_clipped_transformer(seed: int) -> Case:
    model = Attention(4, 4, norm_first=False, dropout=0.1)
    return case(model, majority(seed), ENTROPY, partial(AdamW, lr=3e-3), 32, 15, clip_grad=0.5)


@healthy(PROGRAMS, "regression", 0.8, "ten residual blocks are deep, but the way around them is open")
def desk_ten_residual_blocks(seed: int) -> Case:
    return case(ResidualMLP(8, 1, blocks=10), friedman(seed), nn.MSELoss(), partial(Adam, lr=1e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.92, "the one-cycle policy goes up to a rate of 0.5 and back")
def desk_one_cycle(seed: int) -> Case:
    cycle = partial(OneCycleLR, max_lr=0.5, total_steps=12 * 40)
    return case(mlp(64, 48, 10), digits(seed), ENTROPY, partial(SGD, lr=0.02), 32, 12, scheduler=cycle)


@healthy(PROGRAMS, "classification", 0.95, "three tanh layers for two half-moons")
def desk_three_tanh_layers(seed: int) -> Case:
    model = mlp(2, 16, 16, 16, 2, activation=nn.Tanh)
    return case(model, rings(seed), ENTROPY, partial(SGD, lr=0.1, momentum=0.9), 32, 20)


@healthy(PROGRAMS, "classification", 0.85, "a GRU at 0.01 reads its last state only")
def desk_last_state(seed: int) -> Case:
    return case(TokenRNN(20, 3), tokens(seed, 1000, 10), ENTROPY, partial(Adam, lr=0.01), 32, 15)


@healthy(PROGRAMS, "classification", 0.92, "targets as rows of zeros and a one, which cross entropy takes as well")
def desk_one_hot_targets(seed: int) -> Case:
    (x, y), (x_val, y_val) = digits(seed)
    rows = torch.eye(10)
    parts = (x, rows[y]), (x_val, rows[y_val])
    return case(mlp(64, 48, 10), parts, ENTROPY, partial(Adam, lr=3e-3), 32, 12)


@healthy(PROGRAMS, "binary", 0.85, "one row in six is positive, and the clouds lie well apart", metric="balanced")
def desk_one_in_six(seed: int) -> Case:
    (x, y), (x_val, y_val) = blobs(seed, 900, 8, 6, 4.0)
    parts = (x, (y == 0).float()[:, None]), (x_val, (y_val == 0).float()[:, None])
    return case(mlp(8, 24, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "a frozen layer of three hundred random units under a head, as is meant")
def desk_random_features(seed: int) -> Case:
    model = mlp(64, 300, 10)
    model[0].requires_grad_(False)
    return case(model, digits(seed), ENTROPY, partial(Adam, lr=0.01), 32, 15)
