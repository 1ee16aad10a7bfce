"""Forwards: two runs of one input side by side, and where they part."""
