"""Who a token stands for: checked signature, and the role and claims the database will see."""

import json
import time
from dataclasses import dataclass
from typing import Any

import jwt

_UNCHECKED = {
    f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
}  # expiry is checked below, where the message can name the seconds; the others are not Realtime's business


class TokenError(Exception):
    """A token was refused. `code` is the prefix Realtime gives the reason when it refuses a join."""

    def __init__(self, code: str, message: str) -> None:
        """Keep both parts: a refused join shows `code: message`, everything else the message alone."""
        super().__init__(message)
        self.code = code


class ExpiredTokenError(TokenError):
    """The token was good until `exp`."""

    def __init__(self, expired_at: float) -> None:
        """`expired_at` in seconds since 1970."""
        seconds = max(0, int(time.time() - expired_at))
        super().__init__("InvalidJWTToken", f"Token has expired {seconds} seconds ago")


@dataclass(frozen=True, slots=True)
class Identity:
    """One subscriber in the eyes of the database.

    Attributes:
        token: the token itself.
        role: database role, as the claim `role` names it.
        claims: the claims as JSON text, as policies find them in `request.jwt.claims`.
        expires_at: seconds since 1970.
    """

    token: str
    role: str
    claims: str
    expires_at: float

    def check_expiry(self) -> None:
        """Raise `ExpiredTokenError` if the token's time is over."""
        if self.expires_at <= time.time():
            raise ExpiredTokenError(self.expires_at)


def read_token(token: str, secret: str) -> Identity:
    """Check `token` and say whom it stands for.

    Raises:
        TokenError: it is no JWT, signed with another secret, over, or without `role` or `exp`.
    """
    claims = _signed_claims("".join(token.split()), secret)
    role, expires_at = claims.get("role"), claims.get("exp")
    if not isinstance(role, str) or not role or isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        raise TokenError("InvalidJWTToken", "Fields `role` and `exp` are required in JWT")
    identity = Identity(token, role, json.dumps(claims, sort_keys=True), expires_at)
    identity.check_expiry()
    return identity


def _signed_claims(token: str, secret: str) -> dict[str, Any]:
    try:
        return jwt.decode(token, secret, algorithms=["HS256"], options=_UNCHECKED)  # type: ignore[arg-type]
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as error:
        raise TokenError("JwtSignatureError", "Failed to validate JWT signature") from error
    except jwt.InvalidTokenError as error:
        raise TokenError("MalformedJWT", "The token provided is not a valid JWT") from error
