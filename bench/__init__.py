"""Benchmarks: what the numbers in the documentation were measured with."""
