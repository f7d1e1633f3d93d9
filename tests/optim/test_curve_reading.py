from pathlib import Path

import numpy as np
import pytest

from trainwell.optim import read_curve
from trainwell.optim.curve_reading import LABELS, measures

KEPT = Path(__file__).with_name("held_out_curves.npz")


def held_out():
    """220 of the runs of bench/read_curve.py that were kept out of the tuning: (losses, label)."""
    file = np.load(KEPT)
    return list(zip(np.split(file["losses"], np.cumsum(file["lengths"])[:-1]), file["labels"], strict=True))


def accuracy(runs):
    return np.mean([read_curve(losses).label == label for losses, label in runs])


def test_held_out_runs_are_read_right():
    runs = held_out()
    assert len(runs) == 220 and {str(label) for _, label in runs} == set(LABELS)
    assert accuracy(runs) >= 0.95


def test_shuffled_labels_are_read_at_chance():  # control
    runs = held_out()
    labels = np.random.default_rng(0).permutation([label for _, label in runs])
    chance = sum(np.mean([label == name for _, label in runs]) ** 2 for name in LABELS)
    assert accuracy(list(zip((losses for losses, _ in runs), labels, strict=True))) < chance + 0.15


def quadratic(eta, eigenvalues, noise=0.0, steps=300, batch=1, seed=0):
    """Losses ½ Σ λ (w − a)² of gradient steps at the batch's own a ∼ N(0, noise²)."""
    rng = np.random.default_rng(seed)
    eigenvalues, losses = np.asarray(eigenvalues), []
    w = np.ones(len(eigenvalues)) * 3
    for _ in range(steps):
        a = noise * rng.standard_normal((batch, len(w)))
        losses.append(float(0.5 * (eigenvalues * (w - a) ** 2).sum(1).mean()))
        w = w - eta * eigenvalues * (w - a.mean(0))
    return losses


@pytest.mark.parametrize(
    ("eta", "label"), [(2.02, "too-high"), (2.5, "too-high"), (1.0, "good"), (0.5, "good"), (1e-3, "too-low")]
)
def test_modes_of_a_quadratic(eta, label):  # THEORY O06, L = 1: divergence from 2 on
    assert read_curve(quadratic(eta, [1.0, 0.5, 0.2])).label == label


@pytest.mark.parametrize("seed", range(5))
def test_floor_of_sgd_is_a_noisy_plateau_and_without_noise_it_is_not(seed):  # O02; the control removes the noise
    eigenvalues = np.ones(30)
    assert read_curve(quadratic(0.5, eigenvalues, noise=1.0, batch=4, seed=seed)).label == "noisy plateau"
    assert read_curve(quadratic(0.5, eigenvalues, noise=0.0, seed=seed)).label == "good"


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 7.0, 1e9])
@pytest.mark.parametrize("shift", [-2.0, 0.0, 3.0])
def test_scale_and_shift_of_the_loss_change_nothing(scale, shift):
    for losses, _ in held_out()[::11]:
        losses = losses.astype(float)
        if np.isfinite(losses).all() and np.abs(losses).max() < 1e3:
            size = np.abs(losses).max()
            assert read_curve(scale * (losses + shift * size)).label == read_curve(losses).label


def test_measures_of_a_straight_fall():  # closed form: area ½ of the blocks, arrival at 17 of 20
    found = measures(np.linspace(1.0, 0.0, 200))
    assert found["area"] == pytest.approx(0.5, abs=0.03)
    assert found["noise"] == pytest.approx(1.4826 / 2**0.5 / 199 / 0.925, rel=0.02)
    assert 0 <= found["climb"] < 1 and found["towering"] < 0.01 and found["fall"] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_too_high_and_says_where(bad):
    found = read_curve([1.0, 2.0, bad, 3.0])
    assert found.label == "too-high" and "from step 2 of 4 on" in found.why and not found.numbers


def test_huge_and_constant_losses_do_not_overflow():
    assert read_curve([1e300 * 1.01**t for t in range(100)]).label == "too-high"
    assert read_curve([-1e308, 1e308] * 50).label in LABELS
    assert read_curve([3.0] * 100).label == "too-low"
    assert read_curve(np.zeros(50)).label == "too-low"


def test_with_rates_only_the_peak_is_read():
    high = quadratic(0.5, np.ones(30), noise=1.0, batch=4)
    cooled = [*high, *(high[-1] * 0.5 for _ in range(200))]
    rates = [0.5] * len(high) + [0.01] * 200
    assert read_curve(cooled, rates=rates).label == read_curve(high).label == "noisy plateau"
    assert read_curve(cooled).label != "noisy plateau"
    with pytest.raises(ValueError, match="3 losses and 2 rates"):
        read_curve([1.0, 2.0, 3.0], rates=[1.0, 1.0])


def test_too_few_losses_are_refused():
    with pytest.raises(ValueError, match=r"39 losses at the peak rate are too few\. Give at least 40"):
        read_curve(np.linspace(1, 0, 39))
