"""The minimizers by name: the rule of each, what it needs of the function, its cost and memory, and its paper."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from trainwell.nearest_name import nearest


@dataclass(frozen=True)
class Minimizer:
    """One line of the table.

    Attributes:
        place: ``module:Class`` of the rule, the module inside ``trainwell.optim``.
        needs: what it takes of the function beside gradients: ``hvp``, ``hessian``, ``residuals``, ``fisher``; "" none.
        cost: arithmetic of a step beside the function's, and the products or evaluations that it asks for.
        memory: numbers kept, n parameters and m residuals.
        paper: source of the rule.
        options: what is set differently from the rule's own defaults.
    """

    place: str
    needs: str
    cost: str
    memory: str
    paper: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, name: str, **options: Any) -> Any:
        """Build the rule.

        Raises:
            ValueError: for an option that it does not have.
        """
        module, made = self.place.split(":")
        rule = getattr(importlib.import_module(f".{module}", __package__), made)
        known = [f.name for f in fields(rule) if f.name not in self.options]
        unknown = [option for option in options if option not in known]
        if unknown:
            raise ValueError(f"minimize: {name} has no option {unknown[0]!r}. It has {', '.join(known)}.")
        missing = "fisher" in known and "fisher" not in options
        if missing:
            raise ValueError(f"minimize: {name} needs fisher=…, a function of x that gives F as a matrix or product.")
        return rule(**{**self.options, **options})


MINIMIZERS: dict[str, Minimizer] = {
    "gd": Minimizer("descent_rules:GradientDescentRule", "", "O(n)", "n", "Cauchy 1847; Armijo 1966"),
    "heavy_ball": Minimizer("descent_rules:HeavyBallRule", "", "O(n)", "n", "Polyak 1964"),
    "nesterov": Minimizer("descent_rules:NesterovRule", "", "O(n)", "n", "Nesterov 1983, 2004"),
    "linear_cg": Minimizer("conjugate_gradient:LinearCGRule", "hvp", "O(n), 1 product", "n", "Hestenes & Stiefel 1952"),
    "cg": Minimizer(
        "conjugate_gradient:ConjugateGradientRule", "", "O(n), about 2 gradients", "2 n", "Polak & Ribière 1969"
    ),
    "newton": Minimizer("newton_rule:NewtonRule", "hessian", "n³/3", "n²", "Nocedal & Wright 2006 §3.4"),
    "bfgs": Minimizer("quasi_newton:BFGSRule", "", "O(n²)", "n²", "Broyden, Fletcher, Goldfarb, Shanno 1970"),
    "lbfgs": Minimizer("quasi_newton:LBFGSRule", "", "4 m n, m = 10", "2 m n", "Liu & Nocedal 1989"),
    "newton_cg": Minimizer(
        "truncated_newton:NewtonCGRule", "hvp", "O(n) a product, up to 2 n", "4 n", "Dembo & Steihaug 1983"
    ),
    "cauchy": Minimizer(
        "trust_region_rule:TrustRegionRule", "hvp", "O(n), 2 products", "n", "Powell 1970", {"solver": "cauchy"}
    ),
    "dogleg": Minimizer(
        "trust_region_rule:TrustRegionRule", "hessian", "n³/3", "n²", "Powell 1970", {"solver": "dogleg"}
    ),
    "steihaug": Minimizer(
        "trust_region_rule:TrustRegionRule", "hvp", "O(n) a product", "4 n", "Steihaug 1983", {"solver": "steihaug"}
    ),
    "gauss_newton": Minimizer("least_squares:GaussNewtonRule", "residuals", "m n min(m, n)", "m n", "Gauss 1809"),
    "lm": Minimizer(
        "least_squares:LevenbergMarquardtRule", "residuals", "m n min(m, n)", "m n", "Levenberg 1944; Moré 1978"
    ),
    "natural_gradient": Minimizer(
        "natural_gradient:NaturalGradientRule", "fisher", "n³/3 or products", "n² or 4 n", "Amari 1998"
    ),
}
ALIASES = {
    "gradient_descent": "gd",
    "nonlinear_cg": "cg",
    "l-bfgs": "lbfgs",
    "newton-cg": "newton_cg",
    "trust_region": "steihaug",
    "tr_newton_cg": "steihaug",
    "levenberg_marquardt": "lm",
}


def minimizer(name: str) -> tuple[str, Minimizer]:
    """The minimizer's own name and its line, from that name or another one of it.

    Raises:
        ValueError: if there is none, with the nearest name.
    """
    own = ALIASES.get(name.lower(), name.lower())
    if own not in MINIMIZERS:
        hint = nearest(own, [*MINIMIZERS, *ALIASES], f"Methods: {', '.join(MINIMIZERS)}, or scipy:NAME.")
        raise ValueError(f"minimize: no method is called {name!r}. {hint}")
    return own, MINIMIZERS[own]
