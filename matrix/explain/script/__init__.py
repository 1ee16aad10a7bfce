"""Script: the smallest self-contained script that was seen to show a difference."""
