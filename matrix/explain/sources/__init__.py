"""Sources: the code that changed between two installed releases, and whose it is."""
