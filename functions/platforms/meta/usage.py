"""How much of its allowance of calls an app has used, as the Graph API tells in the headers of every answer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

SHARES = ("call_count", "total_cputime", "total_time")
"""Percentages of the three allowances that are counted."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Pauses in seconds where the answer names none, and when to pause without being told."""

    throttled: float = 300
    """The Graph API counts calls over an hour and frees them step by step."""
    quota: float = 3600
    """Posts count over a sliding day, so an hour later there may be room again."""
    most_used_percent: float = 80
    """A new post is not begun above this share of an allowance, so that posts on their way can be finished."""


def regain_seconds(headers: httpx.Headers) -> float | None:
    """The longest `estimated_time_to_regain_access`, which is given in minutes; None where none is given."""
    minutes = [_number(use.get("estimated_time_to_regain_access")) for use in _uses(headers)]
    return max(minutes) * 60 if minutes and max(minutes) > 0 else None


def used_percent(headers: httpx.Headers) -> float:
    """The largest share that any allowance is used up to; 0 where nothing is told."""
    return max((_number(use.get(share)) for use in _uses(headers) for share in SHARES), default=0)


def _uses(headers: httpx.Headers) -> Iterator[dict[str, Any]]:
    """The app's use, and its use of each business: one object each."""
    yield from (use for use in [_read(headers, "x-app-usage")] if isinstance(use, dict))
    businesses = _read(headers, "x-business-use-case-usage")
    lists = businesses.values() if isinstance(businesses, dict) else ()
    yield from (use for uses in lists if isinstance(uses, list) for use in uses if isinstance(use, dict))


def _read(headers: httpx.Headers, name: str) -> Any:
    try:
        return json.loads(headers.get(name, "null"))
    except ValueError:
        return None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0
