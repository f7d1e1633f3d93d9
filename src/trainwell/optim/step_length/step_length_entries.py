"""Lines of the table of methods for those that find the length of each step from the loss of the batch."""

from trainwell.optim.method_entry import Method

STEP_LENGTHS: dict[str, Method] = {
    "polyak": Method(
        ".step_length.polyak_step:PolyakStep",
        lr=1.0,
        finds_length=True,
        why="the bound of the step; the paper's first one",
        deck="M",
        paper="Polyak 1987; Loizou et al. 2021, arXiv:2002.10542 (SPS_max)",
        cost="1 pass, O(n), waits for the device",
        needs=frozenset({"closure"}),
        decay="none",
    ),
    "sls": Method(
        ".step_length.stochastic_line_search:StochasticLineSearch",
        lr=1.0,
        finds_length=True,
        why="the largest step tried first, as in the paper",
        deck="M",
        paper="Vaswani et al. 2019, arXiv:1905.09997",
        cost="1 pass and 1 to 3 forward, O(n), waits for the device",
        needs=frozenset({"closure"}),
        decay="none",
    ),
}
