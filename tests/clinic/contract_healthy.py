"""Healthy programs that look like sick ones."""

import torch
from contract_parts import (
    Attentive,
    Functional,
    Listener,
    Tagger,
    cancer,
    ce,
    cnn,
    curve,
    digits,
    digits_mlp,
    healthy,
    mlp,
    picture,
    program,
    several_labels,
    standard,
    tokens,
    waves,
    wine,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from trainwell.training.program import Program


@healthy
def plain_digits(seed: int) -> Program:
    return digits_mlp(seed)


@healthy
def plain_cnn(seed: int) -> Program:
    return program(seed, picture(digits(seed)), cnn, nn.CrossEntropyLoss(label_smoothing=0.1), "classification")


@healthy
def levels_behind_batchnorm(seed: int) -> Program:
    x, y = picture(digits(seed))
    model = lambda: nn.Sequential(nn.BatchNorm2d(1), cnn())  # noqa: E731
    return program(seed, (255 * x, y), model, ce(), "classification")


@healthy
def sigmoid_and_bce(seed: int) -> Program:
    return program(seed, cancer(seed), lambda: mlp(30, 16, 1, end=nn.Sigmoid()), nn.BCELoss(), "binary")


@healthy
def log_softmax_and_nll(seed: int) -> Program:
    model = lambda: mlp(64, 32, 10, end=nn.LogSoftmax(dim=1))  # noqa: E731
    return digits_mlp(seed, model=model, loss=nn.NLLLoss())


@healthy
def log_softmax_and_cross_entropy(seed: int) -> Program:
    return digits_mlp(seed, model=lambda: mlp(64, 32, 10, end=nn.LogSoftmax(dim=1)))


@healthy
def softmax_and_squared_error_of_rows(seed: int) -> Program:
    x, y = digits(seed)
    data = (x, F.one_hot(y, 10).float())
    model = lambda: mlp(64, 32, 10, end=nn.Softmax(dim=1))  # noqa: E731
    return program(seed, data, model, nn.MSELoss(), "classification")


@healthy
def squared_error_of_rows(seed: int) -> Program:
    x, y = digits(seed)
    return program(seed, (x, F.one_hot(y, 10).float()), lambda: mlp(64, 32, 10), nn.MSELoss(), "classification")


@healthy
def softmax_and_nll_in_a_lambda(seed: int) -> Program:
    model = lambda: mlp(64, 32, 10, end=nn.Softmax(dim=1))  # noqa: E731
    return digits_mlp(seed, model=model, loss=lambda p, y: F.nll_loss(torch.log(p + 1e-8), y))


@healthy
def soft_targets(seed: int) -> Program:
    x, y = digits(seed)
    return digits_mlp(seed, data=(x, 0.9 * F.one_hot(y, 10).float() + 0.01))


@healthy
def several_sigmoids_of_one_class(seed: int) -> Program:
    x, y = digits(seed)
    data = (x, F.one_hot(y, 10).float())
    return program(seed, data, lambda: mlp(64, 32, 10), nn.BCEWithLogitsLoss(), "classification")


@healthy
def labels_of_several(seed: int) -> Program:
    return program(seed, several_labels(seed), lambda: mlp(12, 32, 5), nn.BCEWithLogitsLoss(), "multilabel")


@healthy
def regression_by_net(seed: int) -> Program:
    return program(seed, curve(seed), lambda: mlp(6, 64, 64, 1), nn.MSELoss(), "regression", epochs=40)


@healthy
def squeezed_in_the_loss(seed: int) -> Program:
    x, y = curve(seed)
    loss = lambda output, y: F.mse_loss(output.squeeze(1), y)  # noqa: E731
    return program(seed, (x, y[:, 0]), lambda: mlp(6, 64, 64, 1), loss, "regression", epochs=40)


@healthy
def softplus_for_positive_targets(seed: int) -> Program:
    x, y = curve(seed)
    return program(seed, (x, (y - y.min()) / 2), lambda: mlp(6, 64, 1, end=nn.Softplus()), nn.MSELoss(), "regression")


@healthy
def autoencoder(seed: int) -> Program:
    x = digits(seed)[0]
    return program(seed, (x, x), lambda: mlp(64, 32, 64, end=nn.Sigmoid()), nn.MSELoss(), "reconstruction", epochs=30)


@healthy
def words(seed: int) -> Program:
    return program(seed, tokens(seed), Tagger, ce(), "classification", lr=0.01, epochs=30)


@healthy
def attention_over_words(seed: int) -> Program:
    return program(seed, tokens(seed), Attentive, ce(), "classification")


@healthy
def bag_of_words(seed: int) -> Program:
    x, y = tokens(seed)
    return program(seed, (F.one_hot(x, 20).sum(1).float(), y), lambda: mlp(20, 16, 3), ce(), "classification")


@healthy
def heavy_tails(seed: int) -> Program:
    x, y = curve(seed)
    tailed = torch.sign(x) * x.abs() ** 2.5
    return program(seed, (standard(tailed), torch.tanh(y)), lambda: mlp(6, 32, 1), nn.MSELoss(), "regression")


@healthy
def standardized_cancer_sgd(seed: int) -> Program:
    return program(seed, cancer(seed), lambda: mlp(30, 16, 1), nn.BCEWithLogitsLoss(), "binary", sgd=0.1)


@healthy
def random_order_without_shuffle(seed: int) -> Program:
    return digits_mlp(seed, shuffle=False)


@healthy
def loader_in_random_order(seed: int) -> Program:
    x, y = waves(seed)
    loader = DataLoader(TensorDataset(x[:400], y[:400]), batch_size=32, shuffle=True)
    return program(seed, (x, y), lambda: Listener(2), ce(), "classification", train=loader)


@healthy
def flags_that_repeat(seed: int) -> Program:
    x = torch.randint(0, 2, (600, 6), generator=torch.Generator().manual_seed(seed)).float()
    y = (x.sum(1) > 3).long()
    return program(seed, (x, y), lambda: mlp(6, 16, 2), ce(), "classification")


@healthy
def exclusive_or(seed: int) -> Program:
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    given = {"train": (x, y), "val": (x, y), "batch_size": 4, "epochs": 400}
    return program(seed, (x, y), lambda: mlp(2, 16, 1), nn.BCEWithLogitsLoss(), "binary", lr=0.05, **given)


@healthy
def rare_class_learned(seed: int) -> Program:
    generator = torch.Generator().manual_seed(seed)
    y = (torch.arange(1200) % 10 == 0).long()[torch.randperm(1200, generator=generator)]
    x = torch.randn(1200, 8, generator=generator) + 2.5 * y[:, None]
    return program(seed, (x, y), lambda: mlp(8, 16, 2), ce(), "classification")


@healthy
def rare_class_oversampled(seed: int) -> Program:
    generator = torch.Generator().manual_seed(seed)
    y = (torch.arange(900) % 10 == 0).long()
    x = torch.randn(900, 8, generator=generator) + 2.0 * y[:, None]
    rows = torch.cat([torch.arange(630), (y[:630] == 1).nonzero().flatten().repeat(8)])
    train = (x[rows], y[rows])
    return program(seed, (x, y), lambda: mlp(8, 16, 2), ce(), "classification", train=train)


@healthy
def labels_below_the_outputs(seed: int) -> Program:
    x, y = wine(seed)
    return program(seed, (x, y + 1), lambda: mlp(13, 16, 5), ce(), "classification")


@healthy
def scaled_cosines(seed: int) -> Program:
    model = lambda: Functional(mlp(64, 32, 10), lambda z: 15 * torch.tanh(z / 5))  # noqa: E731
    return digits_mlp(seed, model=model)


@healthy
def hinge_of_signs(seed: int) -> Program:
    x, y = cancer(seed)
    loss = lambda output, y: (1 - y * output).clamp(min=0).mean()  # noqa: E731
    return program(seed, (x, 2 * y - 1), lambda: mlp(30, 16, 1), loss, "binary")


@healthy
def two_results(seed: int) -> Program:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(64, 32, 10)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.body(x), x

    return digits_mlp(seed, model=Both, loss=lambda output, y: F.cross_entropy(output[0], y))


@healthy
def windows_of_a_series(seed: int) -> Program:
    t = torch.arange(1000.0)
    series = torch.sin(t / 7) + 0.5 * torch.sin(t / 3.1 + seed)
    x, y = series.unfold(0, 12, 1)[:-1, :, None], series[12:, None]
    return program(seed, (x.contiguous(), y), Listener, nn.MSELoss(), "regression", lr=0.01, shuffle=False)
