"""Signs: patterns of a difference that name its likely cause."""
