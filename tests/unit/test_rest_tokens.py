"""Bearer tokens: which are believed, and how the others are refused."""

import base64
import json
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from devstack.rest.errors import RestError
from devstack.rest.tokens import TokenVerifier

SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
NOW = 1_800_000_000


def verifier(secret: str | None = SECRET, *, anon: str | None = "anon", aud: str | None = None) -> TokenVerifier:
    return TokenVerifier(secret, anon, aud, clock=lambda: NOW)


def token(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def forged(header: dict[str, Any], claims: Any, signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
    return ".".join((*parts, signature))


def refusal(header: str | None, by: TokenVerifier | None = None) -> RestError:
    with pytest.raises(RestError) as refused:
        (by or verifier()).identify(header)
    return refused.value


def test_without_a_token_one_is_anonymous() -> None:
    for header in (None, "", "Basic abc", "apikey"):
        identity = verifier().identify(header)
        assert (identity.role, identity.claims, identity.anonymous) == ("anon", b'{"role":"anon"}', True)


def test_a_token_gives_role_and_claims() -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        identity = verifier().identify(f"{scheme} {token({'role': 'service_role', 'sub': 'x', 'n': [1]})}")
        assert (identity.role, identity.anonymous) == ("service_role", False)
        assert orjson.loads(identity.claims) == {"role": "service_role", "sub": "x", "n": [1]}


def test_a_token_without_a_role_is_the_anonymous_roles() -> None:
    identity = verifier().identify(f"Bearer {token({'sub': 'x'})}")
    assert (identity.role, identity.anonymous) == ("anon", True)
    assert orjson.loads(identity.claims) == {"role": "anon", "sub": "x"}


def test_a_role_that_is_no_text_is_its_json() -> None:
    assert verifier().identify(f"Bearer {token({'role': 5})}").role == "5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Empty JWT is sent in Authorization header"),
        ("abc", "Expected 3 parts in JWT; got 1"),
        ("a.b", "Expected 3 parts in JWT; got 2"),
        ("a.b.c.d", "Expected 3 parts in JWT; got 4"),
        ("a.b.c", "JWT cryptographic operation failed"),
        ("..", "JWT cryptographic operation failed"),
        (token({"role": "anon"}, "another-secret-of-at-least-32-characters"), "No suitable key or wrong key type"),
        (token({"role": "anon"})[:-3] + "abc", "No suitable key or wrong key type"),
        (forged({"alg": "none"}, {"role": "service_role"}), "Wrong or unsupported encoding algorithm"),
        (forged({"alg": "None"}, {"role": "service_role"}), "JWT cryptographic operation failed"),
        (forged({"alg": "NONE"}, {"role": "service_role"}, "eA"), "JWT cryptographic operation failed"),
        (forged({"alg": 5}, {"role": "service_role"}), "JWT cryptographic operation failed"),
        (forged({"alg": ["HS256"]}, {"role": "service_role"}), "JWT cryptographic operation failed"),
        (forged({"alg": "RS256"}, {"role": "service_role"}, "eA"), "No suitable key or wrong key type"),
        (forged({"alg": "HS256", "kid": 5}, {"role": "service_role"}), "JWT cryptographic operation failed"),
    ],
)
def test_a_token_that_proves_nothing_is_pgrst301(text: str, message: str) -> None:
    error = refusal(f"Bearer {text}")
    assert (error.status, error.code, error.message) == (401, "PGRST301", message)
    assert error.headers["WWW-Authenticate"] == f'Bearer error="invalid_token", error_description="{message}"'


@pytest.mark.parametrize(
    ("text", "details"),
    [
        (forged({"alg": "none"}, {}), "JWT is unsecured but expected 'alg' was not 'none'"),
        (forged({"alg": "RS256"}, {}, "eA"), "No suitable key was found to decode the JWT"),
        (token({}, algorithm="HS384"), "No suitable key was found to decode the JWT"),
        (token({})[:-3] + "abc", "None of the keys was able to decode the JWT"),
        ("a.b.c", None),
    ],
)
def test_the_details_say_what_was_wrong_with_the_signature(text: str, details: str | None) -> None:
    assert refusal(f"Bearer {text}").details == details


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"exp": NOW - 31}, "JWT expired"),
        ({"exp": NOW + 3600.5}, "JWT expired"),
        ({"exp": 10**30}, "JWT expired"),
        ({"nbf": NOW + 31}, "JWT not yet valid"),
        ({"iat": NOW + 31}, "JWT issued at future"),
        ({"exp": "soon"}, "The JWT 'exp' claim must be a number"),
        ({"nbf": True}, "The JWT 'nbf' claim must be a number"),
        ({"iat": [NOW]}, "The JWT 'iat' claim must be a number"),
        ({"aud": 5}, "The JWT 'aud' claim must be a string or an array of strings"),
        ({"aud": ["a", 5]}, "The JWT 'aud' claim must be a string or an array of strings"),
        ({"aud": "others"}, "JWT not in audience"),
        ({"aud": ["others"]}, "JWT not in audience"),
    ],
)
def test_claims_that_do_not_hold_are_pgrst303(claims: dict[str, Any], message: str) -> None:
    text = jwt.api_jws.encode(json.dumps({"role": "anon", **claims}).encode(), SECRET, algorithm="HS256")
    error = refusal(f"Bearer {text}", verifier(aud="ours"))
    assert (error.status, error.code, error.message) == (401, "PGRST303", message)
    assert "WWW-Authenticate" in error.headers


@pytest.mark.parametrize("payload", [b"[1]", b"5", b"not json", b'"text"', b"\xff"])
def test_a_payload_that_is_no_object_is_pgrst303(payload: bytes) -> None:
    text = jwt.api_jws.encode(payload, SECRET, algorithm="HS256")
    assert refusal(f"Bearer {text}").code == "PGRST303"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 29}, {"nbf": NOW + 29}, {"iat": NOW + 29.0}, {"exp": NOW + 3600.0}, {"exp": None},
        {"nbf": NOW + 3600.5}, {"nbf": 10**30},
        {"aud": "ours"}, {"aud": ["x", "ours"]}, {"aud": []}, {"aud": None}, {},
    ],
)  # fmt: skip
def test_clocks_may_differ_by_half_a_minute_and_an_audience_may_be_missing(claims: dict[str, Any]) -> None:
    text = jwt.api_jws.encode(json.dumps({"role": "anon", **claims}).encode(), SECRET, algorithm="HS256")
    assert verifier(aud="ours").identify(f"Bearer {text}").role == "anon"


def test_without_a_configured_audience_any_is_good() -> None:
    assert verifier().identify(f"Bearer {token({'aud': 'whoever'})}").role == "anon"


def test_a_remembered_token_still_expires() -> None:
    now = [NOW]
    remembering = TokenVerifier(SECRET, "anon", None, clock=lambda: now[0])
    header = f"Bearer {token({'exp': NOW + 10})}"
    assert remembering.identify(header).role == "anon"
    now[0] = NOW + 41
    assert refusal(header, remembering).message == "JWT expired"


def test_any_number_of_tokens_can_come() -> None:
    by = verifier()
    for number in range(1500):
        assert b"%d" % number in by.identify(f"Bearer {token({'n': number})}").claims


def test_without_a_secret_a_token_is_pgrst300() -> None:
    error = refusal("Bearer a.b.c", verifier(None))
    assert (error.status, error.code) == (500, "PGRST300")


def test_without_an_anonymous_role_a_token_with_a_role_is_needed() -> None:
    by = verifier(anon=None)
    for header in (None, f"Bearer {token({'sub': 'x'})}"):
        error = refusal(header, by)
        assert (error.status, error.code, error.headers) == (401, "PGRST302", {"WWW-Authenticate": "Bearer"})
    assert by.identify(f"Bearer {token({'role': 'service_role'})}").role == "service_role"


def test_keys_can_be_a_set_and_are_picked_by_their_name() -> None:
    rsa_key, ec_key = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    keys = {
        "keys": [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key())), "kid": "r"},
            {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec_key.public_key())), "kid": "e"},
            {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")},
        ]
    }
    by = verifier(json.dumps(keys))
    claims = {"role": "authenticated"}
    for text in (
        token(claims, rsa_key, "RS256", kid="r"),
        token(claims, ec_key, "ES256", kid="e"),
        token(claims, ec_key, "ES256"),
        token(claims),
    ):
        assert by.identify(f"Bearer {text}").role == "authenticated"
    for text in (token(claims, rsa_key, "RS256", kid="e"), token(claims, kid="unknown"), token(claims, kid="r")):
        assert refusal(f"Bearer {text}", by).details == "No suitable key was found to decode the JWT"


def test_a_public_key_is_no_shared_secret() -> None:
    key = rsa.generate_private_key(65537, 2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    unsigned = forged({"alg": "HS256"}, {"role": "service_role"})[:-1]
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(unsigned.encode(), pem)
    text = f"{unsigned}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert refusal(f"Bearer {text}", verifier(json.dumps(public))).code == "PGRST301"


@pytest.mark.parametrize("secret", ["{", "{}", '{"keys": [{"kty": "xx"}]}'])
def test_keys_that_cannot_be_read_are_a_mistake_of_the_configuration(secret: str) -> None:
    with pytest.raises(ValueError, match="neither a JWK nor a JWK set"):
        verifier(secret)
