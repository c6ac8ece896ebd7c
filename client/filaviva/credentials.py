"""What a client is given to reach a project: looked at when it is set, since a bad value would fail late and badly.

A key or token travels in a header. One that cannot stand there would be printed by whatever chokes on
it, and look like a project that does not answer. No error of this module holds the value.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import httpx

from filaviva.errors import InvalidRequest

_PRINTABLE = re.compile(r"[!-~]+")


def check_url(url: str) -> None:
    """Refuse what is no web address.

    Raises:
        InvalidRequest: `invalid_url`.
    """
    if not _is_web_address(url):
        raise InvalidRequest(
            f"url: expected the project's URL, found {url!r}.",
            code="invalid_url",
            hint="It looks like https://<project>.supabase.co.",
        )


def check_key(key: str) -> None:
    """Refuse what cannot be a project's key.

    Raises:
        InvalidRequest: `invalid_key`.
    """
    if not _fits_a_header(key):
        raise InvalidRequest(
            f"key: expected the project's anon or publishable key, found {_described(key)}.",
            code="invalid_key",
            hint="Copy it from the project's API settings, without spaces or a line end.",
        )


def check_token(token: str | None) -> None:
    """Refuse what cannot be an access token; None is no token, and allowed.

    Raises:
        InvalidRequest: `invalid_token`.
    """
    if token is not None and not _fits_a_header(token):
        raise InvalidRequest(
            f"access_token: expected a user's access token or None, found {_described(token)}.",
            code="invalid_token",
            hint="Pass the token as sign-in gave it, without spaces or a line end.",
        )


def read_claims(token: str) -> Mapping[str, Any]:
    """What a token says about itself, unchecked: the server decides what it is worth. Empty for an opaque key."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _fits_a_header(value: object) -> bool:
    return isinstance(value, str) and _PRINTABLE.fullmatch(value) is not None


def _described(value: object) -> str:
    if not isinstance(value, str):
        return type(value).__name__
    return "characters other than printable ASCII without spaces" if value else "nothing"


def _is_web_address(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except (TypeError, httpx.InvalidURL):
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host) and _PRINTABLE.fullmatch(str(url)) is not None
