"""One suite for every activation that a recipe may name."""

import copy

import pytest
import torch
from torch import nn
from torch.autograd.gradcheck import GradcheckError
from torch.func import functional_call, grad, vmap
from torch.testing import assert_close

from trainwell.errors import InputError
from trainwell.nn import Maxout, RandomizedLeakyReLU, ShiftedReLU, SignStraightThrough, trace
from trainwell.nn.nonlinear.activations import ACTIVATIONS, activation, gain, nonlinearity_of, pieces
from trainwell.nn.operations import kind_of


def away_from_kinks(*shape: int) -> torch.Tensor:
    x = 1.7 * torch.randn(shape, dtype=torch.float64)
    kink = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    near = (x[..., None] - kink).abs().amin(-1) < 0.05
    return torch.where(near, x + 0.2, x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradient_is_the_finite_difference(name):
    module = activation(name).double().eval()
    x = away_from_kinks(3, 4, 2).requires_grad_()
    if name == "sign":
        with pytest.raises(GradcheckError):  # straight through: wrong on purpose
            torch.autograd.gradcheck(module, (x,))
    else:
        assert torch.autograd.gradcheck(module, (x,))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_and_shapes(name, training):
    module = activation(name).train(training)
    x = torch.randn(5, 4, 3, 2)
    low = copy.deepcopy(module).bfloat16()(x.bfloat16())
    assert low.dtype == torch.bfloat16 and low.shape == (5, 4 // pieces(name), 3, 2)
    if name not in ("sign", "randomized_leaky_relu"):
        assert_close(low.float(), module(x), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_compiled_whole(name):
    module = activation(name)
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend="aot_eager")
    xs = [torch.randn(6, 4).requires_grad_() for _ in range(2)]
    xs[1].data.copy_(xs[0].data)
    ys = []
    for each, x in zip((module, compiled), xs, strict=True):
        torch.manual_seed(1)
        ys.append(each(x))
        ys[-1].pow(3).sum().backward()
    assert_close(ys[1], ys[0])
    assert_close(xs[1].grad, xs[0].grad)
    torch.compiler.reset()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_state_round_trip(name):
    module, other = activation(name), activation(name)
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.7)
    other.load_state_dict(copy.deepcopy(module.state_dict()))
    x = torch.randn(3, 4)
    assert torch.equal(other.eval()(x), module.eval()(x))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_per_sample_gradients_by_torch_func(name):
    module = activation(name).double().eval()
    x = away_from_kinks(6, 4)

    def loss(parameters, sample):
        return functional_call(module, parameters, (sample[None],)).square().sum()

    parameters = {key: value.detach() for key, value in module.named_parameters()}
    each = vmap(grad(loss, argnums=1), (None, 0))(parameters, x)
    leaf = x.clone().requires_grad_()
    module(leaf).square().sum().backward()
    assert_close(each, leaf.grad)
    vmap(lambda sample: module.train()(sample[None]), randomness="different")(x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_tracer_and_theory_know_it(name):
    module = activation(name)
    net = nn.Sequential(nn.Linear(4, 6), module)
    kinds = [layer.kind for layer in trace(net, torch.randn(2, 4))]
    assert kinds == (["linear"] if name == "identity" else ["linear", "activation"])
    assert name == "identity" or kind_of(module) == "activation"
    assert nonlinearity_of(module).name == name
    assert gain(name) == pytest.approx(float(nonlinearity_of(module).second_moment(1.0)) ** -0.5, rel=1e-7)


def test_maxout_takes_the_largest_of_neighbours():
    x = torch.tensor([[1.0, 3.0, -2.0, -5.0]], requires_grad=True)
    y = Maxout()(x)
    assert_close(y, torch.tensor([[3.0, -2.0]]))
    y.sum().backward()
    assert_close(x.grad, torch.tensor([[0.0, 1.0, 1.0, 0.0]]))
    assert Maxout(3)(torch.randn(2, 9, 5)).shape == (2, 3, 5)
    with pytest.raises(ValueError, match=r"pieces=2 do not divide .* shape \(2, 5\)"):
        Maxout()(torch.randn(2, 5))
    with pytest.raises(ValueError, match="pieces=1 leaves nothing"):
        Maxout(1)
    assert pieces("maxout") == 2 and {pieces(name) for name in ACTIVATIONS if name != "maxout"} == {1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sign_lets_the_gradient_through_a_window(dtype):
    x = torch.tensor([-3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 1.01, 1e30], dtype=dtype, requires_grad=True)
    y = SignStraightThrough()(x)
    assert y.tolist() == [-1, -1, -1, 1, 1, 1, 1, 1, 1]
    y.backward(torch.full_like(y, 2.5))
    assert x.grad.tolist() == [0, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 0, 0]


def test_shifted_relu_is_elus_cut():
    x = torch.linspace(-3, 3, 61)
    assert_close(ShiftedReLU()(x), torch.nn.functional.threshold(x, -1.0, -1.0))


def test_randomized_slopes_are_uniform_and_their_mean_in_evaluation():
    module = RandomizedLeakyReLU(0.1, 0.4)
    x = -torch.ones(40_000, dtype=torch.float64)
    slopes = -module(x)
    assert 0.1 <= slopes.min() < 0.101 and 0.399 < slopes.max() <= 0.4
    assert_close(slopes.mean().item(), 0.25, rtol=0, atol=5 * 0.3 / 12**0.5 / 200)
    assert_close(slopes.var().item(), 0.3**2 / 12, rtol=0.03, atol=0)
    assert_close(module.eval()(x), 0.25 * x)
    default = activation("randomized_leaky_relu").eval()
    assert_close(default(x), nn.RReLU().eval()(x))  # torch's bounds
    with pytest.raises(ValueError, match=r"lower=0\.5 and upper=0\.4"):
        RandomizedLeakyReLU(0.5, 0.4)


def test_unknown_elementwise_modules_are_integrated():
    class Twice(nn.Module):
        def forward(self, x):
            return 2 * x.relu()

    found = nonlinearity_of(Twice())
    assert float(found.second_moment(3.0)) == pytest.approx(6.0, rel=1e-6)  # closed form: 4 · q/2
    assert float(found.slope_moment(3.0)) == pytest.approx(2.0, rel=1e-3)
    assert float(found.mean(1.0)) == pytest.approx(2 * 0.398942, rel=1e-5)
    assert nonlinearity_of(nn.Linear(3, 3)) is None
    assert nonlinearity_of(nn.Threshold(50, 0.0)) is None


def test_unknown_names_are_refused():
    for function in (activation, gain, pieces):
        with pytest.raises(InputError, match="Did you mean 'relu'"):
            function("rleu")
