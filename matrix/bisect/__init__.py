"""Bisect: the first release in which a case is bad, found in as few steps as tell."""  # noqa: A005 - never imported by that name alone
