"""Tests with real uv, real transformers releases and real torch; the whole way that a user goes."""
