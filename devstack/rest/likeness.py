"""Which known name a misspelt one is likest to, judged as PostgREST judges: by shared groups of letters, then edits."""

from collections import Counter
from collections.abc import Iterable
from math import sqrt

_GROUPS = (3, 2)
"""Sizes of the groups of letters that are compared: small ones only where large ones find nothing."""

_LONGEST = 300
"""A name with more letters is nobody's slip, and would take long to compare."""

_CLOSEST = 50
"""How many names that share groups are compared letter by letter."""


def likest(name: str, known: Iterable[str], least: float = 0.33) -> str | None:
    """The known name likest to `name`, or None when none is even `least` like it, 1.0 being the same."""
    if len(name) > _LONGEST:
        return None
    names = list(dict.fromkeys(known))
    wanted = name.lower()
    for size in _GROUPS:
        groups = _groups_of(wanted, size)
        shared = [(_overlap(groups, _groups_of(one.lower(), size)), one) for one in names]
        near = sorted((entry for entry in shared if entry[0] > 0), key=lambda entry: -entry[0])[:_CLOSEST]
        scored = [(_likeness(wanted, one.lower()), one) for _, one in near]
        best = max(scored, key=lambda entry: entry[0], default=(0.0, ""))
        if best[0] >= least:
            return best[1]
    return None


def _groups_of(text: str, size: int) -> Counter[str]:
    kept = "".join(letter for letter in text if letter.isalnum() or letter in " ,")
    padded = f"-{kept}-".ljust(size, "-")
    return Counter(padded[start : start + size] for start in range(len(padded) - size + 1))


def _overlap(one: Counter[str], other: Counter[str]) -> float:
    """The cosine between the two, as vectors of how often each group occurs."""
    both = sum(count * other[group] for group, count in one.items())
    lengths = (sqrt(sum(count * count for count in counter.values())) for counter in (one, other))
    return both / (next(lengths) * next(lengths))


def _likeness(one: str, other: str) -> float:
    longest = max(len(one), len(other))
    return 1 - _edits(one, other) / longest if longest else 1.0


def _edits(one: str, other: str) -> int:
    """How many letters must be put in, taken out or changed to make one of the other."""
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        before, row[0] = row[0], place
        for column, against in enumerate(other, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (letter != against))
    return row[-1]
