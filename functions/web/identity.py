"""Who is calling: a user with their own token, which the database verifies, or the scheduler with the shared secret."""

import base64
import binascii
import hmac
from uuid import UUID

import orjson
from pydantic import SecretStr
from starlette.requests import Request

from functions.web.errors import WebError, unauthorized

MAX_TOKEN_CHARACTERS = 8192


def bearer(request: Request) -> str:
    """The bearer token of the request, not verified here.

    Raises:
        WebError: 401 when there is none, or when it cannot be one.
    """
    scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise unauthorized(
            "missing_token", "The request carries no bearer token.", "Send the header Authorization: Bearer <token>."
        )
    if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable() or " " in token:
        raise unauthorized("invalid_token", "The bearer token is malformed.", "Sign in again and send the new token.")
    return token


def claimed_user(token: str) -> str | None:
    """Whose token this says it is. Nothing is granted on this: the database verifies the token itself."""
    try:
        part = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return str(UUID(claims["sub"]))
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        return None


def same_user(named: UUID, token: str) -> None:
    """Refuse a body that names another user than the token's.

    Raises:
        WebError: 403 `foreign_user`.
    """
    if claimed_user(token) != str(named):
        raise WebError(
            403,
            "foreign_user",
            "The request names another user than its token.",
            "Send your own user id, or leave it out where it is optional.",
            {"field": "userId"},
        )


def only_scheduler(request: Request, secret: SecretStr) -> None:
    """Let only callers pass that know the internal secret; compared in constant time.

    Raises:
        WebError: 401.
    """
    given = bearer(request).encode()
    if not hmac.compare_digest(given, secret.get_secret_value().encode()):
        raise unauthorized(
            "invalid_token", "The bearer token is not the internal secret.", "Send the value of CRON_SECRET."
        )
