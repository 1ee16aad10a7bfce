"""The corpus: changes of real releases whose truth is known, and the score of this tool against them."""
