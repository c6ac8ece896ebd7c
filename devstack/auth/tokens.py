"""Access tokens: made for a session, and read back from requests."""

import re
import time
from typing import Any

import jwt
from starlette.requests import Request

from devstack.auth.errors import AuthError
from devstack.auth.records import User
from devstack.auth.sessions import Session
from devstack.auth.settings import AuthSettings

BEARER = re.compile(r"[Bb]earer (\S+)")
_UNCHECKED = {f"verify_{claim}": False for claim in ("iat", "aud", "iss", "sub", "jti")}
_TYPES = {"exp": int | float, "nbf": int | float, "role": str, "aud": str | list}

Claims = dict[str, Any]


def make_access_token(user: User, session: Session, settings: AuthSettings) -> tuple[str, int]:
    """A signed token for `user`, and when it expires, in seconds since 1970."""
    now = int(time.time())
    expires_at = now + settings.access_token_seconds
    claims: Claims = {
        "iss": settings.issuer,
        "sub": str(user.id),
        "aud": user.aud,
        "exp": expires_at,
        "iat": now,
        "email": user.email or "",
        "phone": user.phone or "",
        "app_metadata": user.raw_app_meta_data or {},
        "user_metadata": user.raw_user_meta_data or {},
        "role": user.role,
        "aal": "aal1",
        "amr": [{"method": "password", "timestamp": int(session.created_at.timestamp())}],
        "session_id": str(session.id),
        "is_anonymous": user.is_anonymous,
    }
    if settings.signing_keys:
        return settings.signing_keys[0].sign(claims), expires_at
    return jwt.encode(claims, settings.jwt_secret, algorithm="HS256"), expires_at


def read_bearer(request: Request, settings: AuthSettings) -> Claims:
    """The claims of the request's bearer token.

    Raises:
        AuthError: there is none (401), or it is forged, malformed or expired (403).
    """
    match = BEARER.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise AuthError(401, "no_authorization", "This endpoint requires a valid Bearer token")
    try:
        key, algorithm = _key_for(jwt.get_unverified_header(match[1]), settings)
        claims: Claims = jwt.decode(match[1], key, algorithms=[algorithm], options=_UNCHECKED)  # type: ignore[arg-type]
        _check_types(claims)
    except jwt.InvalidTokenError as error:
        raise bad_jwt(f"invalid JWT: unable to parse or verify signature, {error}") from None
    return claims


def _key_for(header: Claims, settings: AuthSettings) -> tuple[Any, str]:
    """The key that may have signed a token with this header, and by which algorithm; a key is known by its name."""
    kid = header.get("kid")
    if not kid:
        return settings.jwt_secret, "HS256"
    for key in settings.signing_keys:
        if key.kid == kid:
            return key.private.public_key(), key.algorithm
    raise jwt.InvalidTokenError(f"invalid kid: {kid}")


def _check_types(claims: Claims) -> None:
    """The real server reads claims into fields that have a type; there a number is no text, and text no number."""
    for name, kind in _TYPES.items():
        value = claims.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            raise jwt.InvalidTokenError(f"the claim {name} is of a wrong type")


def bad_jwt(message: str) -> AuthError:
    """The token is no good."""
    return AuthError(403, "bad_jwt", message)
