"""A deep-learning course's exercises gone wrong, second part: data, losses, targets, settings and two at a time."""

from functools import partial

import torch
from enrol import case
from nets import digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import blobs, cancer, diabetes, digits, friedman, iris, split, tags, wine
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import ExponentialLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs input-constant-feature"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations momentum-too-high"
)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " vanishing-gradient",
    task="classification",
    good=0.92,
    source="assignment 1: the softmax written by hand stays in forward() when CrossEntropyLoss comes in",
    note="softmax of softmax: logits between zero and one",
)
def course_softmax_by_hand(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(64, 32, 10), *([nn.Softmax(1)] if sick else []))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.5), 32, 12)


@program(
    PROGRAMS,
    faults="loss-output-mismatch wrong-loss-for-task",
    symptoms=WILD + " " + STUCK,
    task="classification",
    good=0.9,
    source="PyTorch forum: negative loss with nn.NLLLoss, log_softmax was in the part of the notebook that was cut",
    note="NLLLoss on bare scores: the loss falls without end",
)
def course_nll_of_bare_scores(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*digit_cnn(), *([] if sick else [nn.LogSoftmax(1)]))
    return case(model, digits(seed, image=True), nn.NLLLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " vanishing-gradient dead-relu targets-not-normalized",
    task="regression",
    good=0.8,
    source="course forum: 'ReLU after every layer', also after the last",
    note="half of the standardized targets are negative and cannot be answered",
)
def course_relu_on_the_answer(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(8, 48, 24, 1), *([nn.ReLU()] if sick else []))
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms=STUCK + " targets-not-normalized",
    task="classification",
    good=0.9,
    source="Kaggle starters: a digit is a number, so MSELoss on one output",
    note="squared error of the class number",
)
def course_digit_as_a_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed)
    if sick:
        parts = (x, y.float()[:, None]), (x_val, y_val.float()[:, None])
        return case(mlp(64, 32, 1), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 15)
    return case(mlp(64, 32, 10), ((x, y), (x_val, y_val)), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=STUCK,
    task="regression",
    good=0.75,
    source="StackOverflow: 'Using a target size that is different to the input size', ignored as a mere warning",
    note="a row of targets against a column of outputs: each output is pulled to the batch's mean",
)
def course_row_against_column(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = friedman(seed)
    if sick:
        parts = tuple((x, y.flatten()) for x, y in parts)
    return case(mlp(8, 48, 24, 1), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="target-shape-mismatch program-crashes",
    symptoms="loss-output-mismatch wrong-loss-for-task",
    task="binary",
    good=0.9,
    source="PyTorch forum: Target size (torch.Size([16])) must be the same as input size (torch.Size([16, 1]))",
    note="BCEWithLogitsLoss refuses a row of labels for a column of scores",
)
def course_labels_without_a_column(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = cancer(seed)
    if sick:
        parts = tuple((x, y.flatten()) for x, y in parts)
    return case(mlp(30, 16, 1), parts, nn.BCEWithLogitsLoss(), partial(RMSprop, lr=3e-3), 16, 12)


@program(
    PROGRAMS,
    faults="label-out-of-range program-crashes",
    symptoms="loss-output-mismatch",
    task="classification",
    good=0.85,
    source="StackOverflow: IndexError: Target 3 is out of bounds",
    note="cultivars numbered 1 to 3 as in the file",
)
def course_cultivars_from_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y + int(sick)) for x, y in wine(seed))
    return case(mlp(13, 16, 3), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 16, 20)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="",
    task="classification",
    good=0.9,
    source="PyTorch forum: mat1 and mat2 shapes cannot be multiplied, after a pooling layer was added",
    note="the linear layer expects the size before the second pooling",
)
def course_one_pooling_too_many(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*digit_cnn()[:-1], nn.Linear(256 if sick else 64, 10))
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 10)


def hinge(output: Tensor, y: Tensor) -> Tensor:
    """The support vector machine's loss for labels of plus and minus one."""
    return (1 - y * output).relu().mean()


@program(
    PROGRAMS,
    faults="label-out-of-range loss-output-mismatch",
    symptoms=STUCK + " wrong-loss-for-task class-imbalance",
    task="binary",
    good=0.9,
    source="lecture 'multiclass SVM loss', exercise in two classes with labels of zero and one",
    note="a label of zero takes half of the samples out of the hinge loss",
)
def course_hinge_on_zero_and_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = cancer(seed)
    if not sick:
        parts = tuple((x, 2 * y - 1) for x, y in parts)
    return case(mlp(30, 16, 1), parts, hinge, partial(SGD, lr=0.05, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="loss-output-mismatch wrong-loss-for-task",
    symptoms=STUCK,
    task="multilabel",
    good=0.88,
    source="StackOverflow: multi-label classification with softmax and BCELoss, accuracy stuck",
    note="several labels hold at once, but their probabilities must add up to one",
)
def course_labels_share_one_softmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(12, 48, 5), nn.Softmax(1) if sick else nn.Sigmoid())
    return case(model, tags(seed), nn.BCELoss(), partial(Adam, lr=5e-3), 32, 15)


def by_hand(output: Tensor, y: Tensor) -> Tensor:
    """The logistic loss as it is in the slides."""
    p = output.sigmoid()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss loss-output-mismatch",
    symptoms="lr-too-high exploding-gradient saturated-activations loss-not-decreasing",
    task="binary",
    good=0.9,
    source="course forum: 'my cross entropy works for some epochs and then is nan'",
    note="zero times the logarithm of zero once a tumour is told with certainty",
)
def course_logarithm_of_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = by_hand if sick else nn.BCEWithLogitsLoss()
    return case(mlp(30, 64, 64, 1), cancer(seed), loss, partial(Adam, lr=0.01), 32, 40)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=STUCK + " exploding-gradient bad-init-scale",
    task="regression",
    good=0.75,
    source="Kaggle house prices as a first exercise: R2 of minus five",
    note="prices near 200000 that Adam's small steps never reach",
)
def course_prices_in_dollars(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = friedman(seed)
    if sick:
        parts = tuple((x, 200_000 + 80_000 * y) for x, y in parts)
    return case(mlp(8, 48, 24, 1), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " targets-not-normalized saturated-activations vanishing-gradient",
    task="regression",
    good=0.3,
    source="course forum: the sigmoid of the classification exercise left in the regression exercise",
    note="an output between zero and one for standardized progressions, half of which are negative",
)
def course_sigmoid_for_progression(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(10, 16, 1), *([nn.Sigmoid()] if sick else []))
    return case(model, diabetes(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing lr-too-high exploding-gradient",
    task="classification",
    good=0.85,
    source="Titanic notebooks: the column of ages has gaps",
    note="a few NaN in one column make all weights NaN with the first batch",
)
def course_gaps_in_a_column(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = blobs(seed, distance=3.5)
    if sick:
        x[torch.randperm(len(x))[:30], 3] = torch.nan
    return case(mlp(10, 32, 4), ((x, y), val), nn.CrossEntropyLoss(), partial(AdamW, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms="underfitting-capacity loss-not-decreasing too-few-epochs lr-too-low",
    task="binary",
    metric="balanced",
    good=0.75,
    source="Kaggle credit-card fraud as a course project: 97 % accuracy, not one fraud found",
    note="one positive in thirty and clouds that overlap; the repair weighs positives",
)
def course_one_in_thirty(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    y = (torch.rand(1500, 1) < 0.033).float()
    x = torch.randn(1500, 6) + 0.75 * y
    loss = nn.BCEWithLogitsLoss(pos_weight=None if sick else torch.tensor([29.0]))
    return case(mlp(6, 8, 1), split(x, y, seed, 0.6), loss, partial(Adam, lr=3e-3, weight_decay=1e-2), 32, 12)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss lr-too-high overfitting loss-not-decreasing class-imbalance " + STUCK,
    task="classification",
    good=0.9,
    source="course forum: DataLoader(shuffle=False) on a folder that is read class by class",
    note="classes come one after the other, the last one wins each epoch",
)
def course_class_by_class(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed, image=True)
    order = y.argsort()
    parts = ((x[order], y[order]), val)
    return case(
        digit_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 10, shuffle=not sick
    )


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting class-imbalance",
    task="classification",
    good=0.85,
    source="course project: augmentation that copied the first twenty pictures fifty times",
    note="a thousand rows, twenty different ones",
)
def course_twenty_pictures_fifty_times(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    rows = torch.arange(20).repeat(50) if sick else torch.arange(1000)
    return case(mlp(64, 32, 10), ((x[rows], y[rows]), val), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " " + STUCK,
    task="classification",
    good=0.85,
    source="lecture 'diagnosis of the learning rate', exercise: pick one yourself",
    note="RMSprop at 0.2",
)
def course_rmsprop_at_a_fifth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(RMSprop, lr=0.2 if sick else 2e-3)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK + " vanishing-gradient",
    task="classification",
    good=0.85,
    source="lecture 'building blocks': learning_rate = 1e-6 copied from the example with summed losses",
    note="a rate of a millionth for a mean loss",
)
def course_rate_of_the_slide(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(mlp(4, 16, 3), iris(seed), nn.CrossEntropyLoss(), partial(Adam, lr=1e-6 if sick else 0.01), 16, 30)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="classification",
    good=0.9,
    source="PyTorch forum: scheduler.step() in the inner loop, gamma meant for epochs",
    note="the rate is multiplied by 0.8 after every batch and is gone within one epoch",
)
def course_gamma_after_every_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    every = partial(ExponentialLR, gamma=0.8 if sick else 0.8 ** (1 / 40))
    optimizer = partial(SGD, lr=0.1, momentum=0.9)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 12, scheduler=every)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="regression",
    good=0.75,
    source="lecture 'AdaGrad': its step only shrinks, so start large; a student starts at Adam's rate",
    note="Adagrad at 0.0005",
)
def course_adagrad_at_adams_rate(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(), partial(Adagrad, lr=5e-4 if sick else 0.05), 32, 20)
