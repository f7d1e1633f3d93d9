"""A folded model is the same function without its normalizations; what cannot be exact is refused by name."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from trainwell.nn import fold_batchnorm, norm, parametrize_, resnet20, unparametrize_


def settled(*layers: nn.Module) -> nn.Module:
    """The layers as one float64 net in eval mode, whose normalizations have random statistics, scales and shifts."""
    return settle(nn.Sequential(*layers))


def settle(model: nn.Module) -> nn.Module:
    model = model.double().eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats:
            module.running_mean.normal_()
            module.running_var.uniform_(0.2, 3)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias)
    return model


class Operations(TorchDispatchMode):
    """Counts the operations that compute something."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def operations(model: nn.Module, x: torch.Tensor) -> list[str]:
    with torch.no_grad(), Operations() as seen:
        model(x)
    return seen.names


CASES = {
    "linear": (lambda: settled(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3)), (4, 5)),
    "no bias": (lambda: settled(nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7)), (4, 5)),
    "no affine": (lambda: settled(nn.Linear(5, 7), nn.BatchNorm1d(7, affine=False)), (4, 5)),
    "conv1d": (lambda: settled(nn.Conv1d(4, 6, 3, padding=1, groups=2), nn.BatchNorm1d(6)), (2, 4, 9)),
    "conv2d": (lambda: settled(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()), (2, 3, 6, 6)),
    "conv3d": (lambda: settled(nn.Conv3d(2, 3, 3, stride=2), nn.BatchNorm3d(3)), (2, 2, 5, 5, 5)),
    "transposed 1d": (lambda: settled(nn.ConvTranspose1d(4, 6, 3, stride=2), nn.BatchNorm1d(6)), (2, 4, 5)),
    "transposed 2d": (lambda: settled(nn.ConvTranspose2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)), (2, 4, 5, 5)),
    "transposed 3d": (lambda: settled(nn.ConvTranspose3d(2, 4, 3, padding=1), nn.BatchNorm3d(4)), (2, 2, 4, 4, 4)),
    "before linear": (lambda: settled(nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 7)), (4, 5)),
    "before conv": (lambda: settled(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, groups=2)), (2, 4, 6, 6)),
    "before reflecting conv": (
        lambda: settled(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect")),
        (2, 4, 6, 6),
    ),
    "same padding of one pixel": (lambda: settled(nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, padding="same")), (2, 4, 3, 3)),
    "two in a row, both ways": (
        lambda: settled(nn.BatchNorm1d(5), nn.BatchNorm1d(5), nn.Linear(5, 7), nn.BatchNorm1d(7), nn.BatchNorm1d(7)),
        (4, 5),
    ),
    "dropout between": (lambda: settled(nn.Linear(5, 7), nn.Dropout(0.5), nn.BatchNorm1d(7), nn.ReLU()), (4, 5)),
    "nested": (
        lambda: settled(nn.Sequential(nn.Linear(5, 7)), nn.Sequential(nn.BatchNorm1d(7), nn.Tanh())),
        (4, 5),
    ),
    **{
        name: (lambda name=name: settled(nn.Conv2d(3, 4, 3), norm(name, 4, 2), nn.ReLU()), (2, 3, 6, 6))
        for name in ("batch", "batch_cumulative", "batch_no_affine", "renorm", "ghost", "noisy", "sync")
    },
    "resnet": (lambda: settle(resnet20((1, 8, 8), 3, width=4, blocks=1)), (2, 1, 8, 8)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_function_stays_and_the_operations_go(case: str) -> None:
    build, shape = CASES[case]
    model, x = build(), torch.randn(shape, dtype=torch.float64)
    before = copy.deepcopy(model.state_dict())
    folded = fold_batchnorm(model)
    assert_close(folded(x), model(x), rtol=1e-12, atol=1e-12)
    assert type(folded) is type(model) and not folded.training
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in folded.modules())
    for name, value in before.items():  # the model itself is as it was
        assert_close(model.state_dict()[name], value, rtol=0, atol=0)

    plain = copy.deepcopy(model)
    for path, module in list(plain.named_modules()):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            plain.set_submodule(path, nn.Identity())
    assert len(operations(folded, x)) == len(operations(plain, x))
    assert len(operations(model, x)) > len(operations(folded, x))


def test_train_mode_is_another_function() -> None:  # control
    model = settled(nn.Linear(5, 7), nn.BatchNorm1d(7))
    folded, x = fold_batchnorm(model), torch.randn(16, 5, dtype=torch.float64)
    assert (folded(x) - model.train()(x)).abs().max() > 0.1
    with pytest.raises(ValueError, match="'1' is in train mode"):
        fold_batchnorm(model)


def test_folding_past_a_relu_would_be_wrong() -> None:  # control: the formula where its condition fails
    model = settled(nn.Linear(5, 7), nn.ReLU(), nn.BatchNorm1d(7))
    with pytest.raises(ValueError, match=r"'2' cannot be folded exactly: ReLU stands before it"):
        fold_batchnorm(model)
    forced = fold_batchnorm(settled(model[0], model[2]))  # statistics drawn anew, but the model's own from here on
    x = torch.randn(4, 5, dtype=torch.float64)
    assert (forced(x).relu() - model(x)).abs().max() > 0.1


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lin(self.norm(self.lin(x)))


class Leaks(Shared):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.lin(x)
        return self.norm(z) + z


class Reads(Shared):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(self.norm(self.lin(x)), self.lin.weight)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (settled(nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, padding=1)), "'2' after it pads with zeros"),
        (settled(nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, padding="same")), "'2' after it pads with zeros"),
        (settled(nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 2, 3)), "transposed"),
        (settled(nn.BatchNorm1d(4), nn.Linear(9, 2)), "9 channels on that side and not 4"),
        (settled(nn.BatchNorm1d(4), nn.ReLU()), "placeholder input stands before it"),
        (
            settled(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.BatchNorm1d(4)),
            "unparametrize_ ends that",
        ),
        (settled(nn.Linear(4, 4), norm("zca", 4)), "'1' is of class DecorrelatedBatchNorm, which mixes channels"),
        (settled(nn.Linear(4, 4), norm("iterative", 4)), "'1' is of class IterativeNorm, which mixes channels"),
        (settled(nn.Linear(4, 4), norm("virtual", 4)), "VirtualBatchNorm, which normalizes each sample by its own"),
        (settled(nn.Linear(4, 4), norm("switchable", 4)), "SwitchableNorm, which normalizes each sample by its own"),
        (settled(nn.Linear(4, 4), norm("column_batch", 4)), "ColumnNorm, which normalizes by each batch"),
        (settle(Shared()), "'lin' is shared"),
        (settle(Leaks()), "used in several places"),
        (settle(Reads()), "'lin' is shared"),
        (settled(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)), "'1' keeps no running statistics"),
        (settle(nn.BatchNorm1d(4)), "the model itself"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_exact_is_refused(model: nn.Module, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        fold_batchnorm(model)


class Branches(nn.Module):
    """What torch.fx cannot trace: control flow by value, around a body that it can."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor, twice: bool = False) -> torch.Tensor:
        return self.body(x) if x.sum() > 0 else -self.body(x)


def test_parts_of_an_untraceable_model_are_folded() -> None:
    body = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5))
    model = settled(nn.Linear(5, 5), nn.BatchNorm1d(5), Branches(body), nn.ReLU(), Branches(copy.deepcopy(body)))
    x = torch.randn(4, 5, dtype=torch.float64)
    assert_close(fold_batchnorm(model)(x), model(x), rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match=r"beside '2.body' is not known: .* by 2, .*cannot trace \(TraceError"):
        fold_batchnorm(settled(nn.Linear(5, 5), nn.ReLU(), Branches(nn.BatchNorm1d(5))))


def test_normalizations_of_a_sample_stay_where_they_are() -> None:
    model = settled(nn.Linear(6, 4), nn.BatchNorm1d(4), norm("layer", 4), nn.Linear(4, 4), norm("rms", 4))
    folded, x = fold_batchnorm(model), torch.randn(4, 6, dtype=torch.float64)
    assert [type(layer).__name__ for layer in folded] == ["Linear", "Identity", "LayerNorm", "Linear", "RMSNorm"]
    assert_close(folded(x), model(x), rtol=1e-12, atol=1e-12)


def test_baked_weights_fold() -> None:
    model, x = settled(nn.Linear(5, 7), nn.BatchNorm1d(7)), torch.randn(4, 5, dtype=torch.float64)
    parametrize_(model, "spectral_norm")
    before = model(x)
    unparametrize_(model)
    assert_close(fold_batchnorm(model)(x), before, rtol=1e-12, atol=1e-12)


def test_hooks_are_not_bypassed() -> None:
    model = settled(nn.Linear(5, 7), nn.BatchNorm1d(7))
    handle = model[0].register_forward_hook(lambda module, args, output: output.abs())
    with pytest.raises(ValueError, match="'0' has forward hooks"):
        fold_batchnorm(model)
    handle.remove()
    fold_batchnorm(model)


def test_bfloat16_weights_stay_bfloat16() -> None:
    model = settled(nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7)).bfloat16()
    folded, x = fold_batchnorm(model), torch.randn(4, 5, dtype=torch.bfloat16)
    assert folded[0].weight.dtype == folded[0].bias.dtype == torch.bfloat16
    assert_close(folded(x), model(x), rtol=0.05, atol=0.05)  # three roundings of 2⁻⁸ of values up to 5
