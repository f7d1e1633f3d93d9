"""Weights computed from other parameters: normalized, orthogonal, binary."""
