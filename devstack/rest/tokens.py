"""Who is asking: the bearer token, checked as PostgREST checks it, and the role it stands for."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import orjson

from devstack.rest.errors import RestError
from devstack.tokens import (
    KeySet,
    NoSuitableKeyError,
    UnknownAlgorithmError,
    UnprovenTokenError,
    UnsecuredTokenError,
    read_keys,
)

SKEW_SECONDS = 30
"""How far the clocks of issuer and gateway may be apart, either way."""

_CACHE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request runs as: the database role, and the claims as SQL sees them (JSON, with the role in it)."""

    role: str
    claims: bytes
    anonymous: bool


class TokenVerifier:
    """Turns an `Authorization` header into an `Identity`.

    A signature is verified once and remembered; the times in a token are looked at in every request.
    """

    def __init__(
        self, secret: str | None, anon_role: str | None, audience: str | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = read_keys(secret) if secret else None
        self._anon_role, self._audience, self._clock = anon_role, audience, clock
        self._verified: dict[str, dict[str, Any]] = {}
        self._identities: dict[str, Identity] = {}

    def identify(self, authorization: str | None) -> Identity:
        """The identity behind a header; a request without a bearer token is the anonymous role's.

        Raises:
            RestError: PGRST300 to PGRST303, as the token fails.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return self._anonymous()
        if self._keys is None:
            raise RestError(500, "PGRST300", "Server lacks JWT secret")
        token = token.strip()
        claims = self._verified.get(token)
        if claims is None:
            claims = self._remember(token, _verify(token, self._keys))
        _check_claims(claims, self._clock(), self._audience)
        return self._identities.get(token) or self._identity(token, claims)

    def _anonymous(self) -> Identity:
        if self._anon_role is None:
            headers = {"WWW-Authenticate": "Bearer"}
            raise RestError(401, "PGRST302", "Anonymous access is disabled", headers=headers)
        return Identity(self._anon_role, orjson.dumps({"role": self._anon_role}), anonymous=True)

    def _remember(self, token: str, claims: dict[str, Any]) -> dict[str, Any]:
        if len(self._verified) >= _CACHE_SIZE:
            self._verified.clear()
            self._identities.clear()
        self._verified[token] = claims
        return claims

    def _identity(self, token: str, claims: Mapping[str, Any]) -> Identity:
        if "role" not in claims:
            role = self._anonymous().role
        else:
            role = claims["role"] if isinstance(claims["role"], str) else orjson.dumps(claims["role"]).decode()
        identity = Identity(role, orjson.dumps({**claims, "role": role}), role == self._anon_role)
        self._identities[token] = identity
        return identity


def _verify(token: str, keys: KeySet) -> dict[str, Any]:
    """The claims of a token that one of `keys` signed."""
    if not token:
        raise _token_error("Empty JWT is sent in Authorization header")
    parts = token.count(".") + 1
    if parts != 3:
        raise _token_error(f"Expected 3 parts in JWT; got {parts}")
    payload = _proven(token, keys)
    try:
        claims = orjson.loads(payload)
    except orjson.JSONDecodeError:
        claims = None
    if not isinstance(claims, dict):
        raise _claims_error("Parsing claims failed")
    return claims


def _proven(token: str, keys: KeySet) -> bytes:
    """The payload of a token; PostgREST's words for what is wrong with its signature."""
    try:
        return keys.payload(token)
    except (jwt.InvalidTokenError, UnknownAlgorithmError):
        raise _token_error("JWT cryptographic operation failed") from None
    except UnsecuredTokenError:
        details = "JWT is unsecured but expected 'alg' was not 'none'"
        raise _token_error("Wrong or unsupported encoding algorithm", details=details) from None
    except UnprovenTokenError as error:
        none_fits = isinstance(error, NoSuitableKeyError)
        details = "No suitable key was found" if none_fits else "None of the keys was able"
        raise _token_error("No suitable key or wrong key type", details=f"{details} to decode the JWT") from None


def _check_claims(claims: Mapping[str, Any], now: float, audience: str | None) -> None:
    expires, starts, issued = (_time_of(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is not None and now - SKEW_SECONDS > expires:
        raise _claims_error("JWT expired")
    if starts is not None and now + SKEW_SECONDS < starts:
        raise _claims_error("JWT not yet valid")
    if issued is not None and now + SKEW_SECONDS < issued:
        raise _claims_error("JWT issued at future")
    _check_audience(claims.get("aud"), audience)


def _time_of(claims: Mapping[str, Any], name: str) -> int | None:
    """A claim's time in seconds; PostgREST takes one with a fraction, or one beyond 64 bits, for the year 1970."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _claims_error(f"The JWT '{name}' claim must be a number")
    return int(value) if value == int(value) and abs(value) < 2**63 else 0


def _check_audience(told: object, wanted: str | None) -> None:
    audiences = [told] if isinstance(told, str) else told
    if told is None or audiences == []:
        return
    if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
        raise _claims_error("The JWT 'aud' claim must be a string or an array of strings")
    if wanted is not None and wanted not in audiences:
        raise _claims_error("JWT not in audience")


def _token_error(message: str, *, details: str | None = None) -> RestError:
    return RestError(401, "PGRST301", message, details=details, headers=_challenge(message))


def _claims_error(message: str) -> RestError:
    return RestError(401, "PGRST303", message, headers=_challenge(message))


def _challenge(message: str) -> dict[str, str]:
    return {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{message}"'}
