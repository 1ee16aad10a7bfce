"""The engine: from a spec to cells, captures, comparisons and verdicts."""
