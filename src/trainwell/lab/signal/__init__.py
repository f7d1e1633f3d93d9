"""Group S: how the signal and its gradient pass through a network at initialization."""
