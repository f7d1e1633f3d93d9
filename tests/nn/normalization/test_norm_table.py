"""What every name of ``NORMS`` does, and each new layer against a slow version of its own or torch's."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import trainwell.nn as tn
from trainwell.errors import InputError
from trainwell.nn.normalization.norms import NORMS, group_count, norm
from trainwell.nn.operations import kind_of

CHANNELS = 16
DOUBLE = {"rtol": 1e-12, "atol": 1e-12}
BY_SAMPLE = ("none", "layer", "instance", "group", "rms", "local_response", "column_features")
BY_BATCH = ("batch", "batch_cumulative", "batch_no_affine", "zca", "cholesky", "iterative", "ghost", "switchable")
EPS = 1e-5

TRAINABLE = [(n, d) for d in (0, 2) for n in NORMS if n != "sync" and (n, d) != ("instance", 0)]
"""All names in both shapes, but for what only works elsewhere: its refusals are tested below."""


def sample(dimensions: int, n: int = 24, channels: int = CHANNELS, seed: int = 0) -> torch.Tensor:
    """Correlated channels of different means and sizes, float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *[5] * dimensions, channels, generator=generator, dtype=torch.float64)
    x = x @ (torch.eye(channels) + 0.2 * torch.randn(channels, channels, generator=generator)).double()
    return (x * torch.linspace(1, 4, channels) + torch.linspace(-2, 3, channels)).movedim(-1, 1).contiguous()


def seasoned(name: str, dimensions: int, channels: int = CHANNELS) -> nn.Module:
    """The layer in float64 after two batches, its parameters moved from where they start."""
    layer = norm(name, channels, dimensions).double()
    with torch.no_grad():
        for seed in (1, 2):
            layer(sample(dimensions, channels=channels, seed=seed))
        for parameter in layer.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return layer


def over(name: str, dimensions: int) -> list[int]:
    """The axes of (N, C, *) over which the mean must be 0."""
    space = list(range(2, 2 + dimensions))
    if name in ("layer", "column_features"):
        return [1, *space]
    return space if name == "instance" else [0] if name == "column_batch" else [0, *space]


@pytest.mark.parametrize(
    ("name", "dimensions"), [c for c in TRAINABLE if c[0] not in ("none", "local_response", "rms")]
)
def test_outputs_have_the_moments_of_the_definition(name: str, dimensions: int) -> None:
    x = sample(dimensions, n=24 if name == "ghost" else 200)  # many more than channels: a covariance of full rank
    if name == "noisy":
        layer = tn.NoisyBatchNorm(CHANNELS, mean_range=0.0, scale_range=1.0, jitter=0.0).double()
    else:
        layer = norm(name, CHANNELS, dimensions).double()
    if name == "renorm":
        layer.r_max, layer.d_max = 1.0, 0.0
    if name == "switchable":
        with torch.no_grad():
            layer.mean_logits[-1] = layer.var_logits[-1] = 100.0  # the batch alone
    y = layer(x)
    if name == "group":
        groups = layer.num_groups
        x, y = (t.unflatten(1, (groups, -1)).flatten(2) for t in (x, y))  # (N, G, values of the group)
        axes = [2]
    else:
        axes = over(name, dimensions)
    assert y.mean(axes).abs().max() < 1e-12
    variance = x.var(axes, correction=0)
    expected = variance / (variance + EPS)
    if name in ("zca", "cholesky"):  # λ/(λ + ε), λ mixed: near 1 by ε over the smallest eigenvalue
        assert_close(y.var(axes, correction=0), torch.ones_like(variance), rtol=0, atol=1e-3)
    elif name == "iterative":  # five steps leave the directions of little variance smaller
        assert y.var(axes, correction=0).max() < 1.01
    else:
        assert_close(y.var(axes, correction=0), expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("name", "dimensions"), [c for c in TRAINABLE if c[0] not in ("none", "local_response", "noisy")]
)
def test_scale_and_shift_of_the_input_make_no_difference(name: str, dimensions: int) -> None:
    x, layer = sample(dimensions, n=200), norm(name, CHANNELS, dimensions).double()
    if name == "renorm":
        layer.r_max, layer.d_max = 1.0, 0.0
    y = layer(x)
    shift = 0.0 if name == "rms" else 3.0
    if name == "virtual":
        layer.reference_samples.zero_()
    # ε is the only thing that knows the scale: variances here are above 0.1, the factor 7 makes ε 49 times smaller
    assert_close(layer(7 * x + shift), y, rtol=0, atol=2e-3)
    if name == "rms":  # control: it keeps the mean
        assert (layer(7 * x + 30) - y).abs().max() > 0.1


@pytest.mark.parametrize("name", ["none", "local_response"])
def test_what_is_no_standardization_depends_on_the_scale(name: str) -> None:  # control of the test above
    x, layer = sample(0), norm(name, CHANNELS)
    assert (layer(7 * x) - layer(x)).abs().max() > 1


@pytest.mark.parametrize(("name", "dimensions"), TRAINABLE)
def test_whether_a_sample_depends_on_its_batch(name: str, dimensions: int) -> None:
    x, layer = sample(dimensions), seasoned(name, dimensions)
    torch.manual_seed(1)
    whole = layer(x)
    parts = copy.deepcopy(layer)
    torch.manual_seed(1)
    alone = parts(x[:5])
    if name in BY_SAMPLE or name == "virtual":  # virtual has its reference
        assert_close(alone, whole[:5], **DOUBLE)
    elif name != "renorm":  # renorm: hardly, which is its purpose
        assert (alone - whole[:5]).abs().max() > 0.02
    layer.eval()
    state = copy.deepcopy(layer.state_dict())
    whole = layer(x)
    if name == "column_batch":
        assert (layer(x[:5]) - whole[:5]).abs().max() > 0.02
    else:
        assert_close(layer(x[:1]), whole[:1], **DOUBLE)  # a batch of one
        assert_close(torch.cat([layer(x[:7]), layer(x[7:])]), whole, **DOUBLE)
    assert all(torch.equal(value, state[key]) for key, value in layer.state_dict().items())


@pytest.mark.parametrize(("name", "dimensions"), TRAINABLE)
def test_state_round_trip_and_copy(name: str, dimensions: int) -> None:
    layer, x = seasoned(name, dimensions).eval(), sample(dimensions, seed=5)
    other = norm(name, CHANNELS, dimensions).double().eval()
    if layer.state_dict() and name != "local_response":
        assert not torch.equal(other(x), layer(x))  # control
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))


@pytest.mark.parametrize(("name", "dimensions"), TRAINABLE)
@pytest.mark.parametrize("training", [True, False])
def test_gradient_by_differences(name: str, dimensions: int, training: bool) -> None:
    layer = norm(name, 4, dimensions).double()
    with torch.no_grad():
        layer(sample(dimensions, 9, 4, seed=1))
        for parameter in layer.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    layer.train(training)
    start = copy.deepcopy(layer.state_dict())
    parameters = dict(layer.named_parameters())

    def function(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(2)
        state = {key: value.clone() for key, value in start.items()}
        if name == "renorm":  # its corrections are constants by definition: look where they are limited
            layer.r_max, layer.d_max = 1.0, 0.0
        return torch.func.functional_call(layer, {**state, **dict(zip(parameters, values, strict=True))}, (x,))

    x = sample(dimensions, 4, 4)[..., :2].contiguous() if dimensions else sample(0, 6, 4)
    inputs = [x.requires_grad_(), *(p.detach().clone().requires_grad_() for p in parameters.values())]
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize(("name", "dimensions"), TRAINABLE)
@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_and_autocast(name: str, dimensions: int, training: bool) -> None:
    layer = seasoned(name, dimensions).float().train(training)
    x = sample(dimensions).float()
    layer, x = (layer, x / 4) if name == "none" else (layer, x)
    low = copy.deepcopy(layer).bfloat16()
    expected = copy.deepcopy(layer)(x)
    y = low(x.bfloat16())
    assert y.dtype == torch.bfloat16 and y.isfinite().all()
    if name not in ("noisy", "zca", "cholesky", "iterative"):  # other noise; inverses enlarge the rounding of x
        assert_close(y.float(), expected, rtol=0.03, atol=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).isfinite().all()


@pytest.mark.parametrize(
    ("name", "dimensions"), [c for c in TRAINABLE if c[1] or c[0] in ("rms", "virtual", "switchable")]
)
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it compiles
def test_compiled_whole(name: str, dimensions: int) -> None:
    layer = norm(name, CHANNELS, dimensions)
    with torch.no_grad():
        layer(sample(dimensions, seed=1).float())
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend="aot_eager")
    x = sample(dimensions).float()
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    for module, z in zip((layer, compiled), inputs, strict=True):
        torch.manual_seed(1)
        module(z).pow(3).sum().backward()
    assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-3, atol=1e-3)
    for key, value in layer.state_dict().items():
        assert_close(compiled._orig_mod.state_dict()[key], value, rtol=1e-4, atol=1e-4)
    torch.compiler.reset()


@pytest.mark.parametrize("name", [n for n in NORMS if n not in ("none", "sync")])
@pytest.mark.parametrize("dimensions", [0, 1, 2, 3])
def test_every_shape_keeps_its_shape_and_kind(name: str, dimensions: int) -> None:
    if (name, dimensions) == ("instance", 0):
        return
    layer = norm(name, 4, dimensions)
    x = torch.randn(6, 4, *[3] * dimensions)
    assert layer(x).shape == x.shape
    assert kind_of(layer) == "norm"
    assert tn.trace(nn.Sequential(layer), x).layers[0].kind == "norm"


@pytest.mark.parametrize("name", [n for n in NORMS if n not in ("none", "instance", "column_batch", "noisy", "sync")])
@pytest.mark.parametrize("training", [True, False])
def test_an_ensemble_by_vmap(name: str, training: bool) -> None:
    layers = [seasoned(name, 0).train(training) for _ in range(2)]
    x = sample(0, seed=7)
    states = {k: torch.stack([layer.state_dict()[k] for layer in layers]) for k in layers[0].state_dict()}
    y = (
        torch.func.vmap(lambda state: torch.func.functional_call(copy.deepcopy(layers[0]), state, (x,)))(states)
        if (states)
        else torch.stack([layer(x) for layer in layers])
    )
    assert_close(y, torch.stack([layer(x) for layer in layers]), rtol=1e-9, atol=1e-9)


# The new layers, one by one.


def test_cumulative_is_the_librarys_layer_without_momentum() -> None:
    ours, library = norm("batch_cumulative", 3, 2).double(), nn.BatchNorm2d(3, momentum=None).double()
    batches = [sample(2, 6, 3, seed) for seed in range(4)]
    for x in batches:
        assert_close(ours(x), library(x), **DOUBLE)
    assert_close(ours.running_mean, torch.stack([x.mean((0, 2, 3)) for x in batches]).mean(0), **DOUBLE)
    assert_close(ours.running_var, library.running_var, **DOUBLE)
    assert_close(ours.running_var, torch.stack([x.var((0, 2, 3)) for x in batches]).mean(0), **DOUBLE)
    ours.load_state_dict(library.state_dict())
    assert_close(ours.eval()(batches[0]), library.eval()(batches[0]), **DOUBLE)


@pytest.mark.parametrize("dimensions", [0, 2])
def test_rms_is_the_librarys_layer_over_the_whole_sample(dimensions: int) -> None:
    x = sample(dimensions, channels=4)
    layer = tn.SampleRMSNorm(4).double()
    with torch.no_grad():
        layer.weight.normal_()
    shape = (1, 4, *[1] * dimensions)
    expected = F.rms_norm(x, x.shape[1:], eps=EPS) * layer.weight.view(shape)
    assert_close(layer(x), expected, **DOUBLE)
    tiny = torch.full((2, 4), 1e-3)
    assert_close(tn.SampleRMSNorm(4)(tiny), tiny / (1e-6 + 1e-5) ** 0.5)  # ε inside the root


def test_local_response_as_published() -> None:
    x = 10 * sample(1, 3, 7)
    y = norm("local_response", 7, 1)(x)
    for c in range(7):
        near = x[:, max(0, c - 2) : c + 3].square().sum(1)
        assert_close(y[:, c], x[:, c] / (2 + 1e-4 * near) ** 0.75, **DOUBLE)
    assert_close(norm("local_response", 7)(x[..., 0]), y[..., 0], **DOUBLE)
    with pytest.raises(ValueError, match="offset=0"):
        tn.LocalResponse(offset=0.0)


def test_columns_of_images_are_their_vectors() -> None:
    x = sample(2, 6, 3)
    for axis, over_ in ((1, "features"), (0, "batch")):
        expected = tn.ColumnNorm(over_)(x.flatten(1)).view_as(x)
        assert_close(tn.ColumnNorm(over_)(x), expected, **DOUBLE)
        assert expected.flatten(1).mean(axis).abs().max() < 1e-12
    with pytest.raises(ValueError, match="two or more samples"):
        norm("column_batch", 3, 2).eval()(x[:1])


def virtual_by_hand(x: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Each sample among the reference: N_r + 1 samples, whose moments are averaged with equal weights."""
    out = []
    for one in x:
        joined = torch.cat([reference, one[None]])  # all samples have the same number of pixels
        axes = [0, *range(2, x.dim())]
        shape = (-1, *[1] * (x.dim() - 2))
        mean, variance = joined.mean(axes), joined.var(axes, correction=0)
        out.append((one - mean.view(shape)) / (variance.view(shape) + EPS).sqrt())
    return torch.stack(out)


@pytest.mark.parametrize("dimensions", [0, 2])
def test_virtual_counts_each_sample_to_the_reference(dimensions: int) -> None:
    reference, x = sample(dimensions, 6, 3, seed=1), sample(dimensions, 5, 3, seed=2)
    layer, plain = norm("virtual", 3, dimensions).double(), norm("batch", 3, dimensions).double()
    fresh = (x - 0) / (1 + EPS) ** 0.5
    assert_close(copy.deepcopy(layer).eval()(x), fresh, **DOUBLE)  # before any training
    inputs = [reference.clone().requires_grad_() for _ in range(2)]
    firsts = [module(z) for module, z in zip((layer, plain), inputs, strict=True)]
    assert_close(*firsts, **DOUBLE)  # the reference itself: batch normalization, its gradient too
    grads = [torch.autograd.grad(y.pow(3).sum(), z)[0] for y, z in zip(firsts, inputs, strict=True)]
    assert_close(*grads, rtol=1e-9, atol=1e-9)
    expected = virtual_by_hand(x, reference)
    assert_close(layer(x), expected, **DOUBLE)
    assert_close(layer.eval()(x[:1]), expected[:1], **DOUBLE)
    assert layer.reference_samples == 6
    assert (plain(x) - expected).abs().max() > 0.1  # control


def test_references_are_measured_anew_after_the_weights_moved() -> None:
    net = nn.Sequential(
        nn.Linear(4, 6), norm("virtual", 6), nn.Dropout(0.5), nn.Linear(6, 5), norm("virtual", 5)
    ).double()
    reference = sample(0, 12, 4)
    net(reference)
    with torch.no_grad():
        net[0].weight.mul_(3)
    net[2].eval()
    stale = net(reference)
    modes = [module.training for module in net.modules()]
    assert tn.refresh_references_(net, reference) == 2
    assert modes == [module.training for module in net.modules()]
    hidden = net[0](reference)
    assert_close(net[1].reference_mean, hidden.mean(0), **DOUBLE)
    assert_close(net[1].reference_var, hidden.var(0, correction=0), **DOUBLE)
    fresh = net(reference)
    assert fresh.mean(0).abs().max() < 0.2 < stale.mean(0).abs().max() + 0.2
    assert fresh.var(0).mean() < 1.2 and (stale - fresh).abs().max() > 0.5
    with pytest.raises(ValueError, match="has no VirtualBatchNorm"):
        tn.refresh_references_(nn.Linear(2, 2), reference)


KINDS: list[tuple[int, Callable[[int], nn.Module]]] = [
    (0, nn.InstanceNorm2d),
    (1, lambda channels: nn.GroupNorm(1, channels)),
    (2, nn.BatchNorm2d),
]


@pytest.mark.parametrize(("chosen", "make"), KINDS, ids=["instance", "layer", "batch"])
def test_switchable_with_one_choice_is_that_norm(chosen: int, make: Callable[[int], nn.Module]) -> None:
    layer, alone = norm("switchable", 3, 2).double(), make(3).double()
    with torch.no_grad():
        layer.mean_logits[chosen] = layer.var_logits[chosen] = 200.0  # e⁻²⁰⁰ of the others
    for seed in (0, 1):
        x = sample(2, 6, 3, seed)
        assert_close(layer(x), alone(x), rtol=1e-10, atol=1e-10)
    assert_close(layer.eval()(x), alone.eval()(x), rtol=1e-10, atol=1e-10)
    assert (norm("switchable", 3, 2).double()(x) - alone(x)).abs().max() > 0.05  # control: a third of each


def test_switchable_mixes_means_and_variances_apart() -> None:
    x, layer = sample(2, 6, 3), norm("switchable", 3, 2).double()
    with torch.no_grad():
        layer.mean_logits.copy_(torch.tensor([0.3, -1.0, 0.6]))
        layer.var_logits.copy_(torch.tensor([-0.2, 1.0, 0.0]))
    axes = ([2, 3], [1, 2, 3], [0, 2, 3])
    w, v = layer.mean_logits.softmax(0), layer.var_logits.softmax(0)
    mean = sum(w[k] * x.mean(a, keepdim=True) for k, a in enumerate(axes))
    variance = sum(v[k] * x.var(a, correction=0, keepdim=True) for k, a in enumerate(axes))
    assert_close(layer(x), (x - mean) / (variance + EPS).sqrt(), **DOUBLE)
    vector = norm("switchable", 3)
    assert vector.mean_logits.shape == (2,)
    with pytest.raises(ValueError, match="has 1 dimensions after the channels and not 0"):
        vector(torch.randn(4, 3, 5))


def test_sync_says_where_it_trains_and_is_batch_norm_in_eval_mode() -> None:
    layer, plain = norm("sync", 3, 2), nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 2, 2)
    with pytest.raises(ValueError, match=r"outside a process group .* Train on GPUs under torchrun"):
        layer(x)
    plain(x)
    layer.load_state_dict(plain.state_dict())
    assert_close(layer.eval()(x), plain.eval()(x))


# Errors, groups, freezing, models.


@given(channels=st.integers(1, 600), dimensions=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_groups_divide_the_channels_and_are_large_enough(channels: int, dimensions: int) -> None:
    groups = group_count(channels, dimensions)
    assert channels % groups == 0 and groups <= 32
    least = 2 if dimensions else 16
    assert groups == 1 or channels // groups >= least
    larger = [g for g in range(groups + 1, 33) if channels % g == 0 and channels // g >= least]
    assert larger == []


def test_a_pair_of_features_would_keep_only_its_order() -> None:  # why vectors have larger groups
    y = nn.GroupNorm(2, 4).double()(sample(0, channels=4))
    assert (y.abs() - 1).abs().max() < 0.01
    assert norm("group", 64).num_groups == 4 and norm("group", 64, 2).num_groups == 32


def test_whitened_groups_have_at_most_16_channels() -> None:
    assert [norm("zca", c).groups for c in (7, 16, 32, 48, 24)] == [1, 1, 2, 3, 2]
    with pytest.raises(InputError, match=r"17 channels needs groups of 2 to 16.* Use 16 channels"):
        norm("iterative", 17)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("bacth", 4), "Did you mean 'batch'"),
        (("qqqq", 4), "Use one of none, batch"),
        (("batch", 4, 4), "dimensions=4"),
        (("batch", 0), "there are 0 channels"),
        (("instance", 4, 0), "a vector has one value there"),
        (("layer", 1), "single feature"),
        (("group", 1), "single feature"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, int, int], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        norm(*arguments)


@pytest.mark.parametrize("name", [n for n in NORMS if n not in (*BY_SAMPLE, "sync")])
def test_one_value_per_channel_is_refused_in_train_mode(name: str) -> None:
    with pytest.raises(ValueError, match=r"[Oo]ne value per channel|more than 1 value per channel|two or more samples"):
        norm(name, 4)(torch.randn(1, 4))


@pytest.mark.parametrize("name", ["batch_cumulative", "virtual", "switchable"])
def test_channels_must_fit(name: str) -> None:
    with pytest.raises(ValueError, match=r"shape \(6, 5\), but num_features=4"):
        norm(name, 4)(torch.randn(6, 5))


@pytest.mark.parametrize(
    "make",
    [tn.CumulativeBatchNorm, tn.VirtualBatchNorm, tn.SampleRMSNorm, lambda c, eps: tn.SwitchableNorm(c, 0, eps=eps)],
)
def test_eps_must_be_positive(make: Callable[..., nn.Module]) -> None:
    for eps in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="eps="):
            make(4, eps=eps)


def test_only_norms_train() -> None:
    model = tn.resnet20((3, 32, 32), 10)
    frozen = tn.train_only_norms_(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == 1376  # of 269 722: 2 a channel
    assert len(frozen) + len(trained) == len(list(model.parameters()))
    assert tn.train_only_norms_(model) == []  # nothing left to freeze
    before = {k: v.clone() for k, v in model.named_parameters()}
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    moved = {k for k, v in model.named_parameters() if not torch.equal(v, before[k])}
    assert moved.isdisjoint(frozen) and len(moved) >= 20
    for bad in (nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), norm("batch_no_affine", 2))):
        with pytest.raises(ValueError, match="no normalization of this model"):
            tn.train_only_norms_(bad)


@pytest.mark.parametrize("name", [n for n in NORMS if n != "sync"])
@pytest.mark.parametrize("body", ["mlp", "cnn"])
def test_models_take_every_norm_and_learn(name: str, body: str) -> None:
    if (name, body) == ("instance", "mlp"):
        with pytest.raises(InputError, match="a vector has one value there"):
            tn.mlp((1, 8, 8), 3, norm=name)
        return
    torch.manual_seed(0)
    model = getattr(tn, body)((1, 8, 8), 3, width=16, depth=1, norm=name)
    x, y = torch.randn(48, 1, 8, 8), torch.arange(48) % 3
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.02
    biased = [layer.bias is not None for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    shifts = getattr(norm(name, 16, 2), "bias", None) is not None
    assert all(bias is not shifts for bias in biased)


@pytest.mark.parametrize("body", ["mlp", "cnn"])
def test_maxout_gets_twice_the_channels(body: str) -> None:
    model = getattr(tn, body)((1, 8, 8), 3, width=16, depth=2, activation="maxout")
    assert model(torch.randn(4, 1, 8, 8)).shape == (4, 3)
    norms = [m for m in model.modules() if kind_of(m) == "norm"]
    assert norms[-1].num_features == 32  # pieces × width
