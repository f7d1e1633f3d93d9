"""How the rate, or the batch, changes over a run."""
