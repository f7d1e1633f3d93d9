"""The sections of the recipe: every field with its default, its range and its sentence."""

from typing import Annotated, Literal

from pydantic import Field

from trainwell.training.settings import Auto, Running, Section


class Data(Section):
    """Which data, and how they are read and split."""

    source: str = Field("", description="path or known name; the command line's DATA")
    target: str | None = Field(None, description="column of a table to predict")
    task: Literal["classification", "binary", "multilabel", "regression"] | None = Field(
        None, description="guessed when absent"
    )
    keep: list[str] = Field([], description="columns to use although they look like leaks or identifiers")
    drop: list[str] = Field([], description="columns to leave out")
    weight: str | None = Field(None, description="column of sample weights")
    split: Literal["stratified", "random", "group", "time"] = Field("stratified", description="how rows are shared out")
    split_column: str | None = Field(None, description="column of the group or time split")
    val: float | None = Field(
        None, ge=0, lt=1, description="share of the rows for validation; about a tenth when absent"
    )
    test: float | None = Field(None, ge=0, lt=1, description="share of the rows for the test; a fifth when absent")
    fold: str | None = Field(
        None, pattern=r"^[1-9]\d*/[1-9]\d*$", description="K/N: fold K of N is the test part; --folds sets it"
    )
    seed: int | None = Field(None, ge=0, description="seed of the split; training.seed when absent")
    skip_bad: bool = Field(False, description="leave out damaged pictures instead of stopping")
    root: str | None = Field(None, description="folder with known data sets; $TRAINWELL_DATA when absent")
    scaling: str = Field(
        "standard", description="of the input, one of data.SCALINGS: standard, minmax, robust, pca, zca, …"
    )
    scaling_eps: float = Field(1e-5, gt=0, description="ε of whitening, as a share of the largest eigenvalue")
    components: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="principal components that pca keeps, or their share of the variance; all when absent"
    )
    image_size: int | None = Field(
        None, ge=4, le=1024, description="pixels a side for a folder of images; typical size when absent"
    )


class Model(Section):
    """Which model; options that are absent are the model's own defaults."""

    name: str = Field("auto", description="a name of nn.MODELS (mlp, cnn, resnet20, …), timm:NAME, or FILE.py:FUNCTION")
    width: int | None = Field(None, ge=1, description="units or channels of a layer")
    depth: int | None = Field(None, ge=0, description="blocks or layers")
    activation: str | None = Field(None, description="nonlinearity of nn.ACTIVATIONS: relu, gelu, silu, tanh, …")
    norm: str | None = Field(None, description="normalization of nn.NORMS: batch, layer, group, none, …")
    dropout: float | None = Field(None, ge=0, lt=1, description="share of units dropped in training")
    blocks: int | None = Field(None, ge=1, description="residual blocks a stage")
    block: str | None = Field(None, description="residual block: basic, preactivation, fixup, …")
    shortcut: str | None = Field(None, description="where a residual stage changes shape: pad, projection, pool, …")
    stochastic_depth: float | None = Field(None, ge=0, lt=1, description="share of the last block's branch dropped")
    squeeze_excite: bool | None = Field(None, description="channel gates in residual blocks")
    widths: list[int] | None = Field(None, description="units of each hidden layer, where the model takes a list")
    recurrence: str | None = Field(
        None, description="hidden-to-hidden matrix: orthogonal, identity, gaussian, parametrized"
    )
    readout: str | None = Field(None, description="what a recurrent net answers from: last, mean")
    heads: int | None = Field(None, ge=1, description="of a transformer")
    positions: str | None = Field(None, description="of a transformer's tokens: sinusoidal, learned, none")
    norm_first: bool | None = Field(None, description="norm before each of a transformer's branches, not behind")
    patch: int | None = Field(None, ge=1, description="side of a transformer's image patches in pixels")
    code: int | None = Field(None, ge=1, description="units of an autoencoder's narrowest layer")
    initialization: str | None = Field(None, description="of a deep linear net: orthogonal, gaussian")
    gain: float | None = Field(None, gt=0, description="of a deep linear net's weights")
    features: str | None = Field(None, description="in front of fourier_features: sinusoidal, random")
    waves: int | None = Field(None, ge=1, description="random frequencies of fourier_features")
    bandwidth: float | None = Field(None, gt=0, description="width of the kernel that random features stand for")
    frequencies: int | None = Field(None, ge=1, description="octaves of sinusoidal features")
    bias_std: float | None = Field(None, ge=0, description="of random_features' frozen biases")
    parametrization: str = Field(
        "none", description="of every weight, one of nn.PARAMETRIZATIONS: weight_norm, spectral_norm, orthogonal_exp, …"
    )
    weights: str | None = Field(
        None, description="run folder or weights file to start from, or hub (timm); what fits is loaded"
    )
    freeze: list[str] = Field([], description="patterns of parameters that stay as they are, such as body.0.*")


class Init(Section):
    """How the weights start."""

    scheme: str = Field(
        "model", description="model: as the model itself starts; else one of init.SCHEMES, or lsuv (unit variance)"
    )
    pretrain: int = Field(0, ge=0, description="epochs of pre-training as an autoencoder, without labels; 0: none")
    pretrain_kind: Literal["layers", "whole"] = Field("layers", description="layer by layer, or the whole body at once")
    pretrain_noise: float = Field(0.0, ge=0, lt=1, description="share of inputs hidden in pre-training (denoising)")


class Loss(Section):
    """What is minimized."""

    name: str = Field(
        "auto", description="cross_entropy, svm, focal, bce, mse, huber, l1, …, or FILE.py:FUNCTION of (output, target)"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | Auto = Field(
        "auto", description="share of the target spread over all classes, in [0, 1)"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: every class has the same total weight"
    )


Options = dict[str, bool | int | float | str | list[float]]


class OptimizerSection(Section):
    """How it is minimized."""

    name: str = Field("auto", description="a method of optim.METHODS: adamw, sgd, lion, kfac, … (`trainwell methods`)")
    lr: float | None = Field(None, gt=0, description="peak learning rate; found by a range test when absent")
    weight_decay: Annotated[float, Field(ge=0)] | Auto = Field(
        "auto", description="decay of matrices and kernels; none on norms and biases"
    )
    momentum: float | None = Field(
        None, ge=0, lt=1, description="of methods that have it; the method's own when absent"
    )
    beta2: float | None = Field(
        None, ge=0, lt=1, description="memory of squared gradients, where betas are; 0.99 of adamw when absent"
    )
    options: Options = Field({}, description="others of the method's own, as {damping = 0.01}")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor on the rate from each layer to the one before it; 1: all alike"
    )
    clip: str = Field(
        "norm", description="how gradients are clipped, one of optim.CLIPPERS: norm, value, layer, adaptive"
    )
    clip_norm: float = Field(0.0, ge=0, description="limit of clipping, the largest norm; 0: no clipping")
    fused: bool = Field(True, description="one kernel for all tensors")


class Schedule(Section):
    """How the rate changes, after every batch."""

    name: str = Field(
        "auto",
        description="one of optim.SCHEDULES: one-cycle, cosine, wsd, plateau, …; auto: one-cycle, or constant for "
        "methods that find their own steps",
    )
    warmup: Annotated[float, Field(ge=0, lt=1)] | Auto = Field(
        "auto", description="share of the steps over which the rate grows to its peak"
    )
    end: float = Field(0.0, ge=0, le=1, description="factor on the rate at the last step")
    options: Options = Field({}, description="of the shape, as {cycles = 3}")
    grow_batch: bool = Field(False, description="let the batch grow, epoch by epoch, where the rate would fall")
    largest_batch: int | None = Field(None, ge=1, description="of a growing batch; a tenth of the data when absent")


class TrainingSection(Running):
    """How long and how."""

    epochs: int | None = Field(None, ge=1, description="passes over the training data; by kind and size when absent")
    batch_size: int | None = Field(None, ge=1, description="samples a step; by kind and size when absent")
    unfreeze_every: int = Field(
        0, ge=0, description="epochs until one more layer is trained, from the last one on; 0: all from the start"
    )
    threshold: Annotated[float, Field(ge=0, le=1)] | Auto = Field(
        0.5, description="probability from which a binary answer is yes; auto: best balanced accuracy on validation"
    )
    metric: str = Field("", description="own metric FILE.py:FUNCTION of (truth, prediction); empty: none")
    tensorboard: bool = Field(False, description="also write TensorBoard events into the run folder")
    exam: bool = Field(True, description="examine the program before it is trained, and mend what was not asked for")
    watch: bool = Field(True, description="watch the training, and say what goes wrong the moment it does")


class Regularization(Section):
    """What keeps the model simple; every strength is 0 (off) by default."""

    dropout: str = Field("inverted", description="kind of the model's dropout, one of nn.DROPOUTS")
    l1: float = Field(0.0, ge=0, description="strength of Σ|w| over all weights; makes them sparse")
    l2: float = Field(0.0, ge=0, description="of ½ Σw² in the loss; optimizer.weight_decay is decoupled from it")
    elastic_net: float = Field(0.0, ge=0, description="of Σ|w| + ½ Σw²")
    group_lasso: float = Field(0.0, ge=0, description="of the rows' norms; whole units become zero")
    orthogonality: float = Field(0.0, ge=0, description="of ‖WᵀW − I‖²")
    double_orthogonality: float = Field(0.0, ge=0, description="of ‖WᵀW − I‖² + ‖WWᵀ − I‖²")
    spectral_isometry: float = Field(0.0, ge=0, description="of the largest |σ² − 1| of every weight")
    spectral_norm: float = Field(0.0, ge=0, description="of ½ σ² of every weight's largest singular value")
    binary: float = Field(0.0, ge=0, description="of Σ(1 − w²)²; pulls weights to ±1")
    jacobian: float = Field(0.0, ge=0, description="of ½‖∂f/∂x‖², by one random projection a batch")
    jacobian_exact: float = Field(0.0, ge=0, description="of the same, one backward pass an output")
    input_gradient: float = Field(0.0, ge=0, description="of the squared slope of the loss by the input")
    activity: float = Field(0.0, ge=0, description="of the mean square of the outputs")
    constraint: str = Field(
        "none", description="set that every weight is projected onto after a step: max_norm, unit_spectral_norm, …"
    )
    limit: float | None = Field(None, gt=0, description="size of the constraint's set; its own when absent")
    proximal: str = Field(
        "none",
        description="map of every weight after a step, one of objectives.PROXIMAL: l1, group_lasso, …",
    )
    proximal_strength: float = Field(1e-4, gt=0, description="of the map, times the learning rate")
    weight_noise: float = Field(0.0, ge=0, description="noise on weights in training, in their root mean squares")
    gradient_noise: float = Field(0.0, ge=0, description="standard deviation of noise on the gradient at first")
    label_noise: float = Field(0.0, ge=0, lt=1, description="share of labels replaced in each training batch")
    attack: str = Field("none", description="train on attacked samples: fgsm, pgd_linf, pgd_l2")
    radius: float = Field(8 / 255, gt=0, description="of the attack, as a share of the input's range")
    attack_steps: int = Field(7, ge=1, description="of pgd")


class Augmentation(Section):
    """Random changes of training samples that keep their meaning; absent ones are decided by the kind of data."""

    flip: bool | None = Field(None, description="mirror half of the images left to right")
    pad: int | None = Field(None, ge=0, description="largest shift in pixels")
    cutout: int | None = Field(None, ge=0, description="side of the blackened square in pixels")
    shift: float = Field(0.0, ge=0, lt=1, description="largest move as a share of the sides (or of a sequence's time)")
    rotate: float = Field(0.0, ge=0, le=180, description="largest turn in degrees")
    scale: float = Field(0.0, ge=0, le=10, description="largest enlargement less 1; of sequences: spread of the factor")
    shear: float = Field(0.0, ge=0, le=0.9, description="largest slope")
    translate: float = Field(0.0, ge=0, le=1, description="largest smooth move, as a share of the sides")
    brightness: float = Field(0.0, ge=0, le=10, description="largest change of the brightness, as a share")
    contrast: float = Field(0.0, ge=0, le=10, description="largest change of the contrast, as a share")
    saturation: float = Field(0.0, ge=0, le=10, description="largest change of the saturation, as a share")
    hue: float = Field(0.0, ge=0, le=0.5, description="largest turn of the hues, as a share of the circle")
    gray: float = Field(0.0, ge=0, le=1, description="share of the images that lose their colours")
    noise: float = Field(
        0.0, ge=0, description="standard deviation of noise: of images in 0 … 255, of numbers in their own deviations"
    )
    salt_pepper: float = Field(0.0, ge=0, le=1, description="share of the pixels that become black or white")
    erase: float = Field(0.0, ge=0, le=1, description="share of the images of which a rectangle is erased")
    policy_count: int = Field(0, ge=0, le=100, description="RandAugment's operations an image; 0: none")
    policy_magnitude: float = Field(5.0, ge=0, le=10, description="and their magnitude")
    swap: float = Field(0.0, ge=0, le=1, description="share of a table's cells taken from another row")
    jitter: float = Field(0.0, ge=0, description="noise on sequences, in the features' deviations")
    crop: float = Field(0.0, ge=0, lt=1, description="largest share of a sequence that is cropped")
    mask: float = Field(0.0, ge=0, lt=1, description="largest share of a sequence that is blanked")
    mixup: float = Field(0.0, ge=0, description="α of mixup, 0.2 to 1; 0: none")
    cutmix: float = Field(0.0, ge=0, description="α of CutMix; 0: none")
    test_time: bool = Field(False, description="average the answers over an image and its mirror image")


class Precision(Section):
    """Arithmetic and layout; auto measures on this machine with this model."""

    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the forward pass; weights stay float32"
    )
    channels_last: bool | Auto = Field("auto", description="keep images as (N, H, W, C) in memory")
    threads: Annotated[int, Field(ge=0)] | Auto = Field("auto", description="CPU threads")
    compile: bool = Field(False, description="torch.compile; pays on long GPU runs")


class Output(Section):
    """Where the run goes."""

    folder: str | None = Field(None, description="run folder; runs/NAME-N when absent")
    report: bool = Field(True, description="write report.html")
