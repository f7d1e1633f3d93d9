"""What counts as a probability of dropping."""


def checked(owner: str, p: float) -> float:
    """Return ``p``.

    Raises:
        ValueError: if it is not in [0, 1): at 1 nothing is left that could be scaled up.
    """
    if not 0 <= p < 1:
        raise ValueError(f"{owner}: drop probability p={p} is not in [0, 1).")
    return p
