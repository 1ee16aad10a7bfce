"""The sweep: every architecture that the releases know, on checkpoints that one of them was made to write."""
