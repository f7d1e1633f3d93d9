"""Our full-batch methods against SciPy's of the same family: iterations until f is within 1e-6 · max(1, |f*|) of a
listed minimum, and in brackets until the method ends by itself (max |g| ≤ 1e-8), ours/SciPy's, on the problems of Moré,
Garbow & Hillstrom, Rosenbrock's function, quadratics of κ = 10 … 10⁸ and a logistic regression.

    PYTHONPATH=tests/optim/deterministic python bench/scipy_methods.py [bfgs lbfgs cg newton_cg dogleg steihaug lm]

`-` never within. `!`: never, or over 1.5 times SciPy's; the last lines list these with the reason.
"""

import sys

import torch
from mgh_comparison import EXCEPTIONS, FAMILIES, compare
from mgh_problems import PROBLEMS
from minimizer_problems import LOGISTIC, QUADRATICS


def main() -> None:
    torch.set_num_threads(1)
    methods = sys.argv[1:] or list(FAMILIES)
    missed: list[str] = []
    print(f"{'problem':<24}" + "".join(f"{m:<20}" for m in methods))
    for problem in [*PROBLEMS, *QUADRATICS, LOGISTIC]:
        cells = []
        for method in methods:
            if method == "lm" and problem.name == "logistic":
                continue
            cell, misses = compare(problem, method)
            cells.append(cell)
            if misses:
                reason = EXCEPTIONS.get((method, problem.name), "not known")
                missed.append(f"{method} on {problem.name}: {cell} {reason}")
        print(f"{problem.name:<24}" + "".join(f"{cell:<20}" for cell in cells), flush=True)
    print("\nover 1.5 times SciPy's, or never:", *(missed or ["none"]), sep="\n  ")


if __name__ == "__main__":
    main()
