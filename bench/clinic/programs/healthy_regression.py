"""Healthy regressions, autoencoders and tables of embeddings."""

import torch
from enrol import case, healthy
from program import Case, SuiteProgram
from samples import diabetes, digits, friedman, split
from torch import Tensor, nn

PROGRAMS: list[SuiteProgram] = []


@healthy(PROGRAMS, "regression", 0.75, "nothing unusual: a small regression with Adam")
def plain_friedman(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    return case(model, friedman(seed), nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=2e-3), 32, 30)


@healthy(PROGRAMS, "regression", 0.75, "targets of some hundreds, which Adam reaches in the time it has")
def targets_in_hundreds(seed: int) -> Case:
    (x, y), (x_val, y_val) = friedman(seed)
    model = nn.Sequential(nn.Linear(8, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 1))
    parts = (x, 150 * y + 300), (x_val, 150 * y_val + 300)
    return case(model, parts, nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=0.01), 16, 60)


@healthy(PROGRAMS, "regression", 0.35, "half of the variance is noise that no model explains")
def much_noise(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = lambda p: torch.optim.AdamW(p, lr=2e-3, weight_decay=0.1)  # noqa: E731
    return case(model, diabetes(seed), nn.MSELoss(), optimizer, 32, 25)


@healthy(PROGRAMS, "regression", 0.8, "one target in twenty is far off: the Huber loss looks away")
def outliers_huber(seed: int) -> Case:
    (x, y), val = friedman(seed, 1200, 6, 0.3)
    draw = torch.Generator().manual_seed(seed)
    off = torch.rand(len(y), 1, generator=draw) < 0.05
    wild = torch.where(off, y + 8 * torch.randn(y.shape, generator=draw), y)
    model = nn.Sequential(nn.Linear(6, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 1))
    return case(model, ((x, wild), val), nn.HuberLoss(delta=0.5), lambda p: torch.optim.Adam(p, lr=3e-3), 32, 30)


@healthy(PROGRAMS, "regression", 0.85, "targets between 0 and 1, and a sigmoid that keeps the answers there")
def sigmoid_for_shares(seed: int) -> Case:
    (x, y), (x_val, y_val) = friedman(seed, 1000, 5, 0.2)
    model = nn.Sequential(nn.Linear(5, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1), nn.Sigmoid())
    parts = (x, torch.sigmoid(y)), (x_val, torch.sigmoid(y_val))
    return case(model, parts, nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=5e-3), 32, 30)


@healthy(PROGRAMS, "regression", 0.9, "a linear model for a linear question: no hidden layer is needed")
def linear_for_linear(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(800, 20, generator=draw)
    y = x @ torch.randn(20, 1, generator=draw) / 20**0.5 + 0.1 * torch.randn(800, 1, generator=draw)
    return case(nn.Linear(20, 1), split(x, y, seed), nn.MSELoss(), lambda p: torch.optim.SGD(p, lr=0.05), 32, 15)


@healthy(PROGRAMS, "regression", 0.8, "three answers at once, RMSprop, and absolute instead of squared errors")
def three_targets(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1200, 6, generator=draw)
    y = torch.stack([x[:, 0] * x[:, 1], x[:, 2].sin() + x[:, 3], x[:, 4].abs()], 1)
    model = nn.Sequential(nn.Linear(6, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 3))
    return case(model, split(x, y, seed), nn.L1Loss(), lambda p: torch.optim.RMSprop(p, lr=1e-3), 32, 30)


@healthy(PROGRAMS, "regression", 0.75, "features that nearly repeat each other, and Adam that does not mind")
def correlated_features(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(900, 4, generator=draw)
    x = hidden @ torch.randn(4, 16, generator=draw) / 2 + 0.05 * torch.randn(900, 16, generator=draw)
    y = (hidden[:, :1] * 1.5).sin() + 0.5 * hidden[:, 1:2]
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    return case(model, split(x, y, seed), nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=3e-3), 32, 40)


@healthy(PROGRAMS, "regression", 0.7, "an autoencoder whose linear code of twelve numbers follows a linear layer")
def autoencoder_digits(seed: int) -> Case:
    (x, _), (x_val, _) = digits(seed)
    encoder = [nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 12)]
    model = nn.Sequential(*encoder, nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 64), nn.Sigmoid())
    return case(model, ((x, x), (x_val, x_val)), nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=5e-3), 32, 25)


class Tied(nn.Module):
    """x ↦ Wᵀ tanh(W x): one matrix codes and decodes."""

    def __init__(self, inputs: int, code: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(code, inputs) / inputs**0.5)
        self.shift = nn.Parameter(torch.zeros(inputs))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight).tanh() @ self.weight + self.shift


@healthy(PROGRAMS, "regression", 0.7, "an autoencoder with tied weights, and noise on what it sees")
def denoising_tied(seed: int) -> Case:
    (x, _), (x_val, _) = digits(seed)
    noisy = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return case(
        Tied(64, 24), ((noisy, x), (x_val, x_val)), nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=5e-3), 32, 25
    )


class Taste(nn.Module):
    """Product of a user's and a film's vector, with an offset for each; small at first, as usual."""

    def __init__(self, users: int, films: int, size: int) -> None:
        super().__init__()
        self.users, self.films = nn.Embedding(users, size), nn.Embedding(films, size)
        self.user_offset, self.film_offset = nn.Embedding(users, 1), nn.Embedding(films, 1)
        for table in self.children():
            nn.init.normal_(table.weight, std=0.05)

    def forward(self, pair: Tensor) -> Tensor:
        user, film = pair[:, 0], pair[:, 1]
        product = (self.users(user) * self.films(film)).sum(1, keepdim=True)
        return product + self.user_offset(user) + self.film_offset(film)


@healthy(PROGRAMS, "regression", 0.6, "embeddings that start near zero, most of which a batch does not touch")
def film_ratings(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    users, films = torch.randn(40, 3, generator=draw), torch.randn(30, 3, generator=draw)
    pairs = torch.cartesian_prod(torch.arange(40), torch.arange(30))
    y = (users[pairs[:, 0]] * films[pairs[:, 1]]).sum(1, keepdim=True) / 3**0.5
    y = y + 0.3 * torch.randn(len(y), 1, generator=draw)
    return case(
        Taste(40, 30, 6), split(pairs, y, seed, 0.8), nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=0.02), 32, 20
    )


class Mixed(nn.Module):
    """Two categories by embedding, six numbers as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Embedding(8, 4), nn.Embedding(5, 3)
        self.body = nn.Sequential(nn.Linear(13, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, x: Tensor) -> Tensor:
        codes = x[:, :2].long()
        return self.body(torch.cat([self.first(codes[:, 0]), self.second(codes[:, 1]), x[:, 2:]], 1))


@healthy(PROGRAMS, "regression", 0.8, "columns of category numbers among the inputs, which only embeddings read")
def mixed_table(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    codes = torch.stack([torch.randint(0, 8, (1200,), generator=draw), torch.randint(0, 5, (1200,), generator=draw)], 1)
    numbers = torch.randn(1200, 6, generator=draw)
    effect = torch.randn(8, generator=draw)[codes[:, 0]] + torch.randn(5, generator=draw)[codes[:, 1]]
    y = (effect + numbers[:, 0] * (codes[:, 1] == 2) + 0.7 * numbers[:, 1])[:, None]
    parts = split(torch.cat([codes.float(), numbers], 1), y / y.std(), seed)
    return case(Mixed(), parts, nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=5e-3), 32, 30)
