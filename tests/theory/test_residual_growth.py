"""Residual blocks without normalization (S17): closed values and a net in NumPy."""

import numpy as np
import pytest

from trainwell.theory import fixup_factor, residual_moment


def grown(blocks, gain, width=200, nets=40):
    """E x² after ``blocks`` blocks x + √gain · W₂ relu(W₁ x), Var W₁ = 2/n, Var W₂ = 1/n, over that before."""
    generator, total = np.random.default_rng(0), 0.0
    for _ in range(nets):
        x = generator.normal(size=width)
        before = x @ x
        for _ in range(blocks):
            first, second = generator.normal(size=(2, width, width)) / width**0.5
            x = x + gain**0.5 * second @ np.maximum(2**0.5 * first @ x, 0)
        total += x @ x / before
    return total / nets


def test_reference_numbers():
    assert np.log10(residual_moment(50)) == pytest.approx(15.05, abs=5e-3)
    assert fixup_factor(50) == pytest.approx(0.1414, abs=5e-5)
    assert fixup_factor(16, 3) == pytest.approx(0.5)


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_networks_grow_as_predicted(gain):  # 4 s.e.: √((5/200 + 2/200) · 4 blocks / 40 nets) each
    assert grown(4, gain) == pytest.approx(residual_moment(4, gain), rel=0.2)
    assert abs(grown(4, gain) / residual_moment(4, 3 - gain) - 1) > 0.5  # control: the other gain


def test_branches_that_start_at_zero_change_nothing():  # control: Fixup's start
    assert grown(4, 0.0) == residual_moment(4, 0.0) == 1


def test_a_branch_of_one_layer_has_no_factor():
    with pytest.raises(ValueError, match="2 or more"):
        fixup_factor(10, 1)
