"""A project with signing keys of its own: Auth signs with the first, publishes the public halves, believes them all."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt import PyJWKSet
from supabase import AsyncClientOptions, acreate_client

from devstack.cluster import Cluster, remove_cluster
from devstack.keys import local_keys
from devstack.stack import Stack
from devstack.state import StackError, StackOptions
from tests.unit.test_keys import private_jwk, signing_keys
from tests.wire.test_auth_server import PASSWORD, Json, Project, new_email, refusal, running_project, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEYS = local_keys()
PRIVATE = ec.generate_private_key(ec.SECP256R1())
EC, RSA = signing_keys(PRIVATE, rsa.generate_private_key(65537, 2048))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(cluster: Cluster) -> AsyncIterator[Project]:
    async with running_project(cluster, signing_keys=(EC, RSA)) as running:
        yield running


async def published(project: Project) -> Json:
    """The key set as anybody gets it, without a key of the API."""
    answer = await project.http.get(f"{project.url}/auth/v1/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=600"
    return project.good(answer)


async def test_the_public_halves_are_published_and_nothing_else(project: Project) -> None:
    one, other = (await published(project))["keys"]
    usual = {"use": "sig", "key_ops": ["verify"]}
    assert {name: one[name] for name in ("kty", "crv", "alg", "kid", "use", "key_ops")} == {
        "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "ec", **usual
    }  # fmt: skip
    assert {name: other[name] for name in ("kty", "alg", "kid", "use", "key_ops")} == {
        "kty": "RSA", "alg": "RS256", "kid": "rsa", **usual
    }  # fmt: skip
    assert not {"d", "p", "q", "dp", "dq", "qi", "k", "oth"} & (one.keys() | other.keys())


async def test_tokens_can_be_checked_with_what_is_published(project: Project) -> None:
    session = await project.sign_up()
    for token in (
        session["access_token"],
        project.good(await project.refresh(session["refresh_token"]))["access_token"],
    ):
        assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "JWT", "kid": "ec"}
        key = PyJWKSet.from_dict(await published(project))["ec"]
        assert jwt.decode(token, key, ["ES256"], audience="authenticated")["sub"] == session["user"]["id"]


async def test_the_official_client_checks_claims_by_itself(project: Project) -> None:
    client = await project.client()
    await client.auth.sign_up({"email": new_email(), "password": PASSWORD})
    claims = await client.auth.get_claims()
    assert claims is not None
    assert (claims["claims"]["role"], claims["headers"]["kid"]) == ("authenticated", "ec")
    session = await client.auth.get_session()
    assert session is not None
    token = session.access_token[:-4] + ("aaaa" if session.access_token[-4:] != "aaaa" else "bbbb")
    with pytest.raises(Exception, match="Invalid JWT signature"):
        await client.auth.get_claims(jwt=token)


async def test_tokens_of_every_key_of_the_project_are_believed(project: Project) -> None:
    user = (await project.sign_up())["user"]
    times = {"exp": int(time.time()) + 60}
    for token in (
        EC.sign({"sub": user["id"], **times}),
        RSA.sign({"sub": user["id"], **times}),
        signed(sub=user["id"]),
    ):
        assert project.good(await project.call("GET", "/user", token=token))["id"] == user["id"]


async def test_a_key_that_was_taken_out_is_believed_no_longer(cluster: Cluster) -> None:
    async with running_project(cluster, signing_keys=(RSA,)) as project:
        user = (await project.sign_up())["user"]
        refused = await project.call("GET", "/user", token=EC.sign({"sub": user["id"]}))
        status, code, message = refusal(refused)
        assert (status, code) == (403, "bad_jwt")
        assert message.endswith("invalid kid: ec")
        assert [key["kid"] for key in (await published(project))["keys"]] == ["rsa"]


@pytest.mark.parametrize("role", ["service_role", "supabase_admin"])
async def test_an_admins_token_may_be_signed_by_either_kind_of_key(project: Project, role: str) -> None:
    for token in (EC.sign({"role": role}), signed(role=role)):
        assert (await project.call("GET", "/admin/users", token=token)).status_code == 200
    refused = await project.call("GET", "/admin/users", token=EC.sign({"role": "authenticated"}))
    assert refusal(refused) == (403, "not_admin", "User not allowed")


@pytest.mark.parametrize("key", [KEYS.service_role_key, KEYS.secret_key])
async def test_legacy_and_new_keys_of_the_api_open_the_admins_door_alike(project: Project, key: str) -> None:
    for headers in ({"apikey": key}, {"apikey": key, "Authorization": f"Bearer {key}"}):
        answer = await project.http.get(f"{project.url}/auth/v1/admin/users", headers=headers)
        assert answer.status_code == 200


@pytest.mark.parametrize("key", [KEYS.anon_key, KEYS.publishable_key])
async def test_a_public_key_signs_up_and_is_no_admin(project: Project, key: str) -> None:
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    body = {"email": new_email(), "password": PASSWORD}
    made = await project.http.post(f"{project.url}/auth/v1/signup", headers=headers, json=body)
    assert made.json()["user"]["email"] == body["email"]
    refused = await project.http.get(f"{project.url}/auth/v1/admin/users", headers=headers)
    assert refusal(refused)[:2] == (403, "not_admin")


async def test_a_stack_takes_the_keys_that_its_config_names_for_every_service(tmp_path: Path) -> None:
    migrations = tmp_path / "supabase" / "migrations"
    migrations.mkdir(parents=True)
    (migrations / "1_notes.sql").write_text("create table notes (n int); grant select on notes to authenticated;")
    (migrations.parent / "config.toml").write_text('[auth]\nsigning_keys_path = "./signing_keys.json"\n')
    (migrations.parent / "signing_keys.json").write_text(json.dumps([private_jwk(PRIVATE)]))
    try:
        async with Stack(StackOptions(tmp_path / "data", 0, 0, 0, migrations)) as stack, httpx.AsyncClient() as http:
            options = AsyncClientOptions(httpx_client=http, auto_refresh_token=False)
            client = await acreate_client(stack.api_url, stack.keys.publishable_key, options)
            user = (await client.auth.sign_up({"email": new_email(), "password": PASSWORD})).session
            assert user is not None
            assert jwt.get_unverified_header(user.access_token)["kid"] == "ec"
            assert (await client.table("notes").select("*").execute()).data == []
            joined: asyncio.Queue[str] = asyncio.Queue()
            channel = client.channel("room")
            await channel.subscribe(lambda status, _error: joined.put_nowait(status))
            assert await asyncio.wait_for(joined.get(), 10) == "SUBSCRIBED"
            await client.realtime.close()
    finally:
        remove_cluster(tmp_path / "data")


async def test_a_stack_with_a_broken_file_of_keys_does_not_start(tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (tmp_path / "config.toml").write_text('[auth]\nsigning_keys_path = "./keys.json"\n')
    with pytest.raises(StackError, match=r"keys\.json cannot be read .*supabase gen signing-key"):
        await Stack(StackOptions(tmp_path / "data", 0, 0, 0, migrations)).start()
