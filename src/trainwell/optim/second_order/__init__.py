"""Curvature from batches: Kronecker factors, preconditioners, quasi-Newton pairs, trust regions."""
