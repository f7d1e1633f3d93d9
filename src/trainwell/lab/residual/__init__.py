"""Group R: residual learning, and where the error of a network comes from."""
