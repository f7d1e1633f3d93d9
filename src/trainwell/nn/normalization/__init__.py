"""Normalizations of activations, by name and one a file, and folding them away."""
