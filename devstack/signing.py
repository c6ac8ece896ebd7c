"""The project's own signing keys: the file that `signing_keys_path` of supabase/config.toml names, as for the CLI.

With such keys Auth signs users' tokens by the first of them, and anybody can check these with the
public halves; without any, the shared secret signs.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
SMALLEST_RSA = 2048

Jwk = Mapping[str, Any]


class SigningKeysError(RuntimeError):
    """The file of signing keys cannot be used; the message names it, the key, and what to do."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key; its name travels in the header of every token it signs.

    Attributes:
        kid: the name, unique in the project.
        algorithm: RS256 or ES256.
        private: the key itself.
        public: its public half as a JWK, as it is published.
    """

    kid: str
    algorithm: str
    private: RSAPrivateKey | EllipticCurvePrivateKey
    public: Jwk

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token with these claims."""
        return jwt.encode(dict(claims), self.private, algorithm=self.algorithm, headers={"kid": self.kid})


def configured_keys(config: Path) -> tuple[SigningKey, ...]:
    """The signing keys of the project with this config.toml; none if it names no file of them, or is not there.

    Raises:
        SigningKeysError: the file it names cannot be used.
    """
    try:
        named = tomllib.loads(config.read_text()).get("auth", {}).get("signing_keys_path")
    except FileNotFoundError:
        return ()
    except tomllib.TOMLDecodeError as error:
        raise SigningKeysError(f"{config} is not TOML: {error}") from None
    return read_signing_keys(config.parent / named) if named else ()


def read_signing_keys(path: Path) -> tuple[SigningKey, ...]:
    """The private keys in a JSON array of JWKs, at least one.

    Raises:
        SigningKeysError: it cannot be read, or a key of it is of no use.
    """
    try:
        jwks = json.loads(path.read_text())
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise _unusable(path, f"is not JSON: {error}") from None
    if not isinstance(jwks, list) or not jwks:
        raise _unusable(path, "must hold an array of at least one JWK")
    keys = tuple(_signing_key(path, number, jwk) for number, jwk in enumerate(jwks, 1))
    if len({key.kid for key in keys}) < len(keys):
        raise _unusable(path, "gives the same kid to two keys")
    return keys


def _signing_key(path: Path, number: int, jwk: object) -> SigningKey:
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
        raise _unusable(path, f"has no kid in key {number}")
    algorithm = ALGORITHMS.get(str(jwk.get("kty")))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        raise _unusable(path, f"says neither RS256 (kty RSA) nor ES256 (kty EC) in key {number}")
    try:
        private = PyJWK(jwk, algorithm).key
    except (jwt.PyJWTError, ValueError) as error:
        raise _unusable(path, f"has no usable key {number}: {error}") from None
    if isinstance(private, RSAPrivateKey) and private.key_size >= SMALLEST_RSA:
        return _named(jwk["kid"], algorithm, private, RSAAlgorithm.to_jwk(private.public_key(), as_dict=True))
    if isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1):
        return _named(jwk["kid"], algorithm, private, ECAlgorithm.to_jwk(private.public_key(), as_dict=True))
    raise _unusable(path, f"needs a private key of curve P-256, or RSA of {SMALLEST_RSA} bits or more, in key {number}")


def _named(kid: str, algorithm: str, private: RSAPrivateKey | EllipticCurvePrivateKey, public: Jwk) -> SigningKey:
    told = {**public, "kid": kid, "alg": algorithm, "use": "sig", "key_ops": ["verify"]}
    return SigningKey(kid, algorithm, private, told)


def _unusable(path: Path, complaint: str) -> SigningKeysError:
    return SigningKeysError(
        f"{path} {complaint}; `supabase gen signing-key --algorithm ES256` makes a key for it, or take"
        " signing_keys_path out of supabase/config.toml"
    )
