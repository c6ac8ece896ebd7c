"""Tokens of a project with signing keys of its own: each is believed by the key it names."""

import json
import time
from pathlib import Path

import httpx
import pytest
import websockets
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from devstack.keys import local_keys
from devstack.signing import SigningKey, read_signing_keys
from tests.conftest import Database
from tests.wire.realtime_support import Json, RawClient, serve, sign


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def signing_keys(folder: Path) -> tuple[SigningKey, ...]:
    """An elliptic key and an RSA key."""
    return new_keys(folder / "own.json")


def new_keys(path: Path) -> tuple[SigningKey, ...]:
    curve, big = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    jwks = [
        {**ECAlgorithm.to_jwk(curve, as_dict=True), "kid": "curve"},
        {**RSAAlgorithm.to_jwk(big, as_dict=True), "kid": "big"},
    ]
    path.write_text(json.dumps(jwks))
    return read_signing_keys(path)


def claims() -> Json:
    return {"role": "authenticated", "exp": time.time() + 3600, "sub": "00000000-0000-4000-8000-00000000000a"}


async def test_a_token_of_each_key_and_of_the_secret_is_believed(
    bare_database: Database, signing_keys: tuple[SigningKey, ...]
) -> None:
    curve, big = signing_keys
    async with (
        serve(bare_database, keys=local_keys(signing_keys).jwks) as server,
        RawClient.open(server, curve.sign(claims())) as client,
        httpx.AsyncClient() as http,
    ):
        for token in (None, sign(), curve.sign(claims()), big.sign(claims())):
            assert (await client.join(token=token))["status"] == "ok"
        headers = {"Authorization": f"Bearer {big.sign(claims())}"}
        said = await http.post(f"{server.url}/realtime/v1/api/broadcast/room/events/e", json={}, headers=headers)
    assert said.status_code == 202


async def test_a_token_of_another_key_is_not(
    bare_database: Database, folder: Path, signing_keys: tuple[SigningKey, ...]
) -> None:
    same_names, (other_name,) = (
        new_keys(folder / "others.json"),
        [SigningKey("gone", key.algorithm, key.private, key.public) for key in signing_keys[:1]],
    )
    signature, signer = "Failed to validate JWT signature", "Failed to generate JWT signer"
    async with serve(bare_database, keys=local_keys(signing_keys).jwks) as server, RawClient.open(server) as client:
        for token, reason in [
            (same_names[0].sign(claims()), f"JwtSignatureError: {signature}"),
            (sign(secret="another-secret-of-at-least-thirty-two-characters"), f"JwtSignatureError: {signature}"),
            (other_name.sign(claims()), f"JwtSignerError: {signer}, check your JWT secret or JWKS configuration"),
        ]:
            assert await client.join(token=token) == {"status": "error", "response": {"reason": reason}}
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(server.websocket_url(other_name.sign(claims())))
    assert json.loads(caught.value.response.body) == {"error": f"{signer}, check your JWT secret or JWKS configuration"}
