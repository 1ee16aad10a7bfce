"""The smallest set of parts that restores as much as all of them do, in few trials.

The standard library only, and nothing of models: what a trial is, the caller says. No set is tried twice.
"""

LIMIT = 40
PROOF = 6
"""How many trials one search may take, and how many of them after the units are found. Without any left, the smallest
set that was enough so far is kept."""


class Spent(Exception):  # noqa: N818 - no error: the search ends with what it has
    """No trial is left."""


class Search:
    """Tries sets of parts, none of them twice.

    Args:
        restores: List of parts → (share of the difference that is gone or None, whether the bits are the target's).
        limit: How many trials there may be.
        proof: How many trials there may be within units.
    """

    def __init__(self, restores, limit=LIMIT, proof=PROOF):
        self.restores = restores
        self.limit = limit
        self.proof = proof

    def smallest(self, units, whole):
        """A smallest set that does what all parts do.

        First the shortest prefix of units that is enough: its last unit is needed. With that one fixed, the shortest
        prefix of those before it, and so on: where parts do not disturb each other, that is the smallest set, and each
        unit in it costs a logarithm of trials. Delta debugging then tries single parts.

        Args:
            units: Lists of parts that likely go together, such as one attribute in every layer; likeliest first.
            whole: What the trial of all of them gave.

        Returns:
            Parts, in their given order. No single one can be left out, unless trials ran out.
        """
        parts, members = flat(units), numbered(units)
        seen, left = {frozenset(range(len(parts))): whole}, self.limit

        def enough(chosen):
            nonlocal left
            key = frozenset(chosen)
            if key not in seen:
                if not key:
                    return False
                if left <= 0:
                    raise Spent
                left -= 1
                seen[key] = self.restores([parts[index] for index in sorted(key)])
            return as_good(seen[key], whole)

        try:
            found = last_by_last(members, enough)
            left = min(left, self.proof)
            found = ddmin(sorted(found), enough)
        except Spent:
            found = min((key for key, outcome in seen.items() if as_good(outcome, whole)), key=len)
        return [parts[index] for index in sorted(found)]

    def prefix(self, parts, whole):
        """The shortest prefix that does what all parts do; for parts of which later ones hide earlier ones."""
        count = shortest(len(parts), lambda n: as_good(self.restores(parts[:n]), whole), halves=True)
        return parts[:count]


def flat(units):
    """The parts of units, one after the other."""
    return [part for unit in units for part in unit]


def numbered(units):
    """Each unit as the numbers of its parts."""
    numbers = iter(range(sum(map(len, units))))
    return [[next(numbers) for _ in unit] for unit in units]


def as_good(outcome, whole):
    """Whether one outcome is as good as another: the target's bits, or at least as large a share."""
    (share, identical), (wanted, exact) = outcome, whole
    if exact or identical:
        return bool(identical)
    return share is not None and (wanted is None or share >= wanted)


def last_by_last(members, enough):
    """Parts of the units that are needed, found from the last one back."""
    needed, pool = [], list(members)
    while pool and not (needed and enough(needed)):
        count = shortest(len(pool), lambda n, units=tuple(pool): enough([*flat(units[:n]), *needed]))
        pool = pool[:count]
        needed.extend(pool.pop())
    return needed


def shortest(length, enough, *, halves=False):
    """The shortest prefix that is enough, where all is: steps that double, then halves of what is between.

    Doubling finds what ranks first in one trial, and the k-th in about 2 log k; halves alone suit a prefix that is
    likely long.
    """
    low, high, step = 0, length, length if halves else 1
    while step < length:
        if enough(step):
            high = step
            break
        low, step = step, 2 * step
    if halves and length > 1:
        if not enough(length - 1):
            return length
        high = length - 1
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high


def ddmin(parts, enough):
    """Delta debugging (Zeller and Hildebrandt 2002, Simplifying and Isolating Failure-Inducing Input, algorithm ddmin).

    Args:
        parts: A list that is enough.
        enough: Whether a list is.

    Returns:
        A list that is enough, of which no single part can be left out.
    """
    pieces = 2
    while len(parts) > 1:
        pieces = min(pieces, len(parts))
        size = len(parts) / pieces
        cuts = [parts[round(n * size) : round((n + 1) * size)] for n in range(pieces)]
        rests = [[part for part in parts if part not in cut] for cut in cuts]
        smaller = next((cut for cut in cuts if enough(cut)), None)
        if smaller is not None:
            parts, pieces = smaller, 2
            continue
        smaller = next((rest for rest in rests if pieces > 2 and enough(rest)), None)  # noqa: PLR2004 - of two: the cuts
        if smaller is not None:
            parts, pieces = smaller, pieces - 1
        elif pieces == len(parts):
            break
        else:
            pieces *= 2
    return parts
