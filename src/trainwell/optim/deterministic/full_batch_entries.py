"""The table's lines of the full-batch methods."""

from trainwell.optim.method_entry import Method

_CLOSURE = frozenset({"closure", "full_batch"})
_GRAPH = frozenset({"closure", "outputs", "full_batch"})
_INNER = "1 pass, about 2 an inner turn (50 at most), 2 or more of the search"

FULL_BATCH: dict[str, Method] = {
    "nonlinear_cg": Method(
        ".deterministic.full_batch:NonlinearCG",
        lr=1.0,
        finds_length=True,
        why="factor on the line search's first trial, which looks for the rest",
        deck="K",
        paper="Fletcher & Reeves 1964; Polak & Ribière 1969; Nocedal & Wright 2006, ch. 5",
        cost="3 passes or so, O(n)",
        memory=2,
        needs=_CLOSURE,
        decay="none",
    ),
    "lbfgs": Method(
        ".deterministic.full_batch:LBFGS",
        lr=1.0,
        finds_length=True,
        why="quasi-Newton's own step, tried first",
        deck="K",
        paper="Nocedal 1980; Liu & Nocedal 1989",
        cost="2 passes or so, 4 m n, m = 10",
        memory=20,
        needs=_CLOSURE,
        decay="none",
    ),
    "newton_cg": Method(
        ".deterministic.full_batch:NewtonCG",
        lr=1.0,
        finds_length=True,
        why="Newton's own step, tried first",
        deck="K",
        paper="Dembo & Steihaug 1983; Martens 2010",
        cost=_INNER,
        memory=0,
        needs=_GRAPH,
        decay="none",
    ),
    "gauss_newton": Method(
        ".deterministic.full_batch:GaussNewton",
        lr=1.0,
        finds_length=True,
        why="the model's own step, tried first",
        deck="K",
        paper="Schraudolph 2002; Martens 2010",
        cost=_INNER,
        memory=0,
        needs=_GRAPH,
        decay="none",
    ),
    "levenberg_marquardt": Method(
        ".deterministic.full_batch:LevenbergMarquardt",
        lr=1.0,
        finds_length=True,
        why="the damped model's own step; damping follows the ratio",
        deck="K",
        paper="Levenberg 1944; Marquardt 1963; Martens 2010",
        cost="1 pass, about 2 an inner turn (50 at most), 1 a trial",
        memory=0,
        needs=_GRAPH,
        decay="none",
    ),
    "trust_region": Method(
        ".deterministic.full_batch:TrustRegion",
        lr=1.0,
        finds_length=True,
        why="the first radius; later ones follow the ratio",
        deck="K",
        paper="Steihaug 1983; Nocedal & Wright 2006, ch. 4",
        cost="2 passes, about 2 an inner turn (50 at most)",
        memory=0,
        needs=_GRAPH,
        decay="none",
    ),
}
