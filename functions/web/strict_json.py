"""JSON as the database can store it: what is ambiguous or cannot be stored is refused, with its place."""

import json
import math
from typing import Any

from functions.web.errors import WebError, bad_request, shown

MAX_DEPTH = 64
REMEDY = "Send one JSON object as UTF-8."


def parse(body: bytes) -> Any:
    """The value of `body`.

    Raises:
        WebError: 400 for anything that is not JSON as RFC 8259 has it, and for repeated keys, NaN, numbers
            that do not fit 64 bits, NUL characters, unpaired surrogates, and nesting beyond `MAX_DEPTH`.
    """
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError as error:
        raise _invalid(f"The body is not UTF-8: byte {error.start} is not part of a character.") from None
    except RecursionError:
        raise _too_deep("") from None
    except json.JSONDecodeError as error:
        message = f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise _invalid(message) from None
    _check(value)
    return value


def _check(value: Any) -> None:
    """Refuse what `json` lets through and jsonb cannot hold."""
    waiting: list[tuple[Any, str, int]] = [(value, "", 1)]
    while waiting:
        item, path, depth = waiting.pop()
        if isinstance(item, str):
            _check_text(item, path)
        elif isinstance(item, (dict, list)):
            if depth > MAX_DEPTH:
                raise _too_deep(path)
            for key, inner in item.items() if isinstance(item, dict) else enumerate(item):
                if isinstance(key, str):
                    _check_text(key, path)
                waiting.append((inner, f"{path}.{key}" if path else str(key), depth + 1))


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise _invalid(f"{shown(path) or 'The body'} contains a NUL character, which cannot be stored.", path)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _invalid(f"{shown(path) or 'The body'} contains half of a surrogate pair, which is no character.", path)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _invalid(f"The key {repeated!r:.100} appears twice in one object.", repeated)
    return members


def _refuse_constant(name: str) -> Any:
    raise _invalid(f"{name} is not a JSON value.")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _invalid(f"The number {text[:30]} is too large.")
    return number


def _int(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**64:
        raise _invalid(f"The number {text[:30]} does not fit 64 bits; send it as a string.")
    return number


def _invalid(message: str, field: str = "") -> WebError:
    return bad_request("invalid_json", message, REMEDY, shown(field) or None)


def _too_deep(path: str) -> WebError:
    return bad_request(
        "invalid_json",
        f"The body is nested deeper than {MAX_DEPTH} levels.",
        "Send a flatter object.",
        shown(path) or None,
    )
