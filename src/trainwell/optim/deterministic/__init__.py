"""Methods for functions without noise: line searches, quasi-Newton, trust regions, least squares, and ``minimize``."""
