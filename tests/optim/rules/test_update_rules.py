"""Each rule against itself written out for one tensor, 50 steps in float64 from the same start, to 1e-12.

Where torch has the rule, the left side is torch's; the deck's forms are written as deck M prints them.
"""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import METHODS

STEPS = 50
LR, DECAY, EPS = 0.03, 0.1, 1e-3
B1, B2 = 0.8, 0.95


def gradient(x, t):
    """Of a function with curvature of both signs, and different every step."""
    return torch.sin(2 * x) + 0.3 * x + 0.5 * math.sin(t)


def start():
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in [(4, 3), (5,), (2, 3, 2)]]


def moments(g, s, t, b1=B1, b2=B2):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    return s["m"], s["v"]


def gd(x, g, s, t):
    return x - LR * (g + DECAY * x)


def heavy_ball(x, g, s, t):  # Polyak's two-point form
    before, s["x"] = s.get("x", x), x
    return x - LR * g + B1 * (x - before)


def nesterov(y, g, s, t):  # deck M's: x⁺ = y − ηg, y⁺ = x⁺ + β(x⁺ − x)
    x = y - LR * g
    before, s["x"] = s.get("x", y), x
    return x + B1 * (x - before)


def nesterov_sequence(y, g, s, t):
    old = s.get("t", 1.0)
    s["t"] = (1 + math.sqrt(1 + 4 * old * old)) / 2
    x = y - LR * (g + DECAY * y)
    before, s["x"] = s.get("x", y), x
    return x + (old - 1) / s["t"] * (x - before)


def nesterov_constant(y, g, s, t):  # κ = 25: β = (5 − 1)/(5 + 1)
    x = y - LR * g
    before, s["x"] = s.get("x", y), x
    return x + 2 / 3 * (x - before)


def adam(x, g, s, t):
    m, v = moments(g + DECAY * x, s, t)
    return x - LR * (m / (1 - B1**t)) / ((v / (1 - B2**t)).sqrt() + EPS)


def adamw(x, g, s, t):
    m, v = moments(g, s, t)
    return x - LR * ((m / (1 - B1**t)) / ((v / (1 - B2**t)).sqrt() + EPS) + DECAY * x)


def adam_deck(x, g, s, t):
    m, v = moments(g, s, t)
    return x - LR * m / (v + EPS).sqrt()


def amsgrad(x, g, s, t):
    m, v = moments(g, s, t)
    s["top"] = torch.maximum(s.get("top", torch.zeros_like(v)), v)
    return x - LR * (m / (1 - B1**t)) / ((s["top"] / (1 - B2**t)).sqrt() + EPS)


def adagrad(x, g, s, t):
    s["s"] = s.get("s", 0) + g * g
    return x - LR * g / (s["s"].sqrt() + EPS)


def adagrad_deck(x, g, s, t):
    s["s"] = s.get("s", 0) + g * g
    return x - LR * g / (s["s"] + EPS).sqrt()


def rmsprop(x, g, s, t):
    s["s"] = B2 * s.get("s", 0) + (1 - B2) * g * g
    return x - LR * g / (s["s"].sqrt() + EPS)


def rmsprop_deck(x, g, s, t):
    g = g + DECAY * x
    s["s"] = B2 * s.get("s", 0) + (1 - B2) * g * g
    return x - LR * g / (s["s"] + EPS).sqrt()


def adadelta(x, g, s, t):
    s["s"] = B2 * s.get("s", 0) + (1 - B2) * g * g
    move = ((s.get("d", torch.zeros_like(x)) + EPS).sqrt() / (s["s"] + EPS).sqrt()) * g
    s["d"] = B2 * s.get("d", 0) + (1 - B2) * move * move
    return x - LR * move


def adamax(x, g, s, t):
    s["m"] = B1 * s.get("m", 0) + (1 - B1) * g
    s["u"] = torch.maximum(B2 * s.get("u", torch.zeros_like(g)), g.abs() + EPS)
    return x - LR / (1 - B1**t) * s["m"] / s["u"]


def nadam(x, g, s, t):  # Dozat's with momentum decay ψ = 0.004
    m, v = moments(g, s, t)
    mu, following = (B1 * (1 - 0.5 * 0.96 ** (k * 0.004)) for k in (t, t + 1))
    s["p"] = s.get("p", 1.0) * mu
    ahead = mu_next = following
    m_hat = ahead * m / (1 - s["p"] * mu_next) + (1 - mu) * g / (1 - s["p"])
    return x - LR * m_hat / ((v / (1 - B2**t)).sqrt() + EPS)


def radam(x, g, s, t):
    m, v = moments(g, s, t)
    top = 2 / (1 - B2) - 1
    rho = top - 2 * t * B2**t / (1 - B2**t)
    m = m / (1 - B1**t)
    if rho <= 5:
        return x - LR * m
    r = math.sqrt((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho))
    return x - LR * m * r * math.sqrt(1 - B2**t) / (v.sqrt() + EPS)


def lion(x, g, s, t):
    m = s.get("m", torch.zeros_like(g))
    s["m"] = B2 * m + (1 - B2) * g
    return x - LR * (torch.sign(B1 * m + (1 - B1) * g) + DECAY * x)


def lars(x, g, s, t):
    size, slope = x.norm(), g.norm()
    ratio = 0.02 * size / (slope + DECAY * size) if x.dim() > 1 else 1.0
    s["b"] = B1 * s.get("b", 0) + LR * ratio * (g + DECAY * x)
    return x - s["b"]


def lamb(x, g, s, t):
    m, v = moments(g, s, t)
    u = (m / (1 - B1**t)) / ((v / (1 - B2**t)).sqrt() + EPS) + DECAY * x
    return x - LR * (x.norm() / u.norm() if x.dim() > 1 else 1.0) * u


def yogi(x, g, s, t):
    s["m"] = B1 * s.get("m", 0) + (1 - B1) * g
    v = s.get("v", torch.full_like(g, 1e-6))
    s["v"] = v - (1 - B2) * torch.sign(v - g * g) * g * g
    return x - LR * ((s["m"] / (1 - B1**t)) / ((s["v"] / (1 - B2**t)).sqrt() + EPS) + DECAY * x)


def adabelief(x, g, s, t):
    s["m"] = B1 * s.get("m", 0) + (1 - B1) * g
    s["v"] = B2 * s.get("v", 0) + (1 - B2) * (g - s["m"]) ** 2 + EPS
    return x - LR * ((s["m"] / (1 - B1**t)) / ((s["v"] / (1 - B2**t)).sqrt() + EPS) + DECAY * x)


def schedule_free_sgd(y, g, s, t):  # a constant rate: x is the plain mean of z_1 … z_t
    z = s.get("z", y) - LR * (g + DECAY * y)
    x = s.get("x", y) + (z - s.get("x", y)) / t
    s.update(z=z, x=x)
    return (1 - B1) * z + B1 * x


def schedule_free_adamw(y, g, s, t):
    s["v"] = B2 * s.get("v", 0) + (1 - B2) * g * g
    z = s.get("z", y) - LR * (g / ((s["v"] / (1 - B2**t)).sqrt() + EPS) + DECAY * y)
    x = s.get("x", y) + (z - s.get("x", y)) / t
    s.update(z=z, x=x)
    return (1 - B1) * z + B1 * x


def asgd(x, g, s, t):  # Bottou's rate for Polyak–Ruppert averaging
    rate = s.get("rate", LR)
    s["rate"] = LR / (1 + 1e-4 * LR * t) ** 0.75
    return x * (1 - 1e-4 * rate) - rate * (g + DECAY * x)


def rprop(x, g, s, t):
    agree = torch.sign(g * s.get("g", torch.zeros_like(g)))
    s["step"] = (s.get("step", torch.full_like(g, LR)) * (1 + 0.2 * (agree > 0) - 0.5 * (agree < 0))).clamp(1e-6, 50)
    s["g"] = torch.where(agree < 0, 0.0, g)
    return x - torch.sign(s["g"]) * s["step"]


def adafactor(x, g, s, t):
    def rms(z):
        return z.norm() / z.numel() ** 0.5

    keep = 1 - t**-0.8
    rate = max(1e-3, rms(x)) * min(LR, 1 / math.sqrt(t))
    if x.dim() < 2:
        s["v"] = v = keep * s.get("v", 0) + (1 - keep) * g * g
    else:
        s["r"] = keep * s.get("r", 0) + (1 - keep) * (g * g).mean(-1, keepdim=True)
        s["c"] = keep * s.get("c", 0) + (1 - keep) * (g * g).mean(-2, keepdim=True)
        v = s["r"] @ s["c"] / s["r"].mean(-2, keepdim=True)
    u = g / v.sqrt()
    return x * (1 - LR * DECAY) - rate * u / max(1.0, rms(u))


BETAS, L2 = {"betas": (B1, B2)}, {"weight_decay": DECAY}
RULES = {
    "gd": (gd, "gd", L2),
    "heavy ball": (heavy_ball, "heavy_ball", {"momentum": B1}),
    "Nesterov": (nesterov, "nesterov", {"momentum": B1}),
    "sgd": (nesterov, "sgd", {"momentum": B1}),
    "Nesterov's sequence": (nesterov_sequence, "nesterov_sequence", L2),
    "Nesterov's constant": (nesterov_constant, "nesterov_sequence", {"condition": 25.0}),
    "Adam": (adam, "adam", {**BETAS, **L2, "eps": EPS}),
    "AdamW": (adamw, "adamw", {**BETAS, **L2, "eps": EPS}),
    "deck M's Adam": (adam_deck, "adam_deck", {**BETAS, "eps": EPS}),
    "AMSGrad": (amsgrad, "amsgrad", {**BETAS, "eps": EPS}),
    "Adagrad": (adagrad, "adagrad", {"eps": EPS}),
    "deck M's Adagrad": (adagrad_deck, "adagrad_deck", {"eps": EPS}),
    "RMSprop": (rmsprop, "rmsprop", {"alpha": B2, "eps": EPS}),
    "deck M's RMSprop": (rmsprop_deck, "rmsprop_deck", {"alpha": B2, "eps": EPS, **L2}),
    "Adadelta": (adadelta, "adadelta", {"rho": B2, "eps": EPS}),
    "AdaMax": (adamax, "adamax", {**BETAS, "eps": EPS}),
    "NAdam": (nadam, "nadam", {**BETAS, "eps": EPS}),
    "RAdam": (radam, "radam", {**BETAS, "eps": EPS}),
    "ASGD": (asgd, "asgd", L2),
    "Rprop": (rprop, "rprop", {}),
    "Adafactor": (adafactor, "adafactor", L2),
    "Lion": (lion, "lion", {**BETAS, **L2}),
    "LARS": (lars, "lars", {"momentum": B1, "trust": 0.02, **L2}),
    "LAMB": (lamb, "lamb", {**BETAS, **L2, "eps": EPS}),
    "Yogi": (yogi, "yogi", {**BETAS, **L2, "eps": EPS}),
    "AdaBelief": (adabelief, "adabelief", {**BETAS, **L2, "eps": EPS}),
    "schedule-free SGD": (schedule_free_sgd, "schedule_free_sgd", {"momentum": B1, **L2}),
    "schedule-free AdamW": (schedule_free_adamw, "schedule_free_adamw", {**BETAS, **L2, "eps": EPS}),
}

SINGLE = {"nadam", "asgd", "rprop"}  # torch keeps the product of momenta, the rate, the factors in float32


def written_out(rule):
    found = []
    for x in start():
        state, path = {}, []
        for t in range(1, STEPS + 1):
            x = rule(x, gradient(x, t), state, t)
            path.append(x)
        found.append(torch.stack(path))
    return found


def followed(name, options):
    parameters = [nn.Parameter(x) for x in start()]
    optimizer = METHODS[name]([{"params": parameters}], lr=LR, **options)
    paths = [[] for _ in parameters]
    for t in range(1, STEPS + 1):
        for p in parameters:
            p.grad = gradient(p.detach(), t)
        optimizer.step()
        for p, path in zip(parameters, paths, strict=True):
            path.append(p.detach().clone())
    return [torch.stack(path) for path in paths]


@pytest.mark.parametrize("which", RULES)
def test_the_optimizer_is_its_rule(which):
    rule, name, options = RULES[which]
    for found, expected in zip(followed(name, options), written_out(rule), strict=True):
        assert_close(found, expected, rtol=1e-12, atol=3e-6 if name in SINGLE else 1e-12)


@pytest.mark.parametrize(
    ("deck", "torchs"), [("adam_deck", adam), ("adagrad_deck", adagrad), ("rmsprop_deck", rmsprop)]
)
def test_the_decks_form_is_another_rule_than_torchs(deck, torchs):  # control
    options = {**({"betas": (B1, B2)} if deck == "adam_deck" else {}), "eps": EPS}
    found, other = followed(deck, options)[0], written_out(torchs)[0]
    assert (found - other).abs().max() > 5e-5


def test_the_decks_adam_begins_with_long_steps():  # O04: constant gradient, t (1 − β₁ᵏ)/√(1 − β₂ᵏ)
    def lengths(name):
        w = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimizer, before, found = METHODS[name]([w], lr=1.0, eps=0.0), 0.0, []
        for _ in range(100):
            w.grad = torch.ones_like(w)
            optimizer.step()
            found.append(before - w.item())
            before = w.item()
        return found

    deck = lengths("adam_deck")
    assert [deck[k - 1] for k in (1, 10, 100)] == pytest.approx([3.16228, 6.5279, 3.2408], rel=1e-4)
    assert max(deck) == pytest.approx(6.5686, rel=1e-4) and deck.index(max(deck)) == 11
    assert lengths("adam") == pytest.approx([1.0] * 100, rel=1e-9)  # control: corrected
    assert [lengths("adagrad_deck")[k - 1] for k in (1, 4, 100)] == pytest.approx([1, 0.5, 0.1], rel=1e-9)


def test_a_falling_rate_tells_torchs_nesterov_from_the_original():  # control of the equivalence's condition
    def end(name, options):
        p = nn.Parameter(start()[0])
        optimizer = METHODS[name]([{"params": [p]}], lr=LR, **options)
        for t in range(1, STEPS + 1):
            optimizer.param_groups[0]["lr"] = LR / t
            p.grad = gradient(p.detach(), t)
            optimizer.step()
        return p.detach()

    torchs, original = end("nesterov", {"momentum": 2 / 3}), end("nesterov_sequence", {"condition": 25.0})
    assert (torchs - original).abs().max() > 1e-3


@pytest.mark.parametrize(("kappa", "horizon"), [(100.0, 400), (10_000.0, 4000)])
@pytest.mark.parametrize("name", ["gd", "heavy_ball", "nesterov", "nesterov_sequence"])
def test_rates_on_a_quadratic_are_the_theorys(name, kappa, horizon):  # O03: ln ρ within 3 %, double roots: ∼ k ρᵏ
    root, L, mu = math.sqrt(kappa), 1.0, 1 / kappa
    lr, rho, options = {
        "gd": (2 / (L + mu), (kappa - 1) / (kappa + 1), {}),
        "heavy_ball": (4 / (1 + 1 / root) ** 2, (root - 1) / (root + 1), {"momentum": ((root - 1) / (root + 1)) ** 2}),
        "nesterov": (1.0, 1 - 1 / root, {"momentum": (root - 1) / (root + 1)}),
        "nesterov_sequence": (1.0, 1 - 1 / root, {"condition": kappa}),
    }[name]
    x = nn.Parameter(torch.ones(2, dtype=torch.float64))
    scales, optimizer = torch.tensor([mu, L], dtype=torch.float64), METHODS[name]([{"params": [x]}], lr=lr, **options)
    marks = []
    double = name != "gd"
    for k in range(1, horizon + 1):
        x.grad = scales * x.detach()
        optimizer.step()
        if k in (horizon // 2, horizon):
            marks.append(math.log(x.detach().norm()) - (math.log(k) if double else 0.0))
    slope = (marks[1] - marks[0]) / (horizon - horizon // 2)
    assert slope == pytest.approx(math.log(rho), rel=0.03)
