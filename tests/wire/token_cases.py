"""Tokens that are good, and tokens that only look so: what REST, Auth and Realtime must answer to each.

REST's answer is the role a request runs as, or PostgREST's code and status; that of Auth `200` or its error
code; that of Realtime `in`, or the start of what it says, 414 when the address is too long for it.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devstack.keys import ProjectKeys
from devstack.signing import SigningKey

UNPROVEN = ("PGRST301 401", "bad_jwt", "Failed to validate JWT signature")
NO_SUCH_KEY = ("PGRST301 401", "bad_jwt", "Failed to generate JWT signer")
UNREADABLE = ("PGRST301 401", "bad_jwt", "The token provided is not a valid JWT")
NO_CLAIMS = ("PGRST303 401", "bad_jwt", "The token provided is not a valid JWT")
ENDED = "Token has expired"
INCOMPLETE = "Fields `role` and `exp` are required in JWT"
GOOD = ("authenticated", "200", "in")


@dataclass(frozen=True, slots=True)
class Mint:
    """Makes tokens for one user of a project: with its keys, with others, and with none."""

    keys: ProjectKeys
    user: str

    def claims(self, **changes: Any) -> dict[str, Any]:
        """A session's claims, changed; those set to `...` left out."""
        now = int(time.time())
        usual = {"sub": self.user, "role": "authenticated", "aud": "authenticated", "iat": now, "exp": now + 3600}
        return {name: value for name, value in {**usual, **changes}.items() if value is not ...}

    def shared(self, *, header: dict[str, Any] | None = None, alg: str = "HS256", **changes: Any) -> str:
        """Signed with the project's secret, by HMAC."""
        return jwt.api_jws.encode(
            json.dumps(self.claims(**changes)).encode(), self.keys.jwt_secret, algorithm=alg, headers=header
        )

    def own(self, number: int, *, kid: str | None = None, **changes: Any) -> str:
        """Signed with one of the project's signing keys, under its name unless told another ('': none)."""
        key = self.signing_key(number)
        name = key.kid if kid is None else kid
        return jwt.encode(self.claims(**changes), key.private, key.algorithm, headers={"kid": name} if name else None)

    def foreign(self, algorithm: str, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Signed with a key that is not the project's."""
        key: Any = "another-secret-of-at-least-thirty-two-characters"
        if algorithm == "ES256":
            key = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "RS256":
            key = rsa.generate_private_key(65537, 2048)
        return jwt.encode(self.claims(**changes), key, algorithm, headers=header)

    def by_hand(self, header: dict[str, Any], *, key: bytes | None = None, signature: str = "", **changes: Any) -> str:
        """Any header at all; with `key`, its HMAC as the signature, whatever the header says."""
        text = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(self.claims(**changes)).encode())}"
        if key is not None:
            signature = encoded(hmac.new(key, text.encode(), hashlib.sha256).digest())
        return f"{text}.{signature}"

    def mac(self, key: bytes | None = None, **header: Any) -> str:
        """An HMAC of `key` (None: the project's secret), and this header over HS256."""
        return self.by_hand(
            {"alg": "HS256", "typ": "JWT", **header}, key=self.keys.jwt_secret.encode() if key is None else key
        )

    def payload(self, payload: bytes) -> str:
        """Something else than claims, signed with the project's secret."""
        return jwt.api_jws.encode(payload, self.keys.jwt_secret, algorithm="HS256")

    def signing_key(self, number: int) -> SigningKey:
        """One of the project's: 0 is EC, 1 is RSA."""
        return self.keys.signing_keys[number]

    def public(self, number: int, encoding: Encoding = Encoding.PEM) -> bytes:
        """What everybody can download of it."""
        return self.signing_key(number).private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    def published(self, number: int) -> bytes:
        """The text of its public JWK."""
        return json.dumps(dict(self.signing_key(number).public)).encode()


def in_seconds(number: int) -> int:
    """That time, as tokens have it."""
    return int(time.time()) + number


def encoded(data: bytes) -> str:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _tampered(mint: Mint) -> str:
    header, _, signature = mint.shared().split(".")
    return f"{header}.{encoded(json.dumps(mint.claims(role='service_role')).encode())}.{signature}"


def _asn1_signature(mint: Mint) -> str:
    """ES256 with the signature in ASN.1, as other formats have it."""
    key = mint.signing_key(0)
    text, _, signature = mint.own(0).rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    numbers = [raw[:32].lstrip(b"\0"), raw[32:].lstrip(b"\0")]
    parts = b"".join(b"\x02" + bytes([len(n) + (n[0] >> 7)]) + b"\0" * (n[0] >> 7) + n for n in numbers)
    assert key.algorithm == "ES256"
    return f"{text}.{encoded(b'0' + bytes([len(parts)]) + parts)}"


Case = tuple[str, Callable[[Mint], str], tuple[str, str, str]]

CASES: list[Case] = [
    ("the shared secret's", lambda m: m.shared(), GOOD),
    ("an EC key's", lambda m: m.own(0), GOOD),
    ("an RSA key's", lambda m: m.own(1), GOOD),
    ("an EC key's that names no key", lambda m: m.own(0, kid=""), ("authenticated", "bad_jwt", NO_SUCH_KEY[2])),
    ("the shared secret's by HS384", lambda m: m.shared(alg="HS384"), (*UNPROVEN[:2], "in")),
    ("the shared secret's, under an unknown name", lambda m: m.mac(kid="unknown"), (*UNPROVEN[:2], "in")),
    ("the shared secret's that does not say it is a JWT", lambda m: m.mac(typ=None), (*GOOD[:2], NO_SUCH_KEY[2])),
    ("an anonymous user's", lambda m: m.shared(is_anonymous=True), GOOD),
    ("of 9 kB", lambda m: m.shared(user_metadata={"text": "x" * 7_000}), ("authenticated", "200", "414")),
    ("of 40 kB", lambda m: m.shared(user_metadata={"text": "x" * 30_000}), ("authenticated", "200", "414")),
    ("without a role", lambda m: m.shared(role=...), ("anon", "200", INCOMPLETE)),
    ("with a role that is no text", lambda m: m.shared(role=5), ("22023 401", "bad_jwt", INCOMPLETE)),
    ("with a role that does not exist", lambda m: m.shared(role="nobody"), ("22023 401", "200", "in")),
    ("with a role that was not granted", lambda m: m.shared(role="supabase_admin"), ("42501 403", "200", "in")),
    ("for another audience", lambda m: m.shared(aud="others"), GOOD),
    ("for several audiences", lambda m: m.shared(aud=["others", "authenticated"]), GOOD),
    ("for an audience that is no text", lambda m: m.shared(aud=5), ("PGRST303 401", "bad_jwt", "in")),
    ("that never ends", lambda m: m.shared(exp=...), ("authenticated", "200", INCOMPLETE)),
    ("that ended 25 s ago", lambda m: m.shared(exp=in_seconds(-25)), ("authenticated", "bad_jwt", ENDED)),
    ("that ended 31 s ago", lambda m: m.shared(exp=in_seconds(-31)), ("PGRST303 401", "bad_jwt", ENDED)),
    ("that ends at a fraction", lambda m: m.shared(exp=in_seconds(99) + 0.5), ("PGRST303 401", "200", "in")),
    ("that ends later, in text", lambda m: m.shared(exp="later"), ("PGRST303 401", "bad_jwt", INCOMPLETE)),
    ("that ends at digits in text", lambda m: m.shared(exp="9999999999"), ("PGRST303 401", "bad_jwt", INCOMPLETE)),
    ("that begins in 25 s", lambda m: m.shared(nbf=in_seconds(25)), ("authenticated", "bad_jwt", "in")),
    ("that begins in 40 s", lambda m: m.shared(nbf=in_seconds(40)), ("PGRST303 401", "bad_jwt", "in")),
    ("that begins at true", lambda m: m.shared(nbf=True), ("PGRST303 401", "bad_jwt", "in")),
    ("issued in 25 s", lambda m: m.shared(iat=in_seconds(25)), GOOD),
    ("issued in 40 s", lambda m: m.shared(iat=in_seconds(40)), ("PGRST303 401", "200", "in")),
    ("of alg none", lambda m: m.by_hand({"alg": "none", "typ": "JWT"}, role="service_role"), NO_SUCH_KEY),
    ("of alg None", lambda m: m.by_hand({"alg": "None", "typ": "JWT"}, role="service_role"), NO_SUCH_KEY),
    ("of alg NONE", lambda m: m.by_hand({"alg": "NONE", "typ": "JWT"}, role="service_role"), NO_SUCH_KEY),
    ("of alg nOnE with a signature", lambda m: m.by_hand({"alg": "nOnE"}, key=b"x"), NO_SUCH_KEY),
    ("of alg none, signed with the secret", lambda m: m.mac(alg="none"), NO_SUCH_KEY),
    ("of an alg that is a list", lambda m: m.mac(alg=["HS256"]), NO_SUCH_KEY),
    ("of no alg", lambda m: m.mac(alg=None), NO_SUCH_KEY),
    ("of alg HS256 without a signature", lambda m: m.by_hand({"alg": "HS256", "typ": "JWT"}), UNPROVEN),
    ("signed with the RSA public key", lambda m: m.mac(m.public(1)), UNPROVEN),
    ("signed with the RSA public key, under its name", lambda m: m.mac(m.public(1), kid="rsa"), UNPROVEN),
    ("signed with the RSA public key in DER", lambda m: m.mac(m.public(1, Encoding.DER), kid="rsa"), UNPROVEN),
    ("signed with the EC public key, under its name", lambda m: m.mac(m.public(0), kid="ec"), UNPROVEN),
    ("signed with the text of the public JWK", lambda m: m.mac(m.published(0), kid="ec"), UNPROVEN),
    ("of another secret", lambda m: m.foreign("HS256"), UNPROVEN),
    ("of another secret, as the service role", lambda m: m.foreign("HS256", role="service_role"), UNPROVEN),
    ("of another EC key under our name", lambda m: m.foreign("ES256", header={"kid": "ec"}), UNPROVEN),
    ("of another RSA key under our name", lambda m: m.foreign("RS256", header={"kid": "rsa"}), UNPROVEN),
    ("of another EC key that it brings", lambda m: m.foreign("ES256", header={"jwk": {"kty": "EC"}}), NO_SUCH_KEY),
    ("of another RSA key, with a link to it", lambda m: m.foreign("RS256", header={"jku": "http://a/"}), NO_SUCH_KEY),
    ("of the EC key under the RSA key's name", lambda m: m.own(0, kid="rsa"), NO_SUCH_KEY),
    ("of an empty key whose name is a path", lambda m: m.mac(b"", kid="../../../../dev/null"), UNPROVEN),
    ("of a key whose name is SQL", lambda m: m.mac(b"key", kid="x' union select 'key' --"), UNPROVEN),
    ("of a key whose name is a number", lambda m: m.mac(kid=5), UNREADABLE),
    ("with another payload under its signature", _tampered, UNPROVEN),
    ("with half a signature", lambda m: m.shared()[:-23], UNPROVEN),
    ("with a signature in another form", _asn1_signature, UNPROVEN),
    ("whose payload is a list", lambda m: m.payload(b"[1]"), NO_CLAIMS),
    ("whose payload is no JSON", lambda m: m.payload(b"none"), NO_CLAIMS),
    ("of two parts", lambda m: m.shared().rpartition(".")[0], UNREADABLE),
    ("of four parts", lambda m: m.shared() + ".x", UNREADABLE),
    ("of five parts", lambda m: "a.b.c.d.e", UNREADABLE),
    ("that is none at all", lambda m: "a.b.c", UNREADABLE),
    ("that is empty", lambda m: "", ("PGRST301 401", "no_authorization", "API key is missing")),
]  # fmt: skip
