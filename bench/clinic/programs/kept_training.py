"""Kept apart, third part: rates, time, optimizers, norms and regularization."""

from functools import partial

import torch
from enrol import case
from nets import Attention, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import cancer, diabetes, digits, friedman, iris, majority, split, standardized, tags, tokens, waves
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity too-few-epochs lr-too-low vanishing-gradient"
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
    source="PyTorch forum: LSTM classifier with Adam(lr=0.1), accuracy jumps between chance and a bit more",
    note="Adam at a third drives the gates of an LSTM to their ends within the first epoch",
)
def lstm_reviews_adam_third(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(4, 4, 16, nn.LSTM)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.3 if sick else 0.01), 32, 10)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD,
    task="regression",
    good=0.6,
    source="StackOverflow: autoencoder outputs the same grey picture for every digit, Adam(lr=0.1)",
    note="steps of a tenth close the hidden units of the autoencoder, the mean picture remains",
)
def same_grey_picture(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, x) for x, _ in digits(seed))
    model = mlp(64, 48, 16, 48, 64)
    return case(model, (parts[0], parts[1]), nn.MSELoss(), partial(Adam, lr=0.1 if sick else 3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient",
    task="classification",
    good=0.85,
    source="StackOverflow: nn.TransformerEncoder gives one class for all inputs, learning rate of a CNN example",
    note="a post-norm transformer at 0.05 without a warm-up",
)
def transformer_at_the_rate_of_a_cnn(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Attention(20, 3, layers=2, norm_first=False)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.05 if sick else 2e-3), 32, 10)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD,
    task="multilabel",
    good=0.85,
    source="course exercise: multi-label classifier, SGD(lr=10) after lr=0.001 'did nothing'",
    note="plain SGD at ten for a loss that is averaged over labels",
)
def ten_after_a_thousandth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(SGD, lr=10.0 if sick else 0.3)
    return case(mlp(12, 48, 24, 5), tags(seed), nn.BCEWithLogitsLoss(), rate, 32, 25)


@program(
    PROGRAMS,
    faults="oscillating-loss lr-too-high",
    symptoms="batch-size-extreme loss-not-decreasing exploding-gradient exploding-activations dead-relu "
    "momentum-too-high too-few-epochs ill-conditioned-features",
    task="regression",
    good=0.3,
    source="stats.stackexchange: loss of a small regression saws up and down, batch of four",
    note="four noisy rows a step at a rate above a tenth: each step undoes the one before",
)
def saw_of_four_patients(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(SGD, lr=0.15 if sick else 2e-3)
    return case(mlp(10, 24, 1), diabetes(seed), nn.MSELoss(), rate, 4, 15)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="classification",
    good=0.85,
    source="PyTorch forum: SGD(model.parameters(), lr=1e-4) for a small CNN, accuracy 12 % after many epochs",
    note="plain SGD at a rate from an Adam example",
)
def small_cnn_with_adams_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(SGD, lr=1e-4 if sick else 0.1)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), rate, 16, 18)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="regression",
    good=0.75,
    source="Kaggle: GRU forecast is a flat line, lr=1e-5 'to be safe'",
    note="a rate of a hundred-thousandth in twenty epochs of a few hundred steps",
)
def flat_line_to_be_safe(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randn(600, 12, 1)
    y = standardized(x[:, -4:].sum(1) + 0.1 * torch.randn(600, 1))
    rate = partial(AdamW, lr=1e-5 if sick else 0.01)
    return case(SeriesRNN(1, 1, 24), split(x, y, seed), nn.MSELoss(), rate, 32, 20)


def whole_number_warm_up(step: int) -> float:
    """Steps over a thousand, with the division that drops the rest."""
    return step // 1000


@program(
    PROGRAMS,
    faults="lr-too-low loss-not-decreasing",
    symptoms="underfitting-capacity too-few-epochs frozen-parameters",
    task="binary",
    good=0.9,
    source="PyTorch forum: LambdaLR with 'step // warmup', the loss is exactly constant",
    note="whole-number division makes the factor of the warm-up zero for a thousand steps",
)
def warm_up_by_whole_numbers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)

    def schedule(optimizer: torch.optim.Optimizer) -> LambdaLR:
        return LambdaLR(optimizer, whole_number_warm_up if sick else lambda step: min(1.0, step / 100))

    model = mlp(30, 24, 1)
    parts = cancer(seed)
    return case(model, parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 16, 15, scheduler=schedule)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="classification",
    good=0.85,
    source="GitHub issue: ExponentialLR(0.9) stepped inside the batch loop, training 'freezes' in epoch 1",
    note="a decay meant for epochs is applied to every batch and ends training after forty steps",
)
def exponential_decay_of_batches(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    schedule = partial(ExponentialLR, gamma=0.9 if sick else 0.995)
    model = wave_cnn()
    parts = waves(seed, noise=0.2)
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15, scheduler=schedule)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing batch-size-extreme",
    task="classification",
    good=0.85,
    source="notebooks run on a laptop: EPOCHS = 1 left in from the first trial",
    note="one pass over the data is left from a trial run",
)
def one_epoch_left_from_a_trial(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Attention(20, 3)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 1 if sick else 15)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing",
    task="regression",
    good=0.75,
    source="StackOverflow: 'my R2 is negative', three epochs of Adagrad",
    note="three epochs of Adagrad at its default rate",
)
def three_epochs_of_adagrad(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = friedman(seed, 700, 8)
    return case(mlp(8, 48, 24, 1), parts, nn.MSELoss(), partial(Adagrad, lr=0.01), 64, 3 if sick else 60)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms="too-few-epochs lr-too-low underfitting-capacity loss-not-decreasing",
    task="classification",
    good=0.88,
    source="StackOverflow: CNN with batch_size=len(train_set) 'because it fits on the GPU'",
    note="one step an epoch, ten steps in all",
)
def it_fits_on_the_gpu(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    size = 2000 if sick else 32
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), size, 10)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations",
    task="multilabel",
    good=0.85,
    source="PyTorch forum: Adam(weight_decay=0.5) against overfitting, all probabilities are one half",
    note="the pull to zero outweighs the gradient of five labels",
)
def every_probability_one_half(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(Adam, lr=3e-3, weight_decay=0.5 if sick else 1e-4)
    return case(mlp(12, 48, 24, 5), tags(seed), nn.BCEWithLogitsLoss(), rate, 32, 25)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations",
    task="classification",
    good=0.85,
    source="GitHub issue: AdamW(weight_decay=10) from a sweep that went up in powers of ten",
    note="decoupled decay takes three hundredths of every weight in each step",
)
def sweep_in_powers_of_ten(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(AdamW, lr=3e-3, weight_decay=10.0 if sick else 0.01)
    return case(TokenRNN(4, 4), majority(seed), nn.CrossEntropyLoss(), rate, 32, 12)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms="oscillating-loss lr-too-high exploding-gradient exploding-activations nonfinite-loss loss-not-decreasing "
    "dead-relu saturated-activations",
    task="classification",
    good=0.85,
    source="course exercise: try momentum 0.5, 0.9, 0.99, 0.999 on a small CNN and explain",
    note="the last momentum of the exercise carries each gradient for a thousand steps",
)
def last_momentum_of_the_exercise(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(SGD, lr=0.03, momentum=0.998 if sick else 0.9)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), rate, 32, 8)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing",
    task="classification",
    good=0.85,
    source="scikit-learn habit: max_iter=2 copied from a speed test on iris",
    note="fourteen steps of plain SGD",
)
def two_rounds_of_iris(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(mlp(4, 16, 3), iris(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 16, 2 if sick else 80)
