import base64
import json
import tempfile
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from devstack.keys import local_keys, project_keys
from devstack.signing import SigningKey, SigningKeysError, read_signing_keys
from devstack.tokens import UnprovenTokenError, read_keys

CURVE = ec.generate_private_key(ec.SECP256R1())
PRIME = rsa.generate_private_key(65537, 2048)


def private_jwk(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, **changes: object) -> dict[str, Any]:
    """As the official CLI writes it, changed; those set to `...` left out."""
    if isinstance(key, rsa.RSAPrivateKey):
        jwk = {**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": "rsa", "alg": "RS256"}
    else:
        jwk = {**ECAlgorithm.to_jwk(key, as_dict=True), "kid": "ec", "alg": "ES256"}
    jwk |= {"use": "sig", "key_ops": ["sign", "verify"], "ext": True, **changes}
    return {field: value for field, value in jwk.items() if value is not ...}


def signing_keys(*keys: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> tuple[SigningKey, ...]:
    """Read from a file, as a project's are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "signing_keys.json")
        path.write_text(json.dumps([private_jwk(key) for key in keys]))
        return read_signing_keys(path)


def test_the_keys_are_those_of_the_official_cli() -> None:
    keys = local_keys()
    assert keys.anon_key.endswith(".CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0")
    assert keys.service_role_key.endswith(".EGIM96RAZx35lJzdJsyH-qQwv8Hdp7fsn3W0YpN81IU")
    assert keys.publishable_key.startswith("sb_publishable_")
    assert keys.secret_key.startswith("sb_secret_")


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_a_legacy_key_carries_its_role_and_an_expiry(role: str) -> None:
    keys = local_keys()
    claims = jwt.decode(getattr(keys, f"{role}_key"), keys.jwt_secret, algorithms=["HS256"])
    assert claims == {"iss": "supabase-demo", "role": role, "exp": 1983812996}


def test_a_project_without_signing_keys_believes_its_secret_alone(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[auth]\nenabled = true\n")
    for config in (tmp_path / "config.toml", tmp_path / "missing.toml"):
        keys = project_keys(config)
        assert keys == local_keys()
        assert [key["kty"] for key in json.loads(keys.jwks)["keys"]] == ["oct"]


def test_the_config_names_the_signing_keys_and_the_first_signs(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[auth]\nsigning_keys_path = "./keys/mine.json"\n')
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "mine.json").write_text(json.dumps([private_jwk(PRIME), private_jwk(CURVE, alg=...)]))
    keys = project_keys(tmp_path / "config.toml")
    assert [(key.kid, key.algorithm) for key in keys.signing_keys] == [("rsa", "RS256"), ("ec", "ES256")]
    believed = read_keys(keys.jwks)
    for token in (*(key.sign({"n": 1}) for key in keys.signing_keys), keys.anon_key):
        assert believed.payload(token)
    assert "kid" in jwt.get_unverified_header(keys.signing_keys[0].sign({}))


def test_no_private_part_of_a_key_leaves_the_project() -> None:
    for key in signing_keys(CURVE, PRIME):
        assert not {"d", "p", "q", "dp", "dq", "qi"} & set(key.public)


def test_a_key_that_names_its_algorithm_signs_with_no_other() -> None:
    secret = b"another-secret-of-at-least-sixty-four-characters-for-hs512-to-be-content"
    encoded = base64.urlsafe_b64encode(secret).decode().rstrip("=")
    only = read_keys(json.dumps({"kty": "oct", "k": encoded, "alg": "HS256"}))
    assert only.payload(jwt.encode({"n": 1}, secret, "HS256"))
    with pytest.raises(UnprovenTokenError):
        only.payload(jwt.encode({"n": 1}, secret, "HS512"))


def test_a_secret_that_says_it_is_a_public_key_signs_nothing() -> None:
    confused = read_keys(json.dumps({"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U", "alg": "RS256"}))
    with pytest.raises(UnprovenTokenError):
        confused.payload(jwt.encode({"n": 1}, "secretsecretsecretsecretsecretse", "HS256"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("{}", "must hold an array of at least one JWK"),
        ("[]", "must hold an array of at least one JWK"),
        ("[5]", "has no kid in key 1"),
        ([private_jwk(CURVE, kid=...)], "has no kid in key 1"),
        ([private_jwk(CURVE), private_jwk(PRIME, kid="")], "has no kid in key 2"),
        ([private_jwk(CURVE), private_jwk(CURVE)], "gives the same kid to two keys"),
        ([private_jwk(CURVE, alg="HS256")], "neither RS256"),
        ([private_jwk(CURVE, alg="RS256")], "neither RS256"),
        ([{"kty": "oct", "k": "c2VjcmV0", "kid": "s"}], "neither RS256"),
        ([private_jwk(CURVE, d=...)], "needs a private key of curve P-256"),
        ([private_jwk(PRIME, d=..., p=..., q=..., dp=..., dq=..., qi=...)], "needs a private key"),
        ([private_jwk(ec.generate_private_key(ec.SECP384R1()))], "needs a private key of curve P-256"),
        ([private_jwk(CURVE, x="AAAA")], "has no usable key 1"),
        ([private_jwk(CURVE, crv="P-999")], "has no usable key 1"),
    ],
)
def test_signing_keys_of_no_use_are_refused_with_the_remedy(tmp_path: Path, content: Any, complaint: str) -> None:
    path = tmp_path / "signing_keys.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(SigningKeysError, match=complaint) as refused:
        read_signing_keys(path)
    assert "signing_keys.json" in str(refused.value)
    assert "supabase gen signing-key" in str(refused.value)


def test_a_config_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[auth")
    with pytest.raises(SigningKeysError, match=r"config\.toml is not TOML"):
        project_keys(tmp_path / "config.toml")
