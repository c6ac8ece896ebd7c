"""What the platforms' sign-ins differ in, as data; how they work is the same for all of them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeGuard

from functions.jobs.outcomes import JsonObject
from functions.platforms.oauth.calls import OAuthCalls, OAuthRefused

DAY_SECONDS = 86_400
LONGEST_NAME = 200
"""Characters of an account's name that are kept."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
RefreshWay = Literal["refresh_token", "same_token", "page_token"]
"""How a token is renewed: with a refresh token, with itself while it lives, or by asking the user's token for the
page's again."""


@dataclass(frozen=True, slots=True)
class App:
    """The operator's registration at a platform."""

    client_id: str
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a platform's token endpoint gave."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    """When the access token ends; None where the platform does not say."""
    scopes: tuple[str, ...] | None = None
    """The rights that were granted; None where the platform does not say."""
    facts: JsonObject = field(default_factory=dict, repr=False)
    """The answer as it came; some platforms name the account in it."""

    @classmethod
    def read(cls, body: JsonObject) -> "Tokens":
        """The tokens in a platform's answer.

        Raises:
            OAuthRefused: there is none in it, or one that is no token.
        """
        token, refresh = body.get("access_token"), body.get("refresh_token") or None
        if not is_token(token) or not (refresh is None or is_token(refresh)):
            raise OAuthRefused("no_token")
        return cls(
            token,
            refresh,
            _moment(body.get("expires_in")),
            _scopes(body.get("scope", body.get("permissions"))),
            body,
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose account the tokens open, and what the worker needs beside them."""

    external_id: str
    display_name: str
    kind: str = ""
    extra: JsonObject = field(default_factory=dict)
    """Nothing secret: its owner reads it."""
    page_token: str | None = field(default=None, repr=False)
    """The token that acts for the page, where that is another than the user's."""
    scopes: tuple[str, ...] | None = None
    """The rights that were granted, where the platform tells them only here."""


Identify = Callable[[OAuthCalls, Tokens, "str | None"], Awaitable[Identity]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A GET that trades a token for one that lives longer."""

    url: str
    grant_type: str
    carrier: str = "access_token"
    """The parameter that carries the token."""
    with_client_id: bool = False
    with_client_secret: bool = True


@dataclass(frozen=True, slots=True)
class Network:
    """One platform's sign-in."""

    platform: str
    name: str
    app: Literal["tiktok", "facebook", "instagram", "threads", "youtube", "x", "linkedin"]
    """Whose registration it uses."""
    authorize_url: str
    grant_url: str
    """Where codes and refresh tokens are traded for tokens."""
    scopes: tuple[str, ...]
    required: tuple[str, ...]
    """Without these rights nothing can be published."""
    identify: Identify
    scope_separator: str = " "
    client_parameter: str = "client_id"
    pkce: bool = False
    basic: bool = False
    """Whether the client proves itself with HTTP Basic instead of a field of the form."""
    authorize_parameters: Mapping[str, str] = field(default_factory=dict)
    lengthen: Exchange | None = None
    """The second step, where the code gives a short-lived token only."""
    refresh: RefreshWay = "refresh_token"
    renewal: Exchange | None = None
    """How a token is renewed with itself."""
    refresh_early_seconds: float = 60
    """How long before its end a token is renewed."""
    revoke_url: str | None = None
    """None where the platform has no call for it."""


def is_token(value: object) -> TypeGuard[str]:
    """Whether it can be a token: it has to travel in a header, and a header that is refused may be quoted."""
    return isinstance(value, str) and bool(_TOKEN.fullmatch(value))


def _moment(seconds: object) -> datetime | None:
    """When something ends that lives so many seconds, given as a number or as its text."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | str):
        return None
    try:
        return datetime.now(UTC) + timedelta(seconds=float(seconds))
    except (ValueError, OverflowError):
        return None


def _scopes(value: object) -> tuple[str, ...] | None:
    """Scopes as a list, or as a text with commas or spaces between them."""
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    return tuple(map(str, value)) if isinstance(value, list) else None
