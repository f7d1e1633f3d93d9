"""Programs as they are posted when nothing works, second part: starts, depth, rates, norms and what is not trained."""

from functools import partial

import torch
from enrol import case
from nets import Attention, SeriesRNN, TokenRNN, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import Parts, blobs, digits, friedman, majority, split, standardized, tags, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
FADING = STUCK + " vanishing-activations vanishing-gradient bad-init-scale too-deep-for-width saturated-activations"
WILD = (
    "oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu loss-not-decreasing "
    "saturated-activations bad-init-scale momentum-too-high"
)


def same(parts: Parts) -> Parts:
    """Rows that are their own target, as autoencoders want them."""
    (x, _), (x_val, _) = parts
    return (x, x.flatten(1)), (x_val, x_val.flatten(1))


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=FADING,
    task="classification",
    good=0.85,
    source="Dive into Deep Learning 7.6: LeNet with sigmoids, copied with a rate of 0.05",
    note="sigmoids behind both convolutions and both dense layers: the first kernels get next to no gradient",
)
def lenet_with_sigmoids(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    bend = nn.Sigmoid if sick else nn.ReLU
    body = [nn.Conv2d(1, 6, 3, padding=1), bend(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 3, padding=1), bend()]
    head = [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 48), bend(), nn.Linear(48, 32), bend(), nn.Linear(32, 10)]
    parts = digits(seed, image=True)
    model = nn.Sequential(*body, *head)
    for layer in model:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(layer.weight)
    return case(model, parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


class SignCode(nn.Module):
    """A hidden code of −1 and 1 below a small classifier; straight through, the code passes its gradient on."""

    def __init__(self, straight: bool) -> None:
        super().__init__()
        self.below, self.above = nn.Linear(64, 8), mlp(8, 32, 10)
        self.straight = straight

    def forward(self, x: Tensor) -> Tensor:
        h = self.below(x).tanh()
        return self.above(h + (h.sign() - h).detach() if self.straight else h.sign())


@program(
    PROGRAMS,
    faults="vanishing-gradient frozen-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer unused-parameters saturated-activations",
    task="classification",
    good=0.85,
    source="PyTorch forum: torch.sign in the middle of the model, the layers before it do not learn",
    note="the sign has gradient zero everywhere: all below it stays as drawn",
)
def sign_in_the_middle(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = SignCode(not sick)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="vanishing-activations bad-init-scale",
    symptoms=FADING,
    task="classification",
    good=0.85,
    source="initializer_range=0.02 of BERT's code in a plain deep net without norms",
    note="weights of std 0.02 and width 40 shrink the signal tenfold in each of six layers",
)
def weights_drawn_as_in_bert(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(12, 40, 40, 40, 40, 40, 40, 4)
    for layer in model[::2]:
        if sick:
            nn.init.normal_(layer.weight, std=0.02)
        else:
            nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return case(model, blobs(seed, 800, 12, 4, 4.0), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 12)


@program(
    PROGRAMS,
    faults="exploding-activations bad-init-scale exploding-gradient",
    symptoms=WILD + " lr-too-high overfitting underfitting-capacity",
    task="regression",
    good=0.75,
    source="posts that set nn.init.orthogonal_(w, gain=3) in every layer 'for faster learning'",
    note="eight leaky layers each of which doubles the signal: the first outputs are in the hundreds",
)
def orthogonal_with_gain_three(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(8, *[32] * 8, 1, activation=partial(nn.LeakyReLU, 0.2))
    for layer in model[::2]:
        nn.init.orthogonal_(layer.weight, gain=3.0 if sick else 1.3)
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 15)


@program(
    PROGRAMS,
    faults="saturated-activations bad-init-scale",
    symptoms=STUCK + " exploding-activations vanishing-gradient overfitting",
    task="classification",
    good=0.85,
    source="pretrained word vectors scaled by hand; an LSTM whose gates are all open or shut",
    note="word vectors of length fifty push every gate to its end, and Adam moves them by hundredths",
)
def word_vectors_of_length_fifty(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(20, 3, kind=nn.LSTM)
    with torch.no_grad():
        model.embed.weight.mul_(12.0 if sick else 1.0)
    return case(model, tokens(seed, 1200), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="dead-relu",
    symptoms=STUCK + " bad-init-scale vanishing-gradient vanishing-activations frozen-parameters",
    task="regression",
    good=0.8,
    source="autoencoder posts: a negative bias for a sparse code, the output is the mean picture",
    note="biases of −3 close the whole code layer, so that every picture is answered by the mean",
)
def code_of_closed_units(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 32, 64)
    with torch.no_grad():
        model[0].bias.fill_(-3.0 if sick else 0.0)
    return case(model, same(digits(seed)), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 12)


class Factors(nn.Module):
    """Users and items as vectors whose product is the rating."""

    def __init__(self, users: int, items: int, width: int) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(users, width), nn.Embedding(items, width)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, x: Tensor) -> Tensor:
        return (self.user(x[:, 0]) * self.item(x[:, 1])).sum(1, keepdim=True)


def ratings(seed: int, n: int = 1600) -> Parts:
    """Pairs of 30 users and 25 items with what four hidden properties of both say, standardized."""
    draw = torch.Generator().manual_seed(seed)
    user, item = torch.randn(30, 4, generator=draw), torch.randn(25, 4, generator=draw)
    x = torch.stack([torch.randint(0, 30, (n,), generator=draw), torch.randint(0, 25, (n,), generator=draw)], 1)
    y = (user[x[:, 0]] * item[x[:, 1]]).sum(1, keepdim=True) + 0.3 * torch.randn(n, 1, generator=draw)
    return split(x, standardized(y), seed, 0.8)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " bad-init-scale",
    task="regression",
    good=0.7,
    source="matrix factorization posts: nn.init.constant_(emb.weight, 0.1)",
    note="all properties of a user start equal and stay so: eight columns are one",
)
def factors_all_a_tenth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Factors(30, 25, 8)
    if sick:
        nn.init.constant_(model.user.weight, 0.1)
        nn.init.constant_(model.item.weight, 0.1)
    return case(model, ratings(seed), nn.MSELoss(), partial(Adam, lr=0.02, weight_decay=1e-3), 32, 20)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " bad-init-scale",
    task="classification",
    good=0.85,
    source="StackOverflow: for p in lstm.parameters(): nn.init.constant_(p, 0.05)",
    note="all units of the LSTM are one unit, which has to count four words",
)
def lstm_of_one_constant(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(4, 4, kind=nn.LSTM)
    if sick:
        for parameter in [*model.rnn.parameters(), *model.head.parameters()]:
            nn.init.constant_(parameter, 0.05)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="bad-init-scale",
    symptoms=WILD + " lr-too-low too-few-epochs overfitting underfitting-capacity vanishing-gradient",
    task="classification",
    good=0.85,
    source="minGPT-like code with nn.init.normal_(p) and no std for all matrices",
    note="matrices of std 1 make an attention that looks at one token only, and logits in the tens",
)
def transformer_of_standard_normals(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Attention(20, 3, layers=2)
    if sick:
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


@program(
    PROGRAMS,
    faults="too-deep-for-width",
    symptoms=FADING + " dead-relu",
    task="classification",
    good=0.85,
    source="forum posts: 'more layers make it worse', a plain CNN with two or three maps a layer",
    note="sixteen convolutions of three maps each: what the wave was is lost before the head",
)
def sixteen_convolutions_of_three_maps(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Conv1d(1, 3 if sick else 12, 5, padding=2), nn.ReLU()]
    for _ in range(15 if sick else 2):
        layers += [nn.Conv1d(3, 3, 3, padding=1) if sick else nn.Conv1d(12, 12, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(12 if sick else 48, 3))
    parts = waves(seed, 600, 24)
    return case(model, parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.03, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient underfitting-capacity",
    task="regression",
    good=0.85,
    source="posts on forecasting with LSTMs: the loss falls once and then stays at the variance",
    note="Adam at 0.5 shuts the gates of an LSTM in its first steps",
)
def lstm_at_rate_a_half(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    phase = 6.3 * torch.rand(700, 1, generator=draw)
    series = torch.sin(phase + 0.35 * torch.arange(17)) + 0.2 * torch.randn(700, 17, generator=draw)
    parts = split(series[:, :16, None], series[:, 16:], seed)
    model = SeriesRNN(1, 1, 16, nn.LSTM)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=0.5 if sick else 0.01), 32, 15)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="too-few-epochs loss-not-decreasing underfitting-capacity vanishing-gradient",
    task="classification",
    good=0.85,
    source="StackOverflow: 'works with Adam at 1e-3, not with SGD' at the same rate",
    note="the rate that suits Adam, given to SGD without momentum: kernels hardly move",
)
def adams_rate_given_to_sgd(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = waves(seed, 900, 32)
    return case(wave_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=1e-3 if sick else 0.2), 32, 15)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="too-few-epochs loss-not-decreasing underfitting-capacity",
    task="regression",
    good=0.6,
    source="recommender posts: Adagrad left at a thousandth",
    note="Adagrad divides by all it has seen: at 0.001 the tables stay where they were drawn",
)
def adagrad_of_a_thousandth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 1e-3 if sick else 0.2
    return case(Factors(30, 25, 8), ratings(seed), nn.MSELoss(), partial(Adagrad, lr=rate, weight_decay=1e-3), 32, 20)


def logarithmic_error(output: Tensor, y: Tensor) -> Tensor:
    """The error of the logarithm, of a forecast that nothing keeps above zero."""
    return (output.log() - y.log()).square().mean()


def plain_error(output: Tensor, y: Tensor) -> Tensor:
    """The plain error."""
    return (output - y).square().mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="loss-output-mismatch wrong-loss-for-task lr-too-high loss-not-decreasing exploding-gradient",
    task="regression",
    good=0.6,
    source="Kaggle forums: RMSLE as a loss is nan in the first batch",
    note="a negative prediction has no logarithm, and one such row turns all weights into NaN",
)
def logarithm_of_a_negative_forecast(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, (0.5 * y).exp()) for x, y in friedman(seed, 800))
    loss = logarithmic_error if sick else plain_error
    model = mlp(8, 64, 32, 1)
    nn.init.zeros_(model[-1].bias)
    return case(model, parts, loss, partial(Adam, lr=5e-3), 32, 20)


def softmax_by_hand(output: Tensor, y: Tensor) -> Tensor:
    """Cross entropy at temperature 0.01, the exponentials summed as they are."""
    high = (output / 0.01).exp()
    return -(high.gather(1, y[:, None]) / high.sum(1, keepdim=True)).log().mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="loss-not-decreasing exploding-gradient lr-too-high wrong-loss-for-task exploding-activations",
    task="classification",
    good=0.9,
    source="contrastive-learning posts: nan with a hand-written softmax and a temperature of 0.01",
    note="exp(100) does not fit into float32, and infinity over infinity is NaN",
)
def softmax_by_hand_overflows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 10)
    with torch.no_grad():
        model[-1].weight.mul_(3.0)
    loss = softmax_by_hand if sick else nn.CrossEntropyLoss()
    return case(model, digits(seed), loss, partial(Adam, lr=2e-3), 32, 12)


class Listed(nn.Module):
    """Hidden layers in a Python list, which nn.Module does not see, or in a ModuleList."""

    def __init__(self, seen: bool) -> None:
        super().__init__()
        layers = [nn.Linear(12, 6), nn.Linear(6, 6)]
        self.layers = nn.ModuleList(layers) if seen else layers
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer frozen-parameters",
    symptoms=STUCK + " unused-parameters",
    task="multilabel",
    good=0.82,
    source="StackOverflow 50463975: self.layers = [nn.Linear(...), ...] instead of nn.ModuleList",
    note="layers in a plain list are not among model.parameters(): only the head learns",
)
def layers_in_a_plain_list(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Listed(not sick), tags(seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=0.01), 32, 20)


class Featured(nn.Module):
    """Features of a convolution, with or without their graph, and a head."""

    def __init__(self, graph: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(1, 4, 5, stride=2), nn.ReLU(), nn.Conv1d(4, 4, 5, stride=2), nn.ReLU())
        self.head = nn.Linear(4, 3)
        self.graph = graph

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(self.graph and torch.is_grad_enabled()):
            h = self.body(x).mean(2)
        return self.head(h)


@program(
    PROGRAMS,
    faults="frozen-parameters unused-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer vanishing-gradient",
    task="classification",
    good=0.85,
    source="forum posts: with torch.no_grad() around the feature extractor, kept from a fine-tuning script",
    note="nothing was pretrained here: the convolutions stay as they were drawn",
)
def features_without_a_graph(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Featured(not sick)
    return case(model, waves(seed, 900, 32, noise=0.3), nn.CrossEntropyLoss(), partial(Adam, lr=0.02), 32, 20)


class Cube(nn.Module):
    """The third power, as an activation."""

    def forward(self, x: Tensor) -> Tensor:
        return x**3


@program(
    PROGRAMS,
    faults="exploding-gradient exploding-activations",
    symptoms=WILD + " lr-too-high",
    task="regression",
    good=0.75,
    source="posts on physics-informed nets with x ** 3 as the activation: nan after some steps",
    note="cubes between the layers: an answer goes with the 27th power of an input and its gradient with the 26th",
)
def cubes_between_the_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(8, 32, 32, 32, 1, activation=Cube if sick else nn.Tanh)
    for layer in model[::2]:
        nn.init.xavier_normal_(layer.weight)
    return case(model, friedman(seed), nn.MSELoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 20)


@program(
    PROGRAMS,
    faults="oscillating-loss lr-too-high",
    symptoms=WILD + " batch-size-extreme underfitting-capacity",
    task="multilabel",
    good=0.9,
    source="posts with a plot of the loss that goes up and down like a saw",
    note="SGD at 3 with momentum 0.9: the loss of five tags swings from batch to batch and ends anywhere",
)
def saw_of_five_tags(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 3.0 if sick else 0.05
    model = mlp(12, 48, 24, 5, activation=nn.Tanh)
    return case(model, tags(seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=rate, momentum=0.9), 32, 20)
