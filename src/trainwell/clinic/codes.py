"""All codes of the clinic: what each means, what it explains, how it is found, what cures it, and why we think so."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """One code.

    Attributes:
        name: stable, kebab-case.
        meaning: one sentence.
        detected: how it is found, with its thresholds.
        cured: what mends it.
        explains: codes that this cause brings about where both are seen: they are folded below it.
        because: ids of the lab's experiments, then papers.
    """

    name: str
    meaning: str
    detected: str
    cured: str
    explains: frozenset[str]
    because: tuple[str, ...]


RATE_TROUBLE = "lr-too-high oscillating-loss nonfinite-loss loss-not-decreasing exploding-gradient momentum-too-high"
NO_LEARNING = "loss-not-decreasing lr-too-low too-few-epochs underfitting-capacity"
EXPLOSION = "exploding-activations saturated-activations dead-relu"
VANISHING = "vanishing-gradient vanishing-activations"


def _code(name: str, meaning: str, detected: str, cured: str, explains: str, because: str) -> Code:
    return Code(name, meaning, detected, cured, frozenset(explains.split()), tuple(because.split("; ")))


_ALL = (
    _code(
        "input-not-normalized",
        "Inputs are far from mean 0 and variance 1, or differ much in scale: one rate cannot suit all weights.",
        "largest |mean|/std and spread of the features' scales, marks of missing values (far and repeated), parts on "
        "different scales (2 deviations, or a ratio of 4); tried: scaled inputs on a copy",
        "standardize the inputs inside the model, with the statistics of the training part",
        f"{RATE_TROUBLE} {NO_LEARNING} {EXPLOSION} {VANISHING} ill-conditioned-features bad-init-scale",
        "N01; N03; S15; LeCun et al. 1998",
    ),
    _code(
        "input-nonfinite",
        "Inputs hold NaN or infinite values, which every sum passes on.",
        "counted in the training and validation inputs",
        "fill them in with the mean of their feature over the training part",
        f"{RATE_TROUBLE} {NO_LEARNING} {EXPLOSION}",
        "N03",
    ),
    _code(
        "input-constant-feature",
        "A feature has the same value in all samples and says nothing.",
        "features with no spread over the training part",
        "leave the feature out, or nothing: it does no harm but waste",
        "",
        "N01",
    ),
    _code(
        "ill-conditioned-features",
        "Features depend on each other so strongly that descent crawls along some directions.",
        "condition number κ of the standardized features' covariance",
        "whiten the inputs (PCA), or a method that does not depend on conditioning",
        f"{NO_LEARNING} oscillating-loss",
        "N01; N02; O03",
    ),
    _code(
        "class-imbalance",
        "One class is so much more frequent that ignoring the others is a good answer.",
        "ratio of class counts (from 4), the recall of the rare ones after a rehearsal, weights that favour the common",
        "weights in the loss, inversely proportional to the class counts",
        f"{NO_LEARNING}",
        "Buda et al. 2018",
    ),
    _code(
        "label-out-of-range",
        "A label is outside 0 … classes − 1 (or outside [0, 1] for a probability).",
        "smallest and largest label against the number of outputs, marks beside 0 and 1",
        "relabel to 0 … classes − 1",
        f"program-crashes loss-output-mismatch wrong-loss-for-task target-shape-mismatch {RATE_TROUBLE} {NO_LEARNING}",
        "O12",
    ),
    _code(
        "target-shape-mismatch",
        "Targets and outputs have different shapes: the loss broadcasts them against each other or fails.",
        "shapes of output and target of one batch, and the warning of the loss",
        "give the targets the outputs' shape",
        f"program-crashes loss-output-mismatch {NO_LEARNING} {RATE_TROUBLE}",
        "O12",
    ),
    _code(
        "targets-not-normalized",
        "Regression targets are far from mean 0 and variance 1: first gradients are as large as they are.",
        "mean and std of the targets; tried: standardized targets on a copy",
        "standardize the targets, and put the predictions back inside the model",
        f"{RATE_TROUBLE} {NO_LEARNING} {EXPLOSION} exploding-gradient bad-init-scale",
        "N01; LeCun et al. 1998",
    ),
    _code(
        "unshuffled-data",
        "Samples come in an order that tells of the target: each batch pulls another way.",
        "shuffling is off and neighbours' targets are alike, or batches' mean targets vary more than chance",
        "draw a new order every epoch",
        f"oscillating-loss {NO_LEARNING} lr-too-high bn-train-eval-mismatch overfitting",
        "O15",
    ),
    _code(
        "duplicate-samples",
        "Many training samples are copies of each other.",
        "hashes of the rows",
        "keep one of each",
        "overfitting",
        "O15",
    ),
    _code(
        "train-val-leak",
        "Validation samples are in the training part too: the validation score is too good to be true.",
        "hashes of the rows of both parts",
        "leave them out of the training part",
        "duplicate-samples",
        "R05",
    ),
    _code(
        "loss-output-mismatch",
        "The model's last layer and the loss do not fit: a softmax twice, a sigmoid missing, a ReLU before the loss.",
        "the outputs' range and sums, traced; the loss of a perfect answer",
        "take the last activation away, or the loss that fits it",
        f"wrong-loss-for-task vanishing-gradient nonfinite-loss saturated-activations dead-relu {NO_LEARNING} "
        "program-crashes lr-too-high",
        "O12; G11",
    ),
    _code(
        "wrong-loss-for-task",
        "The loss measures something else than the task asks for.",
        "targets' type and values, number of outputs, and the loss",
        "the loss of the task, with the head that it needs",
        f"loss-output-mismatch target-shape-mismatch vanishing-gradient {NO_LEARNING} program-crashes",
        "O12",
    ),
    _code(
        "vanishing-gradient",
        "The gradient shrinks from layer to layer on its way down: the first layers hardly learn.",
        "norm of the gradient per layer, against what theory predicts; gradients that are zero whatever the weights",
        "an activation and an initialization that keep the scale; normalization or shortcuts",
        f"{NO_LEARNING} saturated-activations vanishing-activations bad-init-scale too-deep-for-width",
        "S09; S06; S21; Glorot & Bengio 2010",
    ),
    _code(
        "exploding-gradient",
        "The gradient grows from layer to layer, or is so large that a step throws the weights away.",
        "norm of the gradient per layer and over the first steps",
        "clip the gradient's norm; an initialization that keeps the scale",
        f"{RATE_TROUBLE} exploding-activations dead-relu",
        "S02; S16; Pascanu et al. 2013",
    ),
    _code(
        "vanishing-activations",
        "The signal shrinks from layer to layer: what comes out hardly depends on what went in.",
        "second moment per layer, against what theory predicts; answers that are no numbers before the first step",
        "an initialization that keeps the scale",
        f"vanishing-gradient {NO_LEARNING} bad-init-scale",
        "S01; S04; He et al. 2015",
    ),
    _code(
        "exploding-activations",
        "The signal grows from layer to layer.",
        "second moment per layer, against what theory predicts; answers that are no numbers before the first step",
        "an initialization that keeps the scale",
        f"exploding-gradient saturated-activations dead-relu {RATE_TROUBLE} bad-init-scale",
        "S02; S05",
    ),
    _code(
        "saturated-activations",
        "Units sit where their activation is flat, so that no gradient gets through.",
        "share of units beyond 95 % of the activation's range, before and after the opening",
        "an initialization that keeps the scale; a smaller rate",
        f"vanishing-gradient {NO_LEARNING}",
        "S02",
    ),
    _code(
        "dead-relu",
        "Units are zero for every sample: they get no gradient and never come back.",
        "share of units that are zero on all samples seen, before and after the opening",
        "leaky ReLU, biases at zero, a smaller rate",
        f"{NO_LEARNING} vanishing-gradient vanishing-activations",
        "S20; Lu et al. 2019",
    ),
    _code(
        "symmetric-init",
        "Units of a layer start equal and get equal gradients: they stay one unit.",
        "equal rows in a weight matrix, all-zero layers",
        "draw the weights at random",
        f"{NO_LEARNING} vanishing-gradient vanishing-activations dead-relu bad-init-scale",
        "S07",
    ),
    _code(
        "bad-init-scale",
        "Initial weights are much too small or too large for their layer.",
        "std of each weight against 1/√fan-in, the signal that theory predicts, first answers far beyond the targets",
        "an initialization that keeps the scale (Kaiming, Xavier)",
        f"{RATE_TROUBLE} {NO_LEARNING} {EXPLOSION} {VANISHING} exploding-gradient",
        "S01; S02; S05; S08",
    ),
    _code(
        "too-deep-for-width",
        "The net is deeper than a signal can pass at its width.",
        "depth over width against the law of fluctuations, and the depth scale of theory",
        "fewer layers, shortcuts, or normalization",
        f"{VANISHING} {NO_LEARNING} exploding-gradient",
        "S10; S21; R01",
    ),
    _code(
        "missing-nonlinearity",
        "Linear layers follow each other with nothing between: together they are one linear layer.",
        "the traced chain of layers, f(a) + f(b) = f(a + b) + f(0), what a linear map of the inputs can answer",
        "an activation between them",
        "underfitting-capacity too-few-epochs lr-too-low loss-not-decreasing",
        "L08",
    ),
    _code(
        "lr-too-high",
        "The learning rate is above what the curvature bears: steps overshoot.",
        "the opening's losses; tried: smaller rates on a copy",
        "divide the rate",
        "oscillating-loss nonfinite-loss loss-not-decreasing exploding-gradient exploding-activations dead-relu "
        "saturated-activations bn-train-eval-mismatch",
        "O06; S20",
    ),
    _code(
        "lr-too-low",
        "The learning rate is so low that training ends before it gets anywhere.",
        "the whole training rehearsed, how far all steps move the weights (5 %); tried: larger rates on a copy",
        "multiply the rate",
        "loss-not-decreasing underfitting-capacity",
        "O06",
    ),
    _code(
        "oscillating-loss",
        "The loss swings up and down instead of settling.",
        "the opening's losses: swings over the descent",
        "a smaller rate, a larger batch, less momentum",
        "",
        "O02; O06",
    ),
    _code(
        "loss-not-decreasing",
        "The loss stays where it was.",
        "the whole training rehearsed: descent over noise",
        "whatever keeps it from falling: see what else was found",
        "",
        "O06",
    ),
    _code(
        "nonfinite-loss",
        "The loss or its gradient becomes NaN or infinite.",
        "the opening's losses; watched: at every step, followed back to batch, layer and operation on a copy",
        "a smaller rate, clipping, finite data",
        "loss-not-decreasing",
        "S16",
    ),
    _code(
        "frozen-parameters",
        "Parameters do not require a gradient, so that training leaves them as they were drawn.",
        "requires_grad, and parts that the loss depends on but no gradient reaches; tried: unfrozen on a copy",
        "let them require a gradient",
        f"{NO_LEARNING} parameters-not-in-optimizer unused-parameters",
        "N10; S18",
    ),
    _code(
        "parameters-not-in-optimizer",
        "Parameters get gradients but the optimizer does not know them.",
        "the optimizer's groups against the model's parameters, tensors that are none; tried: all of them",
        "give the optimizer all parameters",
        f"{NO_LEARNING} frozen-parameters unused-parameters",
        "S18",
    ),
    _code(
        "unused-parameters",
        "Parameters take no part in the output.",
        "no gradient from the loss, which does not depend on them; tried: used",
        "use the layer, or take it away",
        "",
        "R05",
    ),
    _code(
        "bn-train-eval-mismatch",
        "Batch normalization answers differently in training and in evaluation.",
        "the share of their start that running statistics keep, scores by them and by each batch's own",
        "running statistics that fit: momentum, enough steps, the right mode",
        "overfitting bn-small-batch oscillating-loss",
        "N14",
    ),
    _code(
        "bn-small-batch",
        "Batch normalization with so few samples a batch that its statistics are mostly noise.",
        "samples a channel (batch × positions) of the norm layers",
        "larger batches, or group or layer normalization",
        f"bn-train-eval-mismatch batch-size-extreme oscillating-loss lr-too-high {NO_LEARNING}",
        "N12; Wu & He 2018",
    ),
    _code(
        "dropout-too-high",
        "So many units are dropped that too little gets through.",
        "probabilities of the dropout layers, the noise p/((1 − p) n) of few units, and their place; tried: lower ones",
        "a smaller probability",
        f"{NO_LEARNING} bn-train-eval-mismatch oscillating-loss",
        "G02",
    ),
    _code(
        "overfitting",
        "The net learns its training samples by heart and gets worse on others.",
        "training and validation scores over a rehearsal of the whole training, and over one of a share of the samples",
        "stop earlier, weight decay, dropout, augmentation, a smaller net",
        "too-few-epochs",
        "R05; G04; G10",
    ),
    _code(
        "underfitting-capacity",
        "The net is too small for what it has to learn.",
        "training score of a rehearsal, with time to spare, kernels of one place; tried: a wider net",
        "more units or layers",
        "loss-not-decreasing too-few-epochs",
        "R05; L08",
    ),
    _code(
        "too-few-epochs",
        "Training ends while the loss still falls.",
        "the whole training rehearsed: still falling; tried: more epochs",
        "more epochs",
        "loss-not-decreasing underfitting-capacity",
        "R05; G04",
    ),
    _code(
        "batch-size-extreme",
        "Batches are so large that there are few steps, or so small that steps are noise.",
        "steps in the whole training and samples a batch; tried: another size",
        "a batch of usual size (16 … 256)",
        f"{NO_LEARNING} oscillating-loss bn-small-batch lr-too-high",
        "O13",
    ),
    _code(
        "weight-decay-too-high",
        "Weight decay pulls the weights to zero faster than the loss can push them away.",
        "decay × rate × steps (or decay · w against the gradient); tried: without",
        "a smaller weight decay",
        f"{NO_LEARNING} vanishing-activations vanishing-gradient dead-relu",
        "G01",
    ),
    _code(
        "momentum-too-high",
        "Momentum sums so many gradients that the step is 1/(1 − β) times as large and swings.",
        "β of the optimizer; tried: 0.9",
        "a momentum of 0.9",
        f"{RATE_TROUBLE} exploding-activations dead-relu",
        "O03",
    ),
    _code(
        "stale-gradients",
        "Gradients of earlier steps are still there and add up: zero_grad is missing.",
        "zero_grad asked over four steps; watched in the loop: a gradient that holds the last one",
        "call optimizer.zero_grad() every step",
        f"{RATE_TROUBLE}",
        "O11",
    ),
    _code(
        "wrong-mode",
        "The net is trained in evaluation mode, or evaluated in training mode: norms and dropout do the other thing.",
        "calls of dropout that evaluation does not stop; watched in the loop: the mode of forwards with and without "
        "gradients, where norms or dropout belong to it",
        "net.train() before the steps of training, net.eval() before evaluating",
        "bn-train-eval-mismatch overfitting dropout-too-high",
        "N14; O11",
    ),
    _code(
        "data-loading-bottleneck",
        "The model waits for its data.",
        "watched in the loop: share of a step's time until the batch is there",
        "more workers, data in memory, decoding once",
        "",
        "O13",
    ),
    _code(
        "program-crashes",
        "A training step raises an error.",
        "one step on a copy",
        "what the message says",
        "",
        "O11",
    ),
)

CODES: dict[str, Code] = {code.name: code for code in _ALL}
