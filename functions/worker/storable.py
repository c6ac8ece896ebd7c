"""Making what a handler returns fit for jsonb: a result must never be what keeps a job from being settled."""

import math
from collections.abc import Mapping
from typing import Any

import orjson

MAX_BYTES = 64 * 1024
MAX_DEPTH = 64
REPLACEMENT = "\ufffd"


class NotStorable(ValueError):  # noqa: N818 - says what the value is
    """The value cannot be stored even when cleaned.

    Args:
        code: `result_too_large` or `invalid_result`.
        message: what is wrong with it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def storable(value: object, name: str = "result") -> dict[str, Any]:
    """`value` as a JSON object that PostgreSQL can hold.

    NUL characters and unpaired surrogates become U+FFFD, NaN and infinities become null, integers beyond 64 bits
    become strings, and what JSON has no form for becomes its text.

    Raises:
        NotStorable: it is no object, is nested deeper than `MAX_DEPTH`, or is above `MAX_BYTES` as JSON.
    """
    if not isinstance(value, Mapping):
        raise NotStorable("invalid_result", f"The {name} is {type(value).__name__}, not an object.")
    cleaned: dict[str, Any] = _Cleaner(name).clean(value, 1)
    if _size(cleaned) > MAX_BYTES:
        raise _too_large(name)
    return cleaned


def clean_text(text: str, limit: int = 2000) -> str:
    """`text` as a string that PostgreSQL can hold, at most `limit` characters long."""
    text = text.replace("\0", REPLACEMENT)
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text[:limit]


class _Cleaner:
    """Counts what it has seen, so that a value that contains itself ends as too large, not as no memory."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = MAX_BYTES

    def clean(self, value: object, depth: int) -> Any:  # noqa: PLR0911 - one line a type
        if depth > MAX_DEPTH:
            raise NotStorable("invalid_result", f"The {self._name} is nested deeper than {MAX_DEPTH} levels.")
        self._spend(1)
        match value:
            case None | bool():
                return value
            case int():
                return value if -(2**63) <= value < 2**64 else str(value)
            case float():
                return value if math.isfinite(value) else None
            case str():
                self._spend(len(value))
                return clean_text(value, MAX_BYTES)
            case Mapping():
                return {clean_text(str(key), MAX_BYTES): self.clean(item, depth + 1) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.clean(item, depth + 1) for item in value]
            case _:
                return clean_text(str(value), MAX_BYTES)

    def _spend(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise _too_large(self._name)


def _size(value: object) -> int:
    # jsonb prints a space after each colon and comma, and that text is what the engine measures.
    spaces = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            spaces += max(0, 2 * len(item) - 1)
            waiting += item.values()
        elif isinstance(item, list):
            spaces += max(0, len(item) - 1)
            waiting += item
    return len(orjson.dumps(value)) + spaces


def _too_large(name: str) -> NotStorable:
    return NotStorable("result_too_large", f"The {name} is above 64 KB; store it in a bucket and return its address.")
