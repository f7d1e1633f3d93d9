"""Hessian and Gauss–Newton as operators against exact matrices; what they ask for and what they leave alone."""

import numpy as np
import pytest
import torch
from exact_matrices import DOUBLE, exact_ggn, exact_hessian, inputs, labels, sample_gradients, second, small_net, values
from scipy.sparse.linalg import eigsh
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.testing import assert_close
from torch.utils.data import DataLoader, TensorDataset

from trainwell.curvature import (
    Congruent,
    Damped,
    Diagonal,
    Fisher,
    GaussNewton,
    Hessian,
    Identity,
    MeanLoss,
    ggn_product,
    hvp,
)
from trainwell.curvature.weight_norm_kernel import fused_is_wrong
from trainwell.errors import InputError
from trainwell.optim import Closure

CASES = {
    "softmax": (nn.CrossEntropyLoss(), labels()),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), labels()),
    "mse": (nn.MSELoss(), values(12, 3)),
    "bernoulli": (nn.BCEWithLogitsLoss(), (values(12, 3) > 0).to(DOUBLE)),
}


def assert_near(a, b, tolerance=1e-10):
    assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()))


@pytest.mark.parametrize("case", CASES)
def test_dense_matrices_are_the_exact_ones(case):
    (loss, y), net, x = CASES[case], small_net(), inputs()
    hessian, ggn = Hessian(net, loss, (x, y)).dense(), GaussNewton(net, loss, (x, y)).dense()
    assert_near(hessian, exact_hessian(net, loss, x, y))
    assert_near(ggn, exact_ggn(net, loss, x, y))
    assert_near(hessian, hessian.T)
    assert_near(ggn, ggn.T)
    assert torch.linalg.eigvalsh(ggn).min() > -1e-12 > torch.linalg.eigvalsh(hessian).min()  # H is indefinite


@pytest.mark.parametrize("case", CASES)
def test_gauss_newton_of_a_linear_model_is_its_hessian_and_of_another_is_not(case):
    loss, y = CASES[case]
    linear = nn.Linear(4, 3, dtype=DOUBLE)
    assert_near(GaussNewton(linear, loss, (inputs(), y)).dense(), Hessian(linear, loss, (inputs(), y)).dense())
    net = small_net()
    difference = GaussNewton(net, loss, (inputs(), y)).dense() - Hessian(net, loss, (inputs(), y)).dense()
    assert difference.abs().max() > 1e-3  # control


@pytest.mark.parametrize("operator", [Hessian, GaussNewton, Fisher])
def test_batches_of_unequal_size_average_exactly(operator):
    net, loss, x, y = small_net(), nn.CrossEntropyLoss(), inputs(), labels()
    whole = operator(net, loss, (x, y)).dense()
    parts = [(x[:7], y[:7]), (x[7:11], y[7:11]), (x[11:], y[11:])]
    assert_near(operator(net, loss, parts).dense(), whole, 1e-12)
    assert_near(operator(net, loss, iter(parts)).dense(), whole, 1e-12)
    loader = DataLoader(TensorDataset(x, y), batch_size=5, shuffle=True)
    assert_near(operator(net, loss, loader).dense(), whole, 1e-12)


def test_ignored_labels_and_class_weights_count_in_the_average():
    net, x, y = small_net(), inputs(), labels()
    y[:5] = -100
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5], dtype=DOUBLE))
    parts = [(x[:5], y[:5]), (x[5:7], y[5:7]), (x[7:], y[7:])]  # nothing of the first counts
    assert_close(MeanLoss(net, loss, parts[1:]).value(), loss(net(x), y).detach())
    assert_near(Hessian(net, loss, parts[1:]).dense(), exact_hessian(net, loss, x, y))
    gradient = torch.autograd.grad(loss(net(x), y), list(net.parameters()))
    assert_close(MeanLoss(net, loss, parts[1:]).gradient(), list(gradient))


def test_vectors_columns_lists_and_scipy_agree():
    net, loss = small_net(), nn.CrossEntropyLoss()
    operator = Hessian(net, loss, [(inputs(), labels())])
    v = values(operator.size, 2)
    matrix = operator.dense()
    assert_near(operator @ v, matrix @ v)
    assert_near(operator @ v[:, 0], matrix @ v[:, 0])
    as_list = [t.clone() for t in v[:, 1].split([p.numel() for p in net.parameters()])]
    as_list = [t.view(p.shape) for t, p in zip(as_list, net.parameters(), strict=True)]
    assert_near(torch.cat([t.reshape(-1) for t in operator @ as_list]), matrix @ v[:, 1])
    assert operator.names[0] == "0.weight" and operator.shape == (43, 43)
    scipy_operator = operator.to_scipy()
    np.testing.assert_allclose(scipy_operator @ v.numpy(), (matrix @ v).numpy(), atol=1e-12)
    np.testing.assert_allclose(eigsh(scipy_operator, 1, which="LA")[0], torch.linalg.eigvalsh(matrix)[-1:], rtol=1e-8)
    with pytest.raises(InputError, match=r"size 43 @ a tensor of shape \(4,\)"):
        operator @ torch.ones(4)
    with pytest.raises(InputError, match="a list of shapes"):
        operator @ as_list[:2]


def test_combinations_are_their_matrices():
    hessian = Hessian(small_net(), nn.CrossEntropyLoss(), (inputs(), labels()))
    matrix, d = hessian.dense(), values(43).abs()
    eye = torch.eye(43, dtype=DOUBLE)
    assert_near((2.0 * hessian + Diagonal(d) + Identity(hessian)).dense(), 2 * matrix + d.diag() + eye)
    assert_near(Damped(hessian, 0.3).dense(), matrix + 0.3 * eye)
    assert_near(Congruent(hessian, d).dense(), d[:, None] * matrix * d)
    with pytest.raises(InputError, match="sizes 43, 2"):
        hessian + Diagonal(torch.ones(2))


def test_named_and_frozen_parameters():
    net, loss, batch = small_net(), nn.CrossEntropyLoss(), (inputs(), labels())
    matrix = Hessian(net, loss, batch).dense()
    assert_near(Hessian(net, loss, batch, names=["0.bias"]).dense(), matrix[20:25, 20:25])
    net[0].requires_grad_(False)
    assert_near(Hessian(net, loss, batch).dense(), matrix[25:, 25:])
    with pytest.raises(InputError, match=r"no trainable parameter '0.bias'. It has 2.weight, 2.bias"):
        Hessian(net, loss, batch, names=["0.bias"])


def test_small_products_functions_and_closures():
    net, loss, x, y = small_net(), nn.CrossEntropyLoss(), inputs(), labels()
    params, v = list(net.parameters()), values(43)
    vector = [t.view(p.shape) for t, p in zip(v.split([p.numel() for p in params]), params, strict=True)]
    joined = lambda parts: torch.cat([t.reshape(-1) for t in parts])  # noqa: E731
    closure = Closure.of(net, loss, x, y)
    hessian, ggn = exact_hessian(net, loss, x, y), exact_ggn(net, loss, x, y)
    assert_near(joined(hvp(closure.loss(), params, vector)), hessian @ v)
    assert_near(joined(ggn_product(*closure.outputs(), params, vector)), ggn @ v)
    with torch.no_grad():
        assert_near(Hessian.of_closure(closure, params).dense(), hessian)
        assert_near(GaussNewton.of_closure(closure, params).dense(), ggn)
    w = values(6)
    assert_near(Hessian.of_function(lambda a: (a**4).sum() + a.prod(), w).dense(), second(
        lambda a: (a**4).sum() + a.prod())(w))  # fmt: skip
    two = [values(2), values(3, seed=4)]
    matrix = Hessian.of_function(lambda a, b: a.sum() ** 2 * b.square().sum(), two).dense()
    expected = second(lambda w: w[:2].sum() ** 2 * w[2:].square().sum())(torch.cat(two))
    assert_near(matrix, expected)


def test_parameters_that_do_nothing_and_linear_losses_have_zero_curvature():
    a, b = values(2), values(3)
    assert Hessian.of_function(lambda a, b: 3 * a.sum(), [a, b]).dense().abs().max() == 0
    assert_close(Hessian.of_function(lambda a, b: a.square().sum(), [a, b]).dense().diagonal(),
                 torch.tensor([2.0, 2, 0, 0, 0], dtype=DOUBLE))  # fmt: skip


def everything(net):
    state = [t.clone() for t in net.state_dict().values()]
    grads = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    return state, grads, [m.training for m in net.modules()], torch.get_rng_state()


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_nothing_is_left_behind_and_no_grad_callers_are_served(mode, context):
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).to(DOUBLE).train(mode)
    x, y, loss = inputs(), labels(), nn.CrossEntropyLoss()
    loss(net(x), y).backward()
    own = torch.Generator().manual_seed(5)
    loader = DataLoader(TensorDataset(x, y), batch_size=5, shuffle=True, generator=own)
    before, own_state = everything(net), own.get_state()
    with context():
        for operator in (Hessian, GaussNewton, Fisher):
            assert not (operator(net, loss, loader) @ torch.ones(53)).requires_grad
    assert_close(everything(net), before, rtol=0, atol=0)
    assert torch.equal(own.get_state(), own_state)


def test_batchnorm_in_eval_mode_matches_the_exact_matrix():
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 3)).to(DOUBLE)
    net(inputs())
    net.eval()
    loss, y = nn.CrossEntropyLoss(), labels()
    assert_near(Hessian(net, loss, (inputs(), y)).dense(), exact_hessian(net, loss, inputs(), y))
    gradients = sample_gradients(net, loss, inputs(), y)
    assert_near(Fisher(net, loss, (inputs(), y), kind="empirical").dense(), gradients.T @ gradients / 12)


class Pair(nn.Module):
    """A model of two outputs."""

    def __init__(self):
        super().__init__()
        self.net = small_net()

    def forward(self, x):
        return self.net(x), x


def test_random_losses_sums_and_nonsense_are_refused():
    dropping = nn.Sequential(nn.Linear(4, 30), nn.Dropout(0.5), nn.Linear(30, 3)).to(DOUBLE)
    batch, loss = (inputs(), labels()), nn.CrossEntropyLoss()
    with pytest.raises(InputError, match=r"once and .* again. Switch its randomness off"):
        Hessian(dropping, loss, batch)
    Hessian(dropping.eval(), loss, batch)
    with pytest.raises(InputError, match="reduction='sum'"):
        Hessian(small_net(), nn.CrossEntropyLoss(reduction="sum"), batch)
    with pytest.raises(InputError, match=r"shape \(12,\)"):
        Hessian(small_net(), lambda z, y: z.sum(1), batch)
    with pytest.raises(InputError, match="the loss is nan"):
        Hessian(small_net(), lambda z, y: z.sum() * float("nan"), batch)
    with pytest.raises(InputError, match="there is no batch"):
        Hessian(small_net(), loss, [])
    with pytest.raises(InputError, match="batches is a NoneType"):
        Hessian(small_net(), loss, None)
    with pytest.raises(InputError, match="the model returns a tuple"):
        GaussNewton(Pair(), lambda z, y: loss(z[0], y), batch) @ torch.ones(43)
    mixed = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3).to(DOUBLE))
    with pytest.raises(InputError, match="2 dtypes or devices"):
        Hessian(mixed, loss, batch)
    with pytest.raises(InputError, match="has no graph"):
        hvp(torch.tensor(1.0), [torch.ones(1)], [torch.ones(1)])


class Attention(nn.Module):
    """Attention over 6 tokens of 8 numbers, as PyTorch's fused kernel computes it."""

    def __init__(self):
        super().__init__()
        self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 3)

    def forward(self, x):
        q, k, v = (t.unflatten(2, (2, 4)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))  # (batch, heads, time, d)
        return self.head(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).mean(1))


def test_attention_is_differentiated_twice_and_outside_operators_the_error_says_how():
    torch.manual_seed(0)
    net, x, y, loss = Attention().to(DOUBLE), values(5, 6, 8), labels(5), nn.CrossEntropyLoss()
    with sdpa_kernel(SDPBackend.MATH):
        expected = exact_hessian(net, loss, x, y)
    assert_near(Hessian(net, loss, (x, y)).dense(), expected)
    params = list(net.parameters())
    vector = [torch.ones_like(p) for p in params]
    with pytest.raises(InputError, match=r"cannot be differentiated twice .*sdpa_kernel\(SDPBackend.MATH\)"):
        hvp(loss(net(x), y), params, vector)
    with sdpa_kernel(SDPBackend.MATH):
        found = hvp(loss(net(x), y), params, vector)
    assert_near(torch.cat([t.reshape(-1) for t in found]), expected.sum(1))


def test_weight_norm_has_its_true_second_derivative():
    net, x, y, loss = small_net(), inputs(), labels(), nn.CrossEntropyLoss()
    nn.utils.parametrizations.weight_norm(net[0])
    start, params = nn.utils.parameters_to_vector(net.parameters()).detach(), list(net.parameters())

    def gradient(w):
        nn.utils.vector_to_parameters(w, params)
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss(net(x), y), params)])

    step = 1e-5
    rows = [(gradient(start + step * e) - gradient(start - step * e)) / (2 * step) for e in torch.eye(48, dtype=DOUBLE)]
    nn.utils.vector_to_parameters(start, params)
    assert_near(Hessian(net, loss, (x, y)).dense(), torch.stack(rows), 1e-8)
    assert_near(Hessian.of_closure(Closure.of(net, loss, x, y), params).dense(), torch.stack(rows), 1e-8)
    if fused_is_wrong():
        with pytest.raises(InputError, match="wrong second derivative of its fused weight_norm"):
            hvp(loss(net(x), y), params, params)


def test_tied_weights_kernels_in_place_and_recurrence():
    torch.manual_seed(0)
    tied = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)).to(DOUBLE)
    tied[2].weight = tied[0].weight
    operator = Hessian(tied, nn.CrossEntropyLoss(), (inputs(), labels()))
    assert operator.names == ("0.weight", "0.bias", "2.bias")
    assert_near(operator.dense(), exact_hessian(tied, nn.CrossEntropyLoss(), inputs(), labels()))
    conv = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 3)).to(
        DOUBLE
    )
    matrix = Hessian(conv, nn.CrossEntropyLoss(), (values(4, 1, 8, 8), labels(4))).dense()
    assert_near(matrix, matrix.T)

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    matrix = Hessian(Recurrent().to(DOUBLE), nn.CrossEntropyLoss(), (values(5, 6, 3), labels(5, 2))).dense()
    assert_near(matrix, matrix.T)


def test_transformer_encoder_layer_in_eval_mode():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True, dtype=DOUBLE).eval()
    operator = Hessian(layer, nn.MSELoss(), (values(3, 5, 8), values(3, 5, 8, seed=5)))
    v, w = values(operator.size, seed=6), values(operator.size, seed=7)
    assert_close(v @ (operator @ w), w @ (operator @ v), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
def test_low_precision_parameters_give_products_of_their_dtype(dtype, tolerance):
    exact = exact_hessian(small_net(), nn.CrossEntropyLoss(), inputs(), labels())
    net = small_net().to(dtype)
    operator = Hessian(net, nn.CrossEntropyLoss(), (inputs().to(dtype), labels()))
    with torch.autocast("cpu", torch.bfloat16):
        product = operator @ torch.ones(43)
    assert product.dtype == dtype
    assert (product.double() - exact.sum(1)).norm() < tolerance * exact.sum(1).norm()


@pytest.mark.filterwarnings("ignore")
def test_against_curvlinops():
    reference = pytest.importorskip("curvlinops")
    net, loss, data = small_net(), nn.CrossEntropyLoss(), [(inputs()[:7], labels()[:7]), (inputs()[7:], labels()[7:])]
    params, v = list(net.parameters()), values(43)
    pairs = [
        (Hessian(net, loss, data), reference.HessianLinearOperator),
        (GaussNewton(net, loss, data), reference.GGNLinearOperator),
        (Fisher(net, loss, data, kind="empirical"), reference.EFLinearOperator),
    ]
    for ours, theirs in pairs:
        assert_near(ours @ v, theirs(net, loss, params, data) @ v)
