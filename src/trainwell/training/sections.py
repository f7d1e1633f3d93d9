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
    block: str | None = Field(None, description="residual block: basic, preactivation, fixup, …")
    shortcut: str | None = Field(None, description="where a residual stage changes shape: pad, projection, pool, …")
    stochastic_depth: float | None = Field(None, ge=0, lt=1, description="share of the last block's branch dropped")
    squeeze_excite: bool | None = Field(None, description="channel gates in residual blocks")
    recurrence: str | None = Field(None, description="hidden-to-hidden matrix: orthogonal, parametrized, …")
    heads: int | None = Field(None, ge=1, description="of a transformer")
    parametrization: str = Field(
        "none", description="of every weight, one of nn.PARAMETRIZATIONS: weight_norm, spectral_norm, orthogonal_exp, …"
    )
    weights: str | None = Field(None, description="run folder or weights file to start from; what fits is loaded")
    freeze: list[str] = Field([], description="patterns of parameters that stay as they are, such as body.0.*")


class Init(Section):
    """How the weights start."""

    scheme: str = Field(
        "model", description="model: as the model itself starts; else one of init.SCHEMES, or lsuv (unit variance)"
    )
    pretrain: int = Field(0, ge=0, description="epochs of layer-by-layer autoencoder pre-training; 0: none")


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


class OptimizerSection(Section):
    """How it is minimized."""

    name: Literal["auto", "adamw", "sgd"] = Field("auto", description="adamw, or sgd with Nesterov momentum")
    lr: float | None = Field(None, gt=0, description="peak learning rate; found by a range test when absent")
    weight_decay: Annotated[float, Field(ge=0)] | Auto = Field(
        "auto", description="decay of matrices and kernels; none on norms and biases"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    beta2: float = Field(0.99, ge=0, lt=1, description="of adamw: memory of the squared gradient")
    clip_norm: float = Field(0.0, ge=0, description="largest global norm of the gradient; 0: no clipping")
    fused: bool = Field(True, description="one kernel for all tensors")


class Schedule(Section):
    """How the rate changes, after every batch."""

    name: Literal["one-cycle", "cosine", "linear", "constant"] = Field("one-cycle", description="shape of the schedule")
    warmup: Annotated[float, Field(ge=0, lt=1)] | Auto = Field(
        "auto", description="share of the steps over which the rate grows to its peak"
    )
    end: float = Field(0.0, ge=0, le=1, description="factor on the rate at the last step")


class TrainingSection(Running):
    """How long and how."""

    epochs: int | None = Field(None, ge=1, description="passes over the training data; by kind and size when absent")
    batch_size: int | None = Field(None, ge=1, description="samples a step; by kind and size when absent")
    threshold: Annotated[float, Field(ge=0, le=1)] | Auto = Field(
        0.5, description="probability from which a binary answer is yes; auto: best balanced accuracy on validation"
    )
    metric: str = Field("", description="own metric FILE.py:FUNCTION of (truth, prediction); empty: none")
    tensorboard: bool = Field(False, description="also write TensorBoard events into the run folder")


class Regularization(Section):
    """What keeps the model simple; every strength is 0 (off) by default."""

    dropout: str = Field("inverted", description="kind of the model's dropout, one of nn.DROPOUTS")
    constraint: str = Field("none", description="onto which every weight is projected after a step: max_norm, …")
    limit: float = Field(1.0, gt=0, description="of the constraint: the largest norm, the box's side")
    weight_noise: float = Field(0.0, ge=0, description="noise on weights in training, in their root mean squares")
    gradient_noise: float = Field(0.0, ge=0, description="standard deviation of noise on the gradient at first")
    label_noise: float = Field(0.0, ge=0, lt=1, description="share of labels replaced in each training batch")
    attack: str = Field("none", description="train on attacked samples: fgsm, pgd_linf, pgd_l2")
    radius: float = Field(8 / 255, gt=0, description="of the attack, as a share of the input's range")
    attack_steps: int = Field(7, ge=1, description="of pgd")


class Augmentation(Section):
    """Random changes of training images that keep their class; absent: by kind of image."""

    flip: bool | None = Field(None, description="mirror half of the images left to right")
    pad: int | None = Field(None, ge=0, description="largest shift in pixels")
    cutout: int | None = Field(None, ge=0, description="side of the blackened square in pixels")


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
