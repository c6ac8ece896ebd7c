"""Reading a request: its body bounded while it arrives, strictly JSON, checked against a model; and its key."""

import asyncio
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from functions.web import strict_json
from functions.web.errors import WebError, bad_request, shown

MAX_BODY_BYTES = 250 * 1024
BODY_SECONDS = 20
"""How long a body may take to arrive: who sends a byte a second must not hold a place for ever."""

MAX_KEY_CHARACTERS = 128

Model = TypeVar("Model", bound=BaseModel)


async def read_object(request: Request, *, required: bool = True) -> dict[str, Any]:
    """The JSON object in the body; an absent body is ``{}`` unless it is `required`.

    Raises:
        WebError: 400, 408, 413 or 415, saying what to send instead.
    """
    body = await _read(request)
    if not body.strip():
        if required:
            raise bad_request("invalid_json", "The body is empty.", strict_json.REMEDY)
        return {}
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise WebError(
            415,
            "unsupported_media_type",
            f"The content type {content_type[:100]!r} is not JSON.",
            "Send the header Content-Type: application/json.",
        )
    value = strict_json.parse(body)
    if not isinstance(value, dict):
        raise bad_request("invalid_json", f"The body is {_name(value)}, not an object.", strict_json.REMEDY)
    return value


def check(model: type[Model], value: object, place: str = "") -> Model:
    """`value` as `model`.

    Args:
        model: the shape that is expected.
        value: what arrived.
        place: path of `value` in the body, such as ``jobs.3.payload``.

    Raises:
        WebError: 400 `invalid_field`, naming the first wrong field in the message and every one in the details.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid_fields(error, place) from None


def invalid_fields(error: ValidationError, place: str = "") -> WebError:
    """The 400 for what a model refused. It repeats no value, since a value may be a secret."""
    problems = [
        {
            "field": shown(".".join([*filter(None, [place]), *map(str, problem["loc"])])) or "body",
            "problem": problem["msg"],
        }
        for problem in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]
    first = problems[0]
    return WebError(
        400,
        "invalid_field",
        f"{first['field']}: {first['problem'].removeprefix('Value error, ')}.",
        f"Correct {first['field']} and send the request again.",
        {"field": first["field"], "problems": problems},
    )


def idempotency_key(request: Request) -> str | None:
    """The header `Idempotency-Key`, or None where it is not sent.

    Raises:
        WebError: 400 when it cannot be a key. It is shorter than the engine allows, since a suffix may be added.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= MAX_KEY_CHARACTERS and key.isascii() and key.isprintable()):
        raise bad_request(
            "invalid_field",
            f"Idempotency-Key: must be 1 to {MAX_KEY_CHARACTERS} printable ASCII characters.",
            "Send a uuid, for instance, and the same one when you repeat the request.",
            "Idempotency-Key",
        )
    return key


async def _read(request: Request) -> bytes:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise WebError(
            415,
            "unsupported_encoding",
            "Compressed bodies are not accepted.",
            "Send the body without Content-Encoding.",
        )
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 15 or int(declared) > MAX_BODY_BYTES):
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:  # counted as it arrives: the declared length may lie or be absent
                    raise _too_large()
    except TimeoutError:
        hint = f"Send the whole body within {BODY_SECONDS} seconds."
        raise WebError(408, "body_timeout", "The body did not arrive in time.", hint) from None
    except ClientDisconnect:
        raise bad_request("body_incomplete", "The body ended too early.", "Send the whole body.") from None
    return bytes(body)


def _too_large() -> WebError:
    return WebError(
        413,
        "body_too_large",
        "The body is above 250 KB.",
        "Store large data in a bucket and send its address, or split the request.",
        # Who is refused in the middle of a body would send the rest of it into the next request's place.
        headers={"Connection": "close"},
    )


def _name(value: object) -> str:
    if value is None:
        return "null"
    names = {list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")
