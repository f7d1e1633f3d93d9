"""N08: at test time batch normalization is a linear map, folds into the layer before it, and so costs nothing.

With the mean μ̄ and variance σ̄² of each channel fixed, batch normalization (BN) is z ↦ a z + c with a = γ/√(σ̄² + ε)
and c = β − a μ̄: affine, “linear” but for a constant. After a convolution or a matrix W with bias b it is again one, of
weights diag(a) W and bias a b + c; the folded net has the operations of a net that never had norms, counted here one by
one. Two conditions that the lectures leave unsaid: nothing may stand between map and norm (a ReLU in between makes the
fold into the layer *before* wrong; it then goes into the layer after), and a norm *before* a convolution that pads with
zeros does not fold.

Decks: R M
Control: statistics of the batch at hand, as in training mode: not affine, not the folded net, and never foldable.
Source: Ioffe & Szegedy 2015, §3.1, arXiv:1502.03167; Jacob et al. 2018, §3.2, arXiv:1712.05877.
"""

import copy
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode

from trainwell.lab.descent import descend
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.nn import fold_batchnorm, resnet20, resnet56

FORMULA = r"""
\gamma\, \frac{W x + b - \bar\mu}{\sqrt{\bar\sigma^2 + \varepsilon}} + \beta = W' x + b', \quad a = \frac{\gamma}{\sqrt{\bar\sigma^2 + \varepsilon}}
W' = \mathrm{diag}(a)\, W, \quad b' = a\, (b - \bar\mu) + \beta
"""  # noqa: E501
MODELS = {"resnet20": resnet20, "resnet56": resnet56}
ROUNDING = 1e-5  # float32 has 6e-8 a step; some hundred steps deep


@dataclass(frozen=True)
class Setting:
    model: Literal["resnet20", "resnet56"]
    data: str
    width: int  # channels of the first stage
    steps: int  # of training, so that scales, shifts and statistics are none of the initial ones
    pictures: int
    batch: int = 64
    repeats: int = 15  # of the timing
    seed: int = 0


QUICK = Setting("resnet20", "digits", width=8, steps=30, pictures=300)
FULL = Setting("resnet56", "cifar10", width=16, steps=2000, pictures=10000)


@dataclass(frozen=True)
class Measured:
    """What one run gives; differences are the largest over the largest size of an output."""

    bend: float  # of N((x + y)/2) from (N(x) + N(y))/2, the worst norm N of the net
    single: float  # outputs of the folded net and of the net, float32
    double: float  # float64
    outputs: tuple[np.ndarray, np.ndarray]  # of the net and of the folded one, float32
    extra: int  # operations of the net that is run, beyond those of a net without norms, or missing
    norms: int
    overtime: float  # its time over that of the net without norms, medians
    beyond_relu: tuple[float, float]  # a norm after a ReLU folded into the layer after it, and into the one before


def measure(setting: Setting, cause: bool) -> Measured:
    pictures = labelled_pictures(setting.data, setting.pictures, 100, setting.seed)
    shape, make = tuple(pictures.X.shape[1:]), MODELS[setting.model]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        net, bare = (make(shape, 10, width=setting.width, norm=n, identity_start=False) for n in ("batch", "none"))
        beyond = _beyond_relu(setting.seed)
    generator = torch.Generator().manual_seed(setting.seed)
    descend(net, pictures.X, pictures.y, rate=0.1, steps=setting.steps, batch=setting.batch, generator=generator)
    net.train(not cause)
    folded, run = fold_batchnorm(copy.deepcopy(net).eval()), _folded_if_possible(net)
    x = pictures.X_test
    with torch.no_grad():
        outputs = (copy.deepcopy(net)(x).numpy(), folded(x).numpy())  # a copy: training mode moves the statistics
        exact = copy.deepcopy(net).double()
        double = _apart(exact(x.double()), fold_batchnorm(copy.deepcopy(exact).eval())(x.double()))
        difference = _operations(run, x)
        difference.subtract(_operations(bare.eval(), x))
        return Measured(
            max(_bend(norm, generator) for norm in net.modules() if isinstance(norm, _BatchNorm)),
            _apart(*(torch.from_numpy(y) for y in outputs)),
            double,
            outputs,
            sum(abs(count) for count in difference.values()),
            sum(isinstance(module, _BatchNorm) for module in net.modules()),
            _overtime(run, bare, x, setting.repeats),
            beyond,
        )


def _apart(reference: Tensor, other: Tensor) -> float:
    return float((reference - other).abs().max() / reference.abs().max())


def _folded_if_possible(net: nn.Module) -> nn.Module:
    try:
        return fold_batchnorm(net)
    except ValueError:  # statistics of the batch are no fixed map
        return net


def _bend(norm: nn.Module, generator: torch.Generator) -> float:
    norm = copy.deepcopy(norm)
    x, y = (torch.randn(16, int(norm.num_features), 4, 4, generator=generator) * s for s in (1.0, 3.0))  # type: ignore[arg-type]
    return _apart((norm(x) + norm(y)) / 2, norm((x + y) / 2))


class _Count(TorchDispatchMode):
    """Counts every operation on tensors with the shapes of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[Any] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[str(func), tuple(tuple(arg.shape) for arg in args if isinstance(arg, Tensor))] += 1
        return func(*args, **(kwargs or {}))


def _operations(net: nn.Module, x: Tensor) -> Counter[Any]:
    net = copy.deepcopy(net)
    with _Count() as count:
        net(x)
    return count.seen


def _overtime(net: nn.Module, bare: nn.Module, x: Tensor, repeats: int) -> float:
    seconds = np.empty((repeats, 2))
    for turn in range(repeats):
        for place, each in enumerate((net, bare)):  # in turns: a busy machine slows both
            began = time.process_time()
            each(x)
            seconds[turn, place] = time.process_time() - began
    net_seconds, bare_seconds = np.median(seconds, 0)
    return float(net_seconds / bare_seconds)


@torch.no_grad()
def _beyond_relu(seed: int) -> tuple[float, float]:
    """linear → ReLU → norm → linear, folded as it should be, and as if the norm stood before the ReLU."""
    first, relu, norm, last = nn.Linear(16, 32), nn.ReLU(), nn.BatchNorm1d(32, momentum=1.0), nn.Linear(32, 4)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(256, 16, generator=generator)
    norm.weight.uniform_(0.5, 2.0, generator=generator)
    norm.bias.normal_(generator=generator)
    net = nn.Sequential(first, relu, norm, last)
    net(x)
    wanted = net.eval()(x)
    return _apart(wanted, fold_batchnorm(net)(x)), _apart(
        wanted, fold_batchnorm(nn.Sequential(first, norm, relu, last).eval())(x)
    )


def check(measured: Measured) -> list[Check]:
    after, before = measured.beyond_relu
    rounding = "absolute: rounding of float32 through some hundred operations"
    bend = Check(
        "N((x + y)/2) and (N(x) + N(y))/2, relative difference",
        measured.bend,
        "equals",
        0.0,
        ROUNDING,
        "claim",
        rounding,
    )
    return [
        bend,
        Check(
            "folded net and net, relative difference of outputs",
            measured.single,
            "equals",
            0.0,
            ROUNDING,
            "claim",
            rounding,
        ),
        Check("operations beyond those of a net without norms", measured.extra, "equals", 0, 0.0, "claim", "counted"),
        Check(
            "folded net and net in float64",
            measured.double,
            "equals",
            0.0,
            1e-13,
            "theory",
            "absolute: algebra, rounding of float64",
        ),
        Check("norm behind a ReLU, folded into the layer after it", after, "equals", 0.0, ROUNDING, "theory", rounding),
        Check(
            "norm behind a ReLU, folded into the layer before it",
            before,
            "at_least",
            0.1,
            0.0,
            "theory",
            "wrong: a tenth of the output or more",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    net = with_cause.outputs[0]
    ends = np.array([net.min(), net.max()])
    axes.plot(ends, ends, label="theory: the same function")
    for measured, mark, name in ((control, "s", "control, statistics of the batch"), (with_cause, "o", "test mode")):
        x, y = (each[:20].ravel() for each in measured.outputs)
        time_taken = f"{measured.extra} operations too many, {measured.overtime:.2g} × the time"
        axes.plot(x, y, mark, label=f"{name}: {time_taken}")
    axes.set(xlabel="output of the net with norms", ylabel="output of the folded net")
