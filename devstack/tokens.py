"""Whose signatures are believed: the one place where a token's signature is checked.

A key decides by which algorithm it may have signed, never the token: a public key is no shared secret.
"""

import base64
import contextlib
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt import PyJWK, PyJWS

_ALGORITHMS: dict[str, tuple[str, ...]] = {
    "oct": ("HS256", "HS384", "HS512"),
    "RSA": ("RS256", "RS384", "RS512"),
    "EC": ("ES256", "ES384", "ES512"),
}
"""What a key of a type may have signed with."""

_KNOWN = {"EdDSA"}.union(*_ALGORITHMS.values())


class UnprovenTokenError(Exception):
    """No key that is believed has signed the token."""


class UnsecuredTokenError(UnprovenTokenError):
    """The token says itself that nobody has signed it."""


class UnknownAlgorithmError(UnprovenTokenError):
    """The token names no algorithm that signatures are made with."""


class NoSuitableKeyError(UnprovenTokenError):
    """There is no key of the token's name, or none that signs as the token says."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its name, if it has one, what it may have signed with, and the key itself."""

    kid: object
    algorithms: tuple[str, ...]
    key: Any

    @property
    def is_shared(self) -> bool:
        """Whether it is a secret, which checks what it signs."""
        return self.algorithms[0].startswith("HS")


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys that tokens are believed by. Make one with `read_keys`."""

    keys: tuple[Key, ...]

    def payload(self, token: str) -> bytes:
        """What one of the keys has signed; what it says is not looked at.

        Raises:
            jwt.DecodeError: the token cannot be read.
            UnprovenTokenError: none of the keys that it may be of has signed it; its subclasses say why there is none.
        """
        header = jwt.get_unverified_header(token)
        kid, algorithm = header.get("kid"), header.get("alg")
        if algorithm == "none":
            raise UnsecuredTokenError
        if not isinstance(algorithm, str) or algorithm not in _KNOWN:
            raise UnknownAlgorithmError
        suitable = [key for key in self.keys if algorithm in key.algorithms and kid in (None, key.kid)]
        if not suitable:
            raise NoSuitableKeyError
        return signed_payload(token, algorithm, suitable)


def signed_payload(token: str, algorithm: str, keys: Iterable[Key]) -> bytes:
    """What one of `keys` has signed by `algorithm`; what it says is not looked at.

    Raises:
        jwt.DecodeError: the token cannot be read.
        UnprovenTokenError: none of them has.
    """
    for key in keys:
        with contextlib.suppress(jwt.InvalidTokenError):
            return PyJWS().decode(token, key.key, algorithms=[algorithm])  # type: ignore[no-any-return]
    raise UnprovenTokenError


@functools.lru_cache(maxsize=16)
def read_keys(text: str) -> KeySet:
    """The keys in a setting: a JWK set, one JWK, or plain text as an HMAC key.

    Raises:
        ValueError: it is JSON, but not keys.
    """
    if not text.strip().startswith("{"):
        return KeySet((_key(secret_as_jwk(text)),))
    try:
        value = json.loads(text)
        return KeySet(tuple(_key(jwk) for jwk in value.get("keys", [value])))
    except (ValueError, KeyError, jwt.PyJWTError) as error:
        raise ValueError("jwt_secret looks like JSON but is neither a JWK nor a JWK set") from error


def _key(jwk: Mapping[str, Any]) -> Key:
    """A key that names its algorithm has signed with no other."""
    usual = _ALGORITHMS[jwk["kty"]]
    algorithms = tuple(name for name in usual if jwk.get("alg") in (None, name))
    return Key(jwk.get("kid"), algorithms, PyJWK(dict(jwk), usual[0]).key)


def secret_as_jwk(secret: str) -> dict[str, str]:
    """A shared secret in the form in which it can stand in a key set."""
    return {"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")}
