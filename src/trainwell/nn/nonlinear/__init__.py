"""Activation functions by name, and those that torch lacks."""
