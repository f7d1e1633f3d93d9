"""Theory against Monte Carlo: second moments, χ and spectra of random nets of one width, over seeds.

    OMP_NUM_THREADS=1 python bench/theory_monte_carlo.py [--width 1000] [--seeds 64] [--matrices 64] [--jobs 2]

Moments: of every activation that theory knows, q_l = E z² of each layer and χ_l, the factor on ‖∂L/∂z‖² from layer
l + 1 to layer l, beside the recursion q ← σ_w² E φ² + σ_b² and χ = σ_w² E φ'². Weights are N(0, σ_w²/n), biases
N(0, σ_b²), inputs have E x² = 1; a seed's numbers are drawn once and serve all activations. Errors are standard errors
over seeds.
Spectra: the eigenvalues of symmetric matrices (semicircle), of WWᵀ (Marchenko–Pastur) and of JJᵀ for nets of 2 … 5
layers with pre-activations N(0, 1), beside the limit laws: Kolmogorov–Smirnov's distance of all seeds' eigenvalues
together, and of the worst matrix by itself (a ReLU layer of 1000 units has 500 ± 16 flat ones, so ± 0.016 there);
``--matrices`` is how many of each kind there are. Only sums over seeds are kept: memory does not grow with them.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from trainwell.theory import (
    NONLINEARITIES,
    JacobianSpectrum,
    MarchenkoPastur,
    Semicircle,
    jacobian_spectrum,
    nonlinearity,
)
from trainwell.theory.gaussian import Array
from trainwell.theory.rectifiers import RandomizedLeakyReLU

POINTS = ((1.0, 0.0), (1.4, 0.3))  # (σ_w, σ_b) in multiples of the gain that keeps E z² = 1
SPECTRA = ("identity", "relu", "hard_tanh", "tanh")
DEPTHS = (2, 3, 4, 5)
GRID = 2000  # places at which distributions are compared
SAMPLES = 16  # unrelated inputs of each net: what they share of its fluctuation is small
MOMENT_LIMIT, DISTANCE_LIMIT = 0.02, 0.02


def scales(name: str, point: tuple[float, float]) -> tuple[float, float]:
    """σ_w and σ_b of an activation: the point's times 1/√E φ(z)², z ~ N(0, 1)."""
    gain = float(nonlinearity(name).second_moment(1.0)) ** -0.5
    return point[0] * gain, point[1]


def predicted(name: str, sigma_w: float, sigma_b: float, layers: int) -> tuple[Array, Array]:
    """q of each layer, and χ of each step from one to the one before."""
    function = nonlinearity(name)
    q = [sigma_w**2 + sigma_b**2]
    for _ in range(layers - 1):
        q.append(sigma_w**2 * float(function.second_moment(q[-1])) + sigma_b**2)
    return np.array(q), np.array([sigma_w**2 * float(function.slope_moment(one)) for one in q[:-1]])


def measured(name: str, sigma_w: float, sigma_b: float, drawn: list[Tensor], noise: Tensor) -> tuple[Array, Array]:
    """The same of one net: mean z² of each layer, and ‖∂L/∂z_l‖²/‖∂L/∂z_{l+1}‖² for an output gradient N(0, 1).

    Args:
        name: of the activation.
        sigma_w, sigma_b: scales.
        drawn: N(0, 1) matrices (2 · width, width), of which maxout takes all rows and others the first ``width``.
        noise: N(0, 1) rows of 2 · width numbers: biases of each layer, then an input and an output's gradient of each
            sample.
    """
    width, layers = drawn[0].shape[1], len(drawn)
    function = nonlinearity(name)
    pieces = getattr(function, "pieces", 1)
    h, g = noise[layers:, :width].T.contiguous().tensor_split(2, 1)  # (width, SAMPLES) each
    h = h * (width / h.square().sum(0)) ** 0.5
    moments, slopes, weights = [], [], []
    for layer, full in enumerate(drawn):
        made = width * (pieces if layer < layers - 1 else 1)
        weights.append(full[:made])
        z = weights[-1] @ h * (sigma_w / width**0.5) + sigma_b * noise[layer, :made, None]
        moments.append(float(z.double().square().mean()))
        if layer < layers - 1:
            u = z.double().numpy()
            u = u.reshape(width, pieces, -1).swapaxes(1, 2) if pieces > 1 else u  # maxout reads the last axis
            value, slope = np.asarray(function.value(u)), np.asarray(function.derivative(u))
            if isinstance(function, RandomizedLeakyReLU):  # theory's ``value`` has the mean slope
                random = np.random.default_rng(layer).uniform(function.lower, function.upper, u.shape)
                value, slope = np.where(u >= 0, u, random * u), np.where(u >= 0, 1.0, random)
            h = torch.from_numpy(value).float()
            slopes.append(torch.from_numpy(slope.swapaxes(1, 2).reshape(z.shape) if pieces > 1 else slope).float())
    factors = []
    for layer in range(layers - 1, 0, -1):
        before = slopes[layer - 1] * (weights[layer].T @ g * (sigma_w / width**0.5)).repeat_interleave(pieces, 0)
        factors.append(float(before.double().square().sum() / g.double().square().sum()))
        g = before
    return np.array(moments), np.array(factors[::-1])


def moment_sums(task: tuple[int, int, int]) -> dict[tuple[str, int, str], Array]:
    """Of one seed: (activation, point, quantity) → values by layer."""
    width, layers, seed = task
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(2 * width, width, generator=generator) for _ in range(layers)]
    noise = torch.randn(layers + 2 * SAMPLES, 2 * width, generator=generator)
    found = {}
    for name in NONLINEARITIES:
        for place, point in enumerate(POINTS):
            q, chi = measured(name, *scales(name, point), drawn, noise)
            found |= {(name, place, "q"): q, (name, place, "χ"): chi}
    return found


def spectrum_distances(task: tuple[int, int]) -> dict[str, Array]:
    """Of one seed: law → difference of the distributions."""
    width, seed = task
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(10_000 + seed)

    def normal(rows: int = width, columns: int = width) -> Tensor:
        return torch.randn(rows, columns, generator=generator, dtype=torch.float64)

    whole = normal()
    found = {"semicircle": distance((whole + whole.T) / (2 * width) ** 0.5, Semicircle())}
    for ratio in (0.5, 1.0):
        wide = normal(round(ratio * width)) / width**0.5
        found[f"Marchenko–Pastur {ratio}"] = distance(wide @ wide.T, MarchenkoPastur(round(ratio * width) / width))
    for gaussian in (True, False):
        weights = [normal() for _ in range(max(DEPTHS))]
        weights = [w / width**0.5 if gaussian else torch.linalg.qr(w)[0] for w in weights]
        states = torch.randn(max(DEPTHS), width, generator=generator, dtype=torch.float64).numpy()
        for name in SPECTRA if gaussian else SPECTRA[1:]:  # orthogonal and linear: all singular values are 1
            function = nonlinearity(name)
            gain = float(function.slope_moment(1.0)) ** -0.5
            jacobian = torch.eye(width, dtype=torch.float64)
            for depth, weight in enumerate(weights, 1):
                slope = torch.from_numpy(np.asarray(function.derivative(states[depth - 1])))
                jacobian = slope[:, None] * (gain * (weight @ jacobian))
                if depth in DEPTHS:
                    about = f"{'Gaussian' if gaussian else 'orthogonal'} {name} depth {depth}"
                    found[about] = distance(jacobian @ jacobian.T, law_of(name, depth, gaussian))
    return found


@lru_cache
def law_of(name: str, depth: int, gaussian: bool) -> JacobianSpectrum:
    """The limit law at criticality, pre-activations N(0, 1)."""
    return jacobian_spectrum(name, depth, gaussian=gaussian)


def distance(matrix: Tensor, law: Semicircle | MarchenkoPastur | JacobianSpectrum) -> Array:
    """Share of eigenvalues up to x less the law's, at ``GRID`` places x; atoms are approached from both sides."""
    seen = torch.linalg.eigvalsh(matrix).numpy()
    if isinstance(law, Semicircle):
        grid, flat = np.linspace(-2, 2, GRID), 0.0
    else:
        top = law.edges[1] if isinstance(law, MarchenkoPastur) else law.largest**2
        grid = np.concatenate([np.geomspace(1e-14 * top, top, GRID // 2), np.linspace(0, 1.1 * top, GRID // 2)])
        flat = law.zeros
    if isinstance(law, JacobianSpectrum) and law.atom[1] > 0:
        grid = np.append(grid[np.abs(grid / law.atom[0] - 1) > 1e-6], law.atom[0] * (1 + np.array([-1e-6, 1e-6])))
    if flat:  # what rounding leaves of zeros
        seen = np.where(np.abs(seen) < 1e-13 * np.abs(seen).max(), 0.0, seen)
    return np.searchsorted(np.sort(seen), np.sort(grid), "right") / len(seen) - law.cdf(np.sort(grid))


class Running:
    """Mean, standard error and worst of what comes one by one."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares, self.worst = 0, np.zeros(()), np.zeros(()), 0.0

    def add(self, value: Array | float) -> None:
        """Take one more (Welford 1962)."""
        self.count += 1
        step = value - self.mean
        self.mean = self.mean + step / self.count
        self.squares = self.squares + step * (value - self.mean)
        self.worst = max(self.worst, float(np.abs(value).max()))

    @property
    def error(self) -> Array:
        """Of the mean."""
        return np.asarray(np.sqrt(self.squares / max(1, self.count - 1) / self.count))


def show_moments(seen: dict[tuple[str, int, str], Running], layers: int) -> None:
    """Print the layer of each row where theory is off most, the worst rows first."""
    rows = []
    for (name, place, quantity), running in seen.items():
        sigma_w, sigma_b = scales(name, POINTS[place])
        theory = predicted(name, sigma_w, sigma_b, layers)[quantity == "χ"]
        off = running.mean / theory - 1
        l = int(np.abs(off).argmax())
        about = f"{name:20} {sigma_w:6.3f} {sigma_b:5.2f}  {quantity}_{l + 1}"
        error = running.error[l] / theory[l]
        beside = f"{theory[l]:9.4f} {running.mean[l]:9.4f} {off[l]:+8.2%} ± {error:.2%}"
        rows.append((abs(off[l]), f"{about}  {beside}"))
    print(f"{'activation':20} {'σ_w':>6} {'σ_b':>5}  layer   theory  measured  difference")
    for _, line in sorted(rows, reverse=True):
        print(line)
    within = sum(off <= MOMENT_LIMIT for off, _ in rows)
    print(f"{within} of {len(rows)} rows within {MOMENT_LIMIT:.0%} in all layers\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("width", 1000), ("seeds", 64), ("layers", 5), ("matrices", 64), ("jobs", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    start = time.perf_counter()
    print(
        f"theory against Monte Carlo at width {asked.width}, {asked.seeds} seeds, {asked.matrices} for spectra\n",
        flush=True,
    )
    moments: dict[tuple[str, int, str], Running] = {}
    spectra: dict[str, Running] = {}
    with ProcessPoolExecutor(asked.jobs) as pool:
        for found in pool.map(moment_sums, [(asked.width, asked.layers, seed) for seed in range(asked.seeds)]):
            for key, values in found.items():
                moments.setdefault(key, Running()).add(values)
        show_moments(moments, asked.layers)
        for distances in pool.map(spectrum_distances, [(asked.width, seed) for seed in range(asked.matrices)]):
            for about, value in distances.items():
                spectra.setdefault(about, Running()).add(value)
    print(f"{'spectrum':32} {'KS':>8} {'worst matrix':>13}")
    far = {about: float(np.abs(running.mean).max()) for about, running in spectra.items()}
    for about in sorted(far, key=lambda name: -far[name]):
        print(f"{about:32} {far[about]:8.4f} {spectra[about].worst:13.4f}")
    print(f"{sum(value <= DISTANCE_LIMIT for value in far.values())} of {len(far)} spectra within {DISTANCE_LIMIT}")
    print(f"{time.perf_counter() - start:.0f} s on {asked.jobs} processes")


if __name__ == "__main__":
    main()
