"""What requests carry: JSON read strictly, so that a wrong type is refused by name and nothing unstorable gets in."""

import re
from datetime import timedelta
from typing import TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from devstack.auth.errors import AuthError, invalid
from devstack.auth.records import Metadata

MAX_BYTES = 1_000_000
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
EMAIL = re.compile(rf"[\w.!#$%&'*+/=?^`{{|}}~-]+@{LABEL}(\.{LABEL})*", re.ASCII)
NUL = re.compile(rb"(?<!\\)(\\\\)*\\u0000")
"""A NUL as JSON writes it (not an escaped backslash followed by `u0000`), which no text in PostgreSQL can hold."""

DURATION_PART = r"(\d+\.?\d*|\.\d+)(ns|us|ms|s|m|h)"
DURATION = re.compile(rf"([+-]?)({DURATION_PART})+", re.ASCII)
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_SECONDS = 2**63 / 1e9
"""The longest duration that the real server can read: about 292 years."""


class Body(BaseModel):
    """A request's JSON object. Unknown keys are ignored, since clients send extra ones; null means absent."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class SignUp(Body):
    """`POST /signup`."""

    email: str | None = None
    phone: str | None = None
    password: str | None = None
    data: Metadata | None = None


class PasswordGrant(Body):
    """`POST /token?grant_type=password`."""

    email: str | None = None
    phone: str | None = None
    password: str | None = None


class RefreshGrant(Body):
    """`POST /token?grant_type=refresh_token`."""

    refresh_token: str | None = None


class AccountUpdate(Body):
    """`PUT /user`."""

    email: str | None = None
    phone: str | None = None
    password: str | None = None
    data: Metadata | None = None
    app_metadata: Metadata | None = None


class AdminUser(Body):
    """`POST /admin/users` and `PUT /admin/users/{id}`."""

    id: str | None = None
    email: str | None = None
    phone: str | None = None
    password: str | None = None
    password_hash: str | None = None
    email_confirm: bool | None = None
    user_metadata: Metadata | None = None
    app_metadata: Metadata | None = None
    role: str | None = Field(default=None, max_length=255)
    ban_duration: str | None = None


class AdminDelete(Body):
    """`DELETE /admin/users/{id}`."""

    should_soft_delete: bool | None = None


Model = TypeVar("Model", bound=Body)


async def read_body(request: Request, model: type[Model], *, may_be_empty: bool = False) -> Model:
    """The request's body as `model`.

    Raises:
        AuthError: it is too long, not JSON, not storable, or a field has the wrong type; the message names the field.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise AuthError(413, "validation_failed", f"The request body is longer than {MAX_BYTES} bytes")
    if may_be_empty and not body:
        return model()
    try:
        return model.model_validate(_json(bytes(body)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise _bad_json(f"{field}: {first['msg']}") from None


def _json(body: bytes) -> object:
    try:
        value = orjson.loads(body)
        orjson.dumps(value)  # refuses what is nested too deeply to be sent back
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise _bad_json(str(error)) from None
    if NUL.search(body):
        raise _bad_json("the character \\u0000 cannot be stored")
    return value


def _bad_json(reason: str) -> AuthError:
    return AuthError(400, "bad_json", f"Could not parse request body as JSON: {reason}")


def clean_email(text: str) -> str:
    """`text` in lower case.

    Raises:
        AuthError: it is no e-mail address.
    """
    email = text.lower()
    if len(email) > 255:
        raise invalid("An email address is too long")
    if not EMAIL.fullmatch(email):
        raise invalid("Unable to validate email address: invalid format")
    return email


def ban_duration(text: str | None) -> timedelta | None:
    """How long to ban: ``"none"`` ends a ban and is no time at all; None leaves things as they are.

    Raises:
        AuthError: it is neither "none" nor a duration such as "24h" or "1h30m".
    """
    if not text:
        return None
    if text in ("none", "0"):
        return timedelta()
    match = DURATION.fullmatch(text)
    seconds = sum(float(number) * SECONDS[unit] for number, unit in re.findall(DURATION_PART, text))
    if match is None or seconds > LONGEST_SECONDS:
        raise invalid(f'invalid format for ban duration: "{text}" is neither "none" nor like "24h" or "1h30m"')
    return timedelta(seconds=-seconds if match[1] == "-" else seconds)
