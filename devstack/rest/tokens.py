"""Who is asking: the bearer token, checked as PostgREST checks it, and the role it stands for."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import orjson
from jwt import PyJWK, PyJWS

from devstack.rest.errors import RestError

SKEW_SECONDS = 30
"""How far the clocks of issuer and gateway may be apart, either way."""

_CACHE_SIZE = 1000
_ALGORITHMS: dict[str, tuple[str, ...]] = {
    "oct": ("HS256", "HS384", "HS512"),
    "RSA": ("RS256", "RS384", "RS512"),
    "EC": ("ES256", "ES384", "ES512"),
}


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
        self._keys = _keys_of(secret) if secret else []
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
        if not self._keys:
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


def _keys_of(secret: str) -> list[PyJWK]:
    """The keys in a setting: a JWK set, one JWK, or plain text as an HMAC key.

    Raises:
        ValueError: it is JSON, but not keys.
    """
    text = secret.strip()
    if not text.startswith("{"):
        return [PyJWK({"kty": "oct", "k": jwt.utils.base64url_encode(secret.encode()).decode()}, "HS256")]
    try:
        value = orjson.loads(text)
        return [PyJWK(key, _ALGORITHMS[key["kty"]][0]) for key in value.get("keys", [value])]
    except (ValueError, KeyError, jwt.PyJWTError) as error:
        raise ValueError("jwt_secret looks like JSON but is neither a JWK nor a JWK set") from error


def _verify(token: str, keys: Sequence[PyJWK]) -> dict[str, Any]:
    """The claims of a token that one of `keys` signed."""
    if not token:
        raise _token_error("Empty JWT is sent in Authorization header")
    parts = token.count(".") + 1
    if parts != 3:
        raise _token_error(f"Expected 3 parts in JWT; got {parts}")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise _token_error("JWT cryptographic operation failed") from None
    payload = _payload(token, _candidates(keys, header.get("kid")), header.get("alg"))
    try:
        claims = orjson.loads(payload)
    except orjson.JSONDecodeError:
        claims = None
    if not isinstance(claims, dict):
        raise _claims_error("Parsing claims failed")
    return claims


def _candidates(keys: Sequence[PyJWK], kid: object) -> Sequence[PyJWK]:
    """The key that the token names, or all when it names none of ours."""
    named = [key for key in keys if kid is not None and key.key_id == kid]
    return named or [key for key in keys if kid is None or key.key_id is None]


def _payload(token: str, keys: Sequence[PyJWK], algorithm: object) -> bytes:
    usable = [key for key in keys if algorithm in _ALGORITHMS.get(str(key.key_type), ())]
    for key in usable:
        try:
            return PyJWS().decode(token, key.key, algorithms=[str(algorithm)])  # type: ignore[no-any-return]
        except jwt.InvalidTokenError:
            continue
    details = "None of the keys was able to decode the JWT"
    raise _token_error("No suitable key or wrong key type", details=details)


def _check_claims(claims: Mapping[str, Any], now: float, audience: str | None) -> None:
    expires, starts, issued = (_time_of(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is not None and now - SKEW_SECONDS > expires:
        raise _claims_error("JWT expired")
    if starts is not None and now + SKEW_SECONDS < starts:
        raise _claims_error("JWT not yet valid")
    if issued is not None and now + SKEW_SECONDS < issued:
        raise _claims_error("JWT issued at future")
    _check_audience(claims.get("aud"), audience)


def _time_of(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise _claims_error(f"The JWT '{name}' claim must be a number")


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
