"""Jobs and payloads as people hand them over: in an option, in a file, on stdin. What is wrong is named by its line."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from filaviva.cli.keyboard import interruptible
from filaviva.errors import InvalidRequest, PayloadTooLarge
from filaviva.filters import check_new_job

MAX_PAYLOAD_BYTES = 256_000
_BATCH_JOBS = 1000
_BATCH_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One job of a file, checked."""

    number: int
    """Counted from 1."""
    job: dict[str, Any]
    size: int
    """Bytes of its JSON."""


def read_object(text: str, option: str) -> dict[str, Any]:
    """The JSON object in `text`, in the file that ``@file`` names, or on stdin for ``-``.

    Raises:
        InvalidRequest: it cannot be read, or is no JSON object.
    """
    where = option
    if text == "-" or text.startswith("@"):
        where = "stdin" if text == "-" else text[1:]
        text = _read(text.removeprefix("@"), option)
    return _parse_object(text, where)


def read_lines(path: str, defaults: Mapping[str, Any]) -> list[Line]:
    """Every job of a file with one JSON object a line, all checked; empty lines are passed over.

    Args:
        path: the file; ``-`` is stdin.
        defaults: fields for the lines that do not set them. A default `idempotency_key` gets the line's number.

    Raises:
        InvalidRequest: the file cannot be read, or a line is wrong; the message names it.
        PayloadTooLarge: a line's payload is.
    """
    name = "stdin" if path == "-" else path
    lines = list[Line]()
    for number, text in enumerate(_read(path, "--many").split("\n"), 1):
        if text.strip():
            where = f"{name}, line {number}"
            own = {**defaults, **_parse_object(text, where)}
            if "idempotency_key" in defaults and own["idempotency_key"] == defaults["idempotency_key"]:
                own["idempotency_key"] = f"{defaults['idempotency_key']}:{number}"
            lines.append(Line(number, check_new_job(own, where), _size(own, where)))
    return lines


def batches(lines: list[Line]) -> Iterator[list[Line]]:
    """The lines in portions that one call takes well."""
    batch, size = list[Line](), 0
    for line in lines:
        if batch and (len(batch) == _BATCH_JOBS or size + line.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += line.size
    if batch:
        yield batch


def _read(path: str, option: str) -> str:
    """JSON is UTF-8, whatever the locale says; some programs begin it with a mark that is no part of it."""
    try:
        with interruptible():
            text = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return text.decode("utf-8-sig")
    except OSError as error:
        raise _wrong(f"{option}: {path} cannot be read: {error.strerror}.", "Check the path.") from None
    except UnicodeDecodeError as error:
        raise _wrong(f"{option}: {path} is not UTF-8 at byte {error.start}.", "Write the file as UTF-8.") from None


def _parse_object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}, column {error.colno}"
        raise _wrong(f"{where}: no JSON at {place}: {error.msg}.", 'Write an object such as {"a": 1}.') from None
    except (ValueError, RecursionError) as error:
        raise _wrong(f"{where}: no JSON: {error}.", 'Write an object such as {"a": 1}.') from None
    if not isinstance(value, dict):
        raise _wrong(
            f"{where}: expected a JSON object, found {_JSON_NAMES[type(value)]}.", 'Write an object such as {"a": 1}.'
        )
    return value


_JSON_NAMES = {
    list: "an array", str: "a string", int: "a number", float: "a number", bool: "a truth value", type(None): "null",
}  # fmt: skip


def _size(job: Mapping[str, Any], where: str) -> int:
    try:
        payload = len(json.dumps(job.get("payload"), ensure_ascii=False).encode())
        total = len(json.dumps(job, ensure_ascii=False, default=str).encode())
    except UnicodeEncodeError:
        raise _wrong(f"{where}: a text holds half of a surrogate pair.", "Write whole characters.") from None
    if payload > MAX_PAYLOAD_BYTES:
        raise PayloadTooLarge(
            f"{where}: the payload has {payload:,} bytes, {MAX_PAYLOAD_BYTES:,} are allowed.", code="payload_too_large"
        )
    return total


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _wrong(message: str, hint: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_json", hint=hint)
