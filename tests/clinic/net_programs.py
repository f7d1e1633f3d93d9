"""Small programs with one known sickness of the net or its start each, and healthy ones that look alike."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from trainwell.training.program import Program

SICK: dict[str, tuple[Callable[[int], Program], set[str]]] = {}
HEALTHY: dict[str, Callable[[int], Program]] = {}


def sick(*codes):
    return lambda make: SICK.setdefault(make.__name__, (make, set(codes))) and make


def healthy(make):
    HEALTHY[make.__name__] = make
    return make


def digits(seed: int, images: bool = False):
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:1200]
    x, y = x[order], y[order]
    x = x.view(-1, 1, 8, 8) if images else x
    return (x[:900], y[:900]), (x[900:], y[900:])


def friedman(seed: int):
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(1000, 8, generator=g)
    y = 10 * torch.sin(3.14 * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    x, y = (x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None]
    return (x[:750], y[:750]), (x[750:], y[750:])


def tokens(seed: int, length: int = 10):
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 20, (1000, length), generator=g)
    good, bad = (x < 7).sum(1), (x >= 13).sum(1)
    y = torch.where(good > bad, 2, torch.where(good < bad, 0, 1))
    return (x[:750], y[:750]), (x[750:], y[750:])


def waves(seed: int, length: int = 20):
    """Sequences (N, T, 2) whose class is the sign of the mean of their first channel."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(900, length, 2, generator=g)
    y = (x[..., 0].mean(1) > 0).long()
    return (x[:650], y[:650]), (x[650:], y[650:])


def program(model: nn.Module, data, *, lr: float = 3e-3, adam: bool = True, **fields) -> Program:
    method = torch.optim.Adam if adam else torch.optim.SGD
    kind = nn.CrossEntropyLoss() if data[0][1].dtype == torch.int64 else nn.MSELoss()
    options = {} if adam else {"momentum": 0.9}
    fields.setdefault("optimizer", lambda p: method(p, lr=lr, **options))
    return Program(model=model, train=data[0], val=data[1], loss=kind, **{"epochs": 12, **fields})


def mlp(*widths: int, act: Callable[[], nn.Module] = nn.ReLU, norm: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths[:-1]):
        layers += [nn.Linear(a, b), *([nn.BatchNorm1d(b)] if norm else []), act()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def drawn(model: nn.Module, std: float) -> nn.Module:
    for p in model.parameters():
        if p.dim() > 1:
            nn.init.normal_(p, std=std)
    return model


class Cnn(nn.Module):
    def __init__(self, norm: bool = False):
        super().__init__()
        self.conv1, self.conv2, self.fc = (
            nn.Conv2d(1, 8, 3, padding=1),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.Linear(64, 10),
        )
        self.bn1, self.bn2 = (nn.BatchNorm2d(8), nn.BatchNorm2d(16)) if norm else (nn.Identity(), nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        return self.fc(x.flatten(1))


class Tagger(nn.Module):
    def __init__(self, kind: type[nn.RNNBase] = nn.GRU):
        super().__init__()
        self.embed, self.rnn, self.fc = nn.Embedding(20, 8), kind(8, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(self.embed(x))[0][:, -1])


class Wave(nn.Module):
    def __init__(self, kind: type[nn.RNNBase] = nn.RNN):
        super().__init__()
        self.rnn, self.fc = kind(2, 24, batch_first=True), nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(x)[0][:, -1])


class Transformer(nn.Module):
    def __init__(self, std: float | None = None):
        super().__init__()
        self.embed, self.place = nn.Embedding(20, 24), nn.Parameter(0.02 * torch.randn(10, 24))
        layer = nn.TransformerEncoderLayer(24, 3, 48, dropout=0.1, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 3))
        if std is not None:
            drawn(self, std)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(self.embed(x) + self.place).mean(1))


class Residual(nn.Module):
    """Blocks x + W₂ relu(W₁ x), the last weight of each at zero, or not."""

    def __init__(self, depth: int, zero: bool):
        super().__init__()
        self.start, self.end = nn.Linear(64, 48), nn.Linear(48, 10)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 48)) for _ in range(depth)
        )
        for block in self.blocks:
            if zero:
                nn.init.zeros_(block[2].weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x)
        for block in self.blocks:
            x = x + block(x)
        return self.end(x)


class Functional(nn.Module):
    """Layers in a list, an activation that is a function."""

    def __init__(self, depth: int, act: Callable[[Tensor], Tensor], plain: bool = False, idle: bool = False):
        super().__init__()
        layers = [nn.Linear(48, 48) for _ in range(depth)]
        self.start, self.end, self.act = nn.Linear(64, 48), nn.Linear(48, 10), act
        self.layers = layers if plain else nn.ModuleList(layers)
        self.idle = nn.Linear(48, 48) if idle else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.start(x))
        for layer in self.layers:
            x = self.act(layer(x))
        return self.end(x)


@sick("symmetric-init")
def all_zero_mlp(seed):
    model = mlp(64, 32, 10)
    for p in model.parameters():
        nn.init.zeros_(p)
    return program(model, digits(seed))


@sick("symmetric-init")
def constant_mlp(seed):
    model = mlp(64, 48, 32, 10, act=nn.Tanh)
    for p in model.parameters():
        nn.init.constant_(p, 0.1)
    return program(model, digits(seed))


@sick("symmetric-init")
def constant_cnn(seed):
    model = Cnn()
    for p in model.parameters():
        nn.init.constant_(p, 0.05)
    return program(model, digits(seed, images=True))


@sick("symmetric-init")
def constant_gru(seed):
    model = Wave(nn.GRU)
    for p in model.parameters():
        nn.init.constant_(p, 0.1)
    return program(model, waves(seed))


class Raw(nn.Module):
    """Matrices of its own."""

    def __init__(self, std: float):
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.randn(64, 32) * std), nn.Parameter(torch.randn(32, 10) * std)
        self.b = nn.Parameter(torch.zeros(32))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x @ self.w1 + self.b) @ self.w2


@sick("symmetric-init")
def own_matrices_at_zero(seed):
    return program(Raw(0.0), digits(seed))


@healthy
def own_matrices(seed):
    return program(Raw(0.1), digits(seed))


@sick("bad-init-scale")
def unit_normal_mlp(seed):
    return program(drawn(mlp(64, 64, 64, 64, 10), 1.0), digits(seed), lr=1e-3)


@sick("bad-init-scale")
def tiny_mlp(seed):
    return program(drawn(mlp(64, 48, 48, 48, 10), 1e-4), digits(seed), lr=0.05, adam=False)


@sick("bad-init-scale")
def tiny_cnn(seed):
    return program(drawn(Cnn(), 1e-4), digits(seed, images=True), lr=0.02, adam=False)


@sick("bad-init-scale", "saturated-activations")
def unit_normal_tanh(seed):
    return program(drawn(mlp(64, 100, 100, 100, 10, act=nn.Tanh), 1.0), digits(seed), lr=1e-3)


@sick("bad-init-scale", "saturated-activations", "exploding-gradient")
def exploding_rnn(seed):
    model = Wave()
    nn.init.normal_(model.rnn.weight_hh_l0, std=2.0)
    return program(model, waves(seed))


@sick("vanishing-gradient")
def deep_sigmoid(seed):
    return program(mlp(64, *[48] * 6, 10, act=nn.Sigmoid), digits(seed), lr=0.03, adam=False, epochs=25)


@sick("vanishing-gradient")
def deep_sigmoid_function(seed):
    return program(Functional(5, torch.sigmoid), digits(seed), lr=1e-3)


@sick("vanishing-gradient", "too-deep-for-width", "vanishing-activations")
def deep_relu(seed):
    return program(mlp(64, *[48] * 20, 10), digits(seed), lr=1e-3)


@sick("vanishing-gradient")
def deep_tanh(seed):
    return program(mlp(64, *[32] * 25, 10, act=nn.Tanh), digits(seed), lr=0.005, adam=False)


@sick("too-deep-for-width", "vanishing-gradient")
def narrow_deep_relu(seed):
    return program(mlp(64, *[10] * 25, 10), digits(seed))


@sick("dead-relu")
def negative_biases(seed):
    model = mlp(64, 48, 48, 10)
    for layer in (model[0], model[2]):
        nn.init.constant_(layer.bias, -3.0)
    return program(model, digits(seed))


@sick("dead-relu")
def negative_biases_cnn(seed):
    model = Cnn()
    nn.init.constant_(model.conv2.bias, -4.0)
    return program(model, digits(seed, images=True))


@sick("parameters-not-in-optimizer")
def head_only(seed):
    model = Tagger()
    return program(model, tokens(seed), optimizer=torch.optim.Adam(model.fc.parameters(), lr=0.01), epochs=25)


@sick("parameters-not-in-optimizer")
def optimizer_of_another_model(seed):
    old = mlp(64, 48, 10)
    return program(mlp(64, 48, 10), digits(seed), optimizer=torch.optim.Adam(old.parameters(), lr=3e-3))


@sick("parameters-not-in-optimizer", "unused-parameters")
def layers_in_a_plain_list(seed):
    torch.manual_seed(seed)
    model = Functional(4, torch.tanh, plain=True)
    return program(model, digits(seed), lr=1e-3, epochs=6)


@sick("frozen-parameters")
def frozen_random_cnn(seed):
    model = Cnn()
    for layer in (model.conv1, model.conv2):
        layer.requires_grad_(False)
    return program(model, digits(seed, images=True))


@sick("frozen-parameters")
def frozen_embedding(seed):
    model = Tagger()
    model.embed.requires_grad_(False)
    model.rnn.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    return program(model, tokens(seed), optimizer=optimizer, epochs=25)


@sick("frozen-parameters")
def frozen_everything(seed):
    return program(mlp(64, 32, 10).requires_grad_(False), digits(seed))


@sick("missing-nonlinearity")
def linear_regression_in_layers(seed):
    return program(nn.Sequential(nn.Linear(8, 48), nn.Linear(48, 48), nn.Linear(48, 1)), friedman(seed), epochs=30)


@sick("missing-nonlinearity")
def function_without_activation(seed):
    return program(Functional(2, lambda x: x), rings(seed), epochs=30)


def rings(seed: int):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(900, 64, generator=g)
    x[:, 2:] *= 0.05
    y = (x[:, :2].norm(dim=1) > 1.18).long()
    return (x[:650], y[:650]), (x[650:], y[650:])


@healthy
def shallow_sigmoid(seed):
    return program(mlp(64, 48, 10, act=nn.Sigmoid), digits(seed), lr=0.01)


@healthy
def two_tanh(seed):
    return program(mlp(64, 48, 48, 10, act=nn.Tanh), digits(seed))


@healthy
def four_relu(seed):
    return program(mlp(64, 64, 64, 64, 64, 10), digits(seed))


@healthy
def low_rank(seed):
    return program(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 12), nn.Linear(12, 64), nn.ReLU(),
                                 nn.Linear(64, 10)), digits(seed))  # fmt: skip


@healthy
def linear_in_factors(seed):
    return program(nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 10)), digits(seed))


@healthy
def random_features(seed):
    model = mlp(64, 600, 10)
    model[0].requires_grad_(False)
    return program(model, digits(seed), lr=0.01)


@healthy
def large_weights_before_batch_norm(seed):
    return program(drawn(mlp(64, 48, 48, 10, norm=True), 0.3), digits(seed))


@healthy
def cnn_with_norms(seed):
    return program(Cnn(norm=True), digits(seed, images=True))


@healthy
def residual_zero(seed):
    return program(Residual(8, zero=True), digits(seed), lr=1e-3)


@healthy
def residual(seed):
    return program(Residual(8, zero=False), digits(seed), lr=1e-3)


@healthy
def zero_head(seed):
    model = mlp(64, 64, 10)
    nn.init.zeros_(model[-1].weight)
    return program(model, digits(seed))


@healthy
def transformer(seed):
    def warm(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 50))

    return program(Transformer(), tokens(seed), epochs=25, scheduler=warm)


@healthy
def small_start_transformer(seed):
    return program(Transformer(std=0.02), tokens(seed), epochs=25)


@healthy
def gru(seed):
    return program(Tagger(), tokens(seed), lr=0.01, epochs=25)


@healthy
def lstm_orthogonal(seed):
    model = Wave(nn.LSTM)
    nn.init.orthogonal_(model.rnn.weight_hh_l0)
    return program(model, waves(seed), lr=0.01)


@healthy
def autoencoder(seed):
    (x, _), (v, _) = digits(seed)
    return program(mlp(64, 32, 12, 32, 64), ((x, x), (v, v)), epochs=25)


@healthy
def layer_never_used(seed):
    torch.manual_seed(seed)
    return program(Functional(1, torch.relu, idle=True), digits(seed))


@healthy
def user_takes_parameters_from_the_model(seed):
    model = mlp(64, 48, 10)
    return program(model, digits(seed), optimizer=lambda p: torch.optim.Adam(model.parameters(), lr=3e-3))


def make(name: str, seed: int = 0) -> Program:
    """The program of this name; its weights are drawn from the seed, torch's generator stays as it was."""
    build = SICK[name][0] if name in SICK else HEALTHY[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(seed)
