"""Group N: what normalization does to training."""
