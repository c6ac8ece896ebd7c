"""Times as people type them: a date, a moment, or how long from now."""

import re
from datetime import UTC, datetime, timedelta

from filaviva.errors import InvalidRequest

_LENGTHS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_LENGTH = re.compile(r"(\d{1,6})\s*(s|min|m|h|d)")


def ahead(text: str | None, option: str) -> datetime | None:
    """The moment that `text` names; a length such as ``10m`` counts from now on. None stays None.

    Raises:
        InvalidRequest: it is neither.
    """
    return _moment(text, option, 1)


def ago(text: str | None, option: str) -> datetime | None:
    """The moment that `text` names; a length such as ``7d`` counts back from now. None stays None.

    Raises:
        InvalidRequest: it is neither.
    """
    return _moment(text, option, -1)


def _moment(text: str | None, option: str, sign: int) -> datetime | None:
    if text is None:
        return None
    length = _LENGTH.fullmatch(text.strip().lower())
    try:
        if length:
            return datetime.now(UTC) + sign * timedelta(**{_LENGTHS[length[2]]: int(length[1])})
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{option}: {text!r} is no time.",
            code="invalid_field",
            hint="Write 2026-11-21T12:00:00Z (without a zone: local time), or a length such as 90s, 10m, 2h, 7d.",
        ) from None
