"""Explain: where a difference starts, what causes it, and the proof by swapping that part alone."""
