"""Classifiers with two independent causes: mending one of them is not enough."""

from dataclasses import replace

import torch
from enrol import case
from program import Case, SuiteProgram, two_causes
from samples import blobs, digits, majority, tokens, waves, wine
from torch import Tensor, nn

PROGRAMS: list[SuiteProgram] = []


@two_causes(
    PROGRAMS,
    task="classification",
    causes="input-not-normalized too-few-epochs",
    symptoms="lr-too-low loss-not-decreasing ill-conditioned-features lr-too-high dead-relu exploding-activations "
    "oscillating-loss exploding-gradient saturated-activations batch-size-extreme",
    good=0.88,
    note="wine in its own units, proline in hundreds, and two epochs for a rate that needs many",
    source="StackOverflow 41488279 (raw columns) and 37232782 (stopped too early)",
)
def double_raw_wine_cut_short(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    parts = wine(seed, raw="input-not-normalized" in left)
    model = nn.Sequential(nn.Linear(13, 24), nn.ReLU(), nn.Linear(24, 3))
    epochs = 2 if "too-few-epochs" in left else 60
    return case(model, parts, nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=0.02), 32, epochs)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="loss-output-mismatch dropout-too-high",
    symptoms="lr-too-low too-few-epochs loss-not-decreasing vanishing-gradient bn-train-eval-mismatch "
    "underfitting-capacity input-constant-feature oscillating-loss wrong-loss-for-task",
    good=0.88,
    note="softmax before cross entropy, and dropout of 95 % where somebody meant to keep 95 %",
    source="StackOverflow 50485506 (softmax twice) and 'keep_prob' against 'p' in ported TensorFlow code",
)
def double_softmax_and_keep_prob(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    drop = nn.Dropout(0.95 if "dropout-too-high" in left else 0.05)
    layers: list[nn.Module] = [nn.Linear(64, 48), nn.ReLU(), drop, nn.Linear(48, 10)]
    layers += [nn.Softmax(dim=1)] if "loss-output-mismatch" in left else []
    optimizer = lambda p: torch.optim.SGD(p, lr=0.1)  # noqa: E731
    return case(nn.Sequential(*layers), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 20)


@two_causes(
    PROGRAMS,
    task="binary",
    causes="class-imbalance lr-too-low",
    symptoms="loss-not-decreasing too-few-epochs batch-size-extreme underfitting-capacity",
    good=0.72,
    note="one sample in thirty is positive and no weight tells of it; the rate is a hundredth of a usual one",
    source="Buda et al. 2018, and rates copied from fine-tuning recipes",
)
def double_rare_and_slow(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = blobs(seed, 2400, 6, 30, 2.2)
    weight = torch.tensor(1.0 if "class-imbalance" in left else 29.0)
    rate = 3e-5 if "lr-too-low" in left else 5e-3
    parts = (x, (y == 0).float()[:, None]), (x_val, (y_val == 0).float()[:, None])
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
    loss = nn.BCEWithLogitsLoss(pos_weight=weight)
    return case(model, parts, loss, lambda p: torch.optim.Adam(p, lr=rate), 64, 10)


PROGRAMS[-1] = replace(PROGRAMS[-1], metric="balanced")


@two_causes(
    PROGRAMS,
    task="classification",
    causes="unshuffled-data weight-decay-too-high",
    symptoms="oscillating-loss loss-not-decreasing lr-too-high vanishing-activations overfitting momentum-too-high "
    "input-constant-feature vanishing-gradient underfitting-capacity too-few-epochs dead-relu",
    good=0.88,
    note="digits in the order of their classes, unshuffled, and a weight decay of 0.3 in SGD",
    source="StackOverflow 44788133 (sorted folders) and 48713335 (decay of 0.1 and more)",
)
def double_sorted_and_decayed(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    order = y.argsort(stable=True)
    decay = 0.3 if "weight-decay-too-high" in left else 1e-4
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
    optimizer = lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=decay)  # noqa: E731
    shuffle = "unshuffled-data" not in left
    return case(model, ((x[order], y[order]), val), nn.CrossEntropyLoss(), optimizer, 32, 15, shuffle=shuffle)


class Tagger(nn.Module):
    """Words, read by a GRU; the last state answers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.cell, self.out = nn.Embedding(20, 8), nn.GRU(8, 14, batch_first=True), nn.Linear(14, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(self.embed(x))[0][:, -1])


@two_causes(
    PROGRAMS,
    task="classification",
    causes="parameters-not-in-optimizer too-few-epochs",
    symptoms="frozen-parameters underfitting-capacity loss-not-decreasing unused-parameters lr-too-low",
    good=0.85,
    note="the optimizer knows the last layer alone, and two epochs are not enough for the rest either",
    source="fine-tuning scripts (model.fc.parameters()) shortened for a demonstration",
)
def double_head_only_demo(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = Tagger()
    known = model.out if "parameters-not-in-optimizer" in left else model
    epochs = 2 if "too-few-epochs" in left else 20
    optimizer = torch.optim.Adam(known.parameters(), lr=0.01)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), optimizer, 32, epochs)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="label-out-of-range lr-too-high",
    symptoms="loss-output-mismatch program-crashes nonfinite-loss oscillating-loss loss-not-decreasing "
    "exploding-gradient exploding-activations dead-relu saturated-activations momentum-too-high",
    good=0.85,
    note="classes 1 to 4 for four outputs; after that is mended, Adam at 0.3 wrecks the transformer",
    source="pytorch/pytorch issue 15666 (labels from one) and StackOverflow 62319228 (Adam at large rates)",
)
def double_labels_from_one_and_rate(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = majority(seed)
    shift = int("label-out-of-range" in left)
    rate = 0.3 if "lr-too-high" in left else 3e-3
    layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    model = nn.Sequential(nn.Embedding(4, 16), encoder, nn.Flatten(), nn.Linear(192, 4))
    parts = (x, y + shift), (x_val, y_val + shift)
    return case(model, parts, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=rate), 32, 8)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="vanishing-gradient unshuffled-data",
    symptoms="loss-not-decreasing saturated-activations lr-too-low too-few-epochs bad-init-scale too-deep-for-width "
    "vanishing-activations input-constant-feature oscillating-loss lr-too-high overfitting",
    good=0.85,
    note="five sigmoid layers in a row, fed one digit after the other",
    source="AUTOTRAINER 'gradient vanish', and ImageFolder without shuffle=True",
)
def double_sigmoids_in_order(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    order = y.argsort(stable=True)
    layers: list[nn.Module] = []
    for i in range(5):
        layers += [nn.Linear(48 if i else 64, 48), nn.Sigmoid() if "vanishing-gradient" in left else nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(48, 10))
    shuffle = "unshuffled-data" not in left
    optimizer = lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9)  # noqa: E731
    return case(model, ((x[order], y[order]), val), nn.CrossEntropyLoss(), optimizer, 32, 20, shuffle=shuffle)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="frozen-parameters dropout-too-high",
    symptoms="parameters-not-in-optimizer loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs "
    "bn-train-eval-mismatch oscillating-loss unused-parameters",
    good=0.9,
    note="random filters frozen as if they were pretrained, and dropout of 97 % before the last layer",
    source="pytorch.org transfer learning tutorial with pretrained=False; Dropout(0.97) for keep_prob 0.97",
)
def double_frozen_and_dropped(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv1d(1, 6, 5, stride=2), nn.ReLU(), nn.Conv1d(6, 6, 5, stride=2), nn.ReLU())
    body.requires_grad_("frozen-parameters" not in left)
    drop = nn.Dropout(0.97 if "dropout-too-high" in left else 0.1)
    model = nn.Sequential(body, nn.AdaptiveAvgPool1d(2), nn.Flatten(), drop, nn.Linear(12, 4))
    parts = waves(seed, 900, 32, 4)
    optimizer = lambda p: torch.optim.Adam([q for q in p if q.requires_grad], lr=0.01)  # noqa: E731
    return case(model, parts, nn.CrossEntropyLoss(), optimizer, 32, 20)
