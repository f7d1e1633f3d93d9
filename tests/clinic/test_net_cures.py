import pytest
import torch
from net_programs import Functional, Raw, digits, make, mlp, program
from torch import nn
from torch.testing import assert_close

from trainwell.clinic.cures.activations import Exchanged, exchange_activations, insert_activations
from trainwell.clinic.cures.initialization import redraw, zero_biases
from trainwell.clinic.cures.normalization import hidden_layers, normalize_layers
from trainwell.clinic.cures.optimizer_parameters import plain_lists, register_lists, train_everything, unfreeze
from trainwell.clinic.cures.shortcuts import Shortcut, add_shortcuts, keeping
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import Adjusted, EveryParameter, built, parameters_covered, private
from trainwell.clinic.subject import Subject
from trainwell.training.rebuilt_optimizer import Rebuilt, moved_to


def subject_of(given) -> Subject:
    return Subject(given, Meter(300))


def test_redrawn_layers_have_kaimings_spread_and_others_stay():
    subject = subject_of(make("tiny_mlp"))
    model = redraw(subject, paths=["0", "2"]).apply(subject.fresh()).model
    assert_close(model[0].weight.std().item(), (2 / 64) ** 0.5, rtol=0.1, atol=0)
    assert torch.equal(model[4].weight, subject.program.model[4].weight)


def test_redrawing_is_the_same_each_time_and_leaves_torchs_generator():
    subject = subject_of(make("exploding_rnn"))
    state = torch.get_rng_state()
    a, b = (redraw(subject).apply(subject.fresh()).model for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert a.rnn.weight_hh_l0.abs().max() <= 24**-0.5


def test_own_matrices_at_zero_are_drawn():
    subject = subject_of(program(Raw(0.0), digits(0)))
    assert redraw(subject).apply(subject.fresh()).model.w1.std() > 0.1


def test_biases_at_zero():
    subject = subject_of(make("negative_biases"))
    model = zero_biases(subject, ["0", "2"]).apply(subject.fresh()).model
    assert not model[0].bias.any() and not model[2].bias.any() and model[4].bias.any()


def test_exchanged_functions_are_those_between_layers_only():
    torch.manual_seed(0)
    net = Functional(2, torch.sigmoid)
    subject = subject_of(program(net, digits(0)))
    model = exchange_activations(subject, ["Sigmoid"], redraw=False).apply(subject.fresh()).model
    assert isinstance(model, Exchanged) and model.places == (0, 1, 2)
    x = torch.rand(4, 64)
    h = torch.relu(net.start(x))
    for layer in net.layers:
        h = torch.relu(layer(h))
    assert_close(model(x), net.end(h))


def test_modules_are_replaced_and_the_head_is_left():
    net = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10), nn.Tanh())
    subject = subject_of(program(net, digits(0)))
    model = exchange_activations(subject, ["Tanh"]).apply(subject.fresh()).model
    assert [type(layer) for layer in model] == [nn.Linear, nn.ReLU, nn.Linear, nn.Tanh]


def test_gates_are_left():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(64, 8), nn.Linear(64, 8), nn.Linear(8, 10)

        def forward(self, x):
            return self.c(torch.sigmoid(self.a(x)) * self.b(x))

    subject = subject_of(program(Gated(), digits(0)))
    assert exchange_activations(subject, ["Sigmoid"]).changes == ()


@pytest.mark.parametrize("small", [False, True])
def test_normalization_behind_hidden_layers(small):
    subject = subject_of(program(mlp(64, 16, 16, 10), digits(0), batch_size=4 if small else 32))
    assert hidden_layers(subject) == ["0", "2"]
    model = normalize_layers(subject, ["0", "2"]).apply(subject.fresh()).model
    z = model[0](torch.randn(50, 64))
    axis = 1 if isinstance(model[0][1], nn.LayerNorm) else 0
    assert_close(z.mean(axis).abs().max().item(), 0.0, atol=1e-5, rtol=0)


def test_shortcuts_add_the_input():
    subject = subject_of(program(mlp(64, 16, 16, 16, 10), digits(0)))
    assert keeping(subject) == ["2", "4"]
    model = add_shortcuts(subject, ["2", "4"], redraw=False).apply(subject.fresh()).model
    x = torch.randn(3, 16)
    assert isinstance(model[2], Shortcut)
    assert_close(model[2](x), x + 2**-0.5 * subject.program.model[2](x))


def test_lists_become_known_and_every_parameter_moves():
    torch.manual_seed(0)
    given = program(Functional(2, torch.tanh, plain=True), digits(0))
    subject = subject_of(given)
    assert list(plain_lists(given.model)) == ["layers"] and plain_lists(mlp(4, 4, 4)) == {}
    cured = register_lists(["layers"]).apply(subject.fresh())
    assert "layers.1.weight" in parameters_covered(cured)


def test_unfreezing_reaches_an_optimizer_that_was_built_of_the_rest():
    given = make("frozen_embedding")
    subject = subject_of(given)
    frozen = [name for name, p in subject.program.model.named_parameters() if not p.requires_grad]
    cured = unfreeze(frozen).apply(subject.fresh())
    assert parameters_covered(cured) == {name for name, _ in given.model.named_parameters()}


def test_missing_parameters_get_the_first_groups_settings():
    net = mlp(64, 8, 10)
    given = program(net, digits(0), optimizer=torch.optim.SGD(net[-1].parameters(), lr=0.3, momentum=0.5))
    subject = subject_of(given)
    optimizer = built(train_everything(subject, ["0.weight", "0.bias"]).apply(subject.fresh()))
    (group,) = optimizer.param_groups
    assert len(group["params"]) == 4 and group["lr"] == 0.3 and group["momentum"] == 0.5


def test_wrapped_modules_stay_in_their_groups():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    groups = [{"params": net[0].parameters(), "lr": 0.1}, {"params": net[1].parameters(), "lr": 0.01}]
    make_it = Rebuilt(torch.optim.SGD(groups, lr=1.0), net)
    wrapped = nn.Sequential(nn.Sequential(net[0], nn.BatchNorm1d(4)), net[1])
    first, second = make_it(wrapped).param_groups
    assert first["lr"] == 0.1 and len(first["params"]) == 4  # and the new scale and shift
    assert second["lr"] == 0.01 and second["params"][0] is net[1].weight
    outer = nn.Sequential(nn.Identity(), net)
    assert make_it(outer).param_groups[1]["params"][0] is net[1].weight


def test_moved_names():
    assert moved_to("fc.weight", (2, 2), {"fc.0.weight": (2, 2)}) == "fc.0.weight"
    assert moved_to("fc.weight", (2, 2), {"fc.0.weight": (3, 2)}) is None


def test_an_optimizer_that_takes_the_models_parameters_by_itself_moves_the_copy():
    net = mlp(64, 8, 10)
    given = program(net, digits(0), optimizer=lambda p: torch.optim.SGD(net.parameters(), lr=0.1))
    copied = private(given)
    assert len(parameters_covered(copied)) == 4
    assert len(copied.optimizer(copied.model.parameters()).param_groups[0]["params"]) == 4  # as a plain callable


def test_every_parameter_takes_parameters_or_the_model():
    net = mlp(64, 8, 10)
    make_it = EveryParameter(Adjusted(lambda p: torch.optim.SGD([next(iter(p))], lr=0.1), lr=0.2))
    for given in (net, net.parameters()):
        assert len(make_it(given).param_groups[0]["params"]) == 4


def test_inserted_activations_stand_behind_their_layers():
    subject = subject_of(program(nn.Sequential(nn.Linear(64, 8), nn.Linear(8, 10)), digits(0)))
    model = insert_activations(subject, ["0"]).apply(subject.fresh()).model
    assert bool((model[0](torch.randn(9, 64)) >= 0).all())
