"""Who a token stands for: checked signature, and the role and claims the database will see."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from devstack.tokens import Key, KeySet, UnprovenTokenError, read_keys, signed_payload

_HMACS = ("HS256", "HS384", "HS512")


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


def read_token(token: str, keys: str) -> Identity:
    """Check `token` and say whom it stands for.

    Expiry is checked here, where the message can name the seconds; the other claims about validity are not
    Realtime's business.

    Args:
        token: a JWT; spaces in it do not matter.
        keys: the secret or the JWK set that tokens are believed by.

    Raises:
        TokenError: it is no JWT, signed with another key, over, or without `role` or `exp`.
    """
    claims = _signed_claims("".join(token.split()), read_keys(keys))
    role, expires_at = claims.get("role"), claims.get("exp")
    if not isinstance(role, str) or not role or isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        raise TokenError("InvalidJWTToken", "Fields `role` and `exp` are required in JWT")
    identity = Identity(token, role, json.dumps(claims, sort_keys=True), expires_at)
    identity.check_expiry()
    return identity


def _signed_claims(token: str, keys: KeySet) -> dict[str, Any]:
    try:
        algorithm, suitable = _signers(jwt.get_unverified_header(token), keys)
        claims = json.loads(signed_payload(token, algorithm, suitable))
    except UnprovenTokenError:
        raise TokenError("JwtSignatureError", "Failed to validate JWT signature") from None
    except (jwt.InvalidTokenError, ValueError):
        claims = None
    if not isinstance(claims, dict):
        raise TokenError("MalformedJWT", "The token provided is not a valid JWT")
    return claims


def _signers(header: Mapping[str, Any], keys: KeySet) -> tuple[str, Sequence[Key]]:
    """The algorithm a token names, and the keys that it may be of.

    Realtime is stricter than REST with public keys, which a token must name, and more lenient with secrets: they
    may sign by any HMAC, and where none has the token's name, the project's is taken.
    """
    algorithm, kid = str(header.get("alg")), header.get("kid")
    if header.get("typ") != "JWT":
        raise _no_signer()
    if algorithm in _HMACS:
        secrets = [key for key in keys.keys if key.is_shared]
        return algorithm, [key for key in secrets if key.kid == kid] or [key for key in secrets if key.kid is None]
    named = [key for key in keys.keys if kid is not None and key.kid == kid and algorithm in key.algorithms]
    if not named:
        raise _no_signer()
    return algorithm, named


def _no_signer() -> TokenError:
    reason = "Failed to generate JWT signer, check your JWT secret or JWKS configuration"
    return TokenError("JwtSignerError", reason)
