"""Every kind of token at every door: who is let in, as whom, and how the others are refused."""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import jwt
import pytest
import pytest_asyncio
import websockets
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from devstack.auth.app import Auth
from devstack.auth.settings import AuthSettings
from devstack.cluster import Cluster
from devstack.gateway import gateway, listen, serving
from devstack.keys import local_keys
from devstack.realtime.app import Realtime
from devstack.realtime.settings import RealtimeSettings
from devstack.rest.app import Rest
from devstack.rest.settings import RestSettings
from tests.conftest import BARE, Database
from tests.unit.test_keys import signing_keys
from tests.wire.token_cases import CASES, Mint

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCHEMA = """
create table public.notes (n int);
grant select on public.notes to anon, authenticated, service_role;
create function public.who() returns text language sql stable as $$ select current_setting('role') $$;
grant execute on function public.who() to anon, authenticated, service_role;
"""


@dataclass(frozen=True, slots=True)
class Doors:
    """A project's three doors behind the real gateway, and a maker of tokens for one of its users."""

    http: httpx.AsyncClient
    websocket: str
    mint: Mint

    async def rest(self, token: str) -> str:
        """What reading a table answers: 200, or code and status."""
        return _outcome(await self.http.get("/rest/v1/notes", headers=self._headers(token)), "200")

    async def rpc(self, token: str) -> str:
        """The role a function runs as, or code and status."""
        answer = await self.http.post("/rest/v1/rpc/who", json={}, headers=self._headers(token))
        return _outcome(answer, answer.json())

    async def auth(self, token: str) -> str:
        """200, or the error code of the user's page."""
        answer = await self.http.get("/auth/v1/user", headers=self._headers(token))
        assert answer.status_code in {200, 401, 403}
        return str(answer.json()["error_code"] if answer.is_error else answer.status_code)

    async def realtime(self, token: str) -> str:
        """`in`, or what the handshake is refused with."""
        try:
            async with websockets.connect(f"{self.websocket}?apikey={token}&vsn=2.0.0"):
                return "in"
        except websockets.InvalidStatus as refused:
            if refused.response.status_code == 414:
                return "414"
            assert refused.response.status_code == 401
            return str(json.loads(refused.response.body or b"{}")["error"])

    def _headers(self, token: str) -> dict[str, str]:
        return {"apikey": self.mint.keys.anon_key, "Authorization": f"Bearer {token}".strip()}


def _outcome(answer: httpx.Response, good: str) -> str:
    if not answer.is_error:
        return good
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json().keys() == {"code", "message", "details", "hint"}
    return f"{answer.json()['code']} {answer.status_code}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(cluster: Cluster) -> AsyncIterator[Doors]:
    database = Database(cluster, f"tokens_{uuid.uuid4().hex}")
    cluster.clone(BARE, database.name)
    with database.connect() as connection:
        connection.execute(SCHEMA)
    listener = listen(0)
    keys = local_keys(signing_keys(ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)))
    url = f"127.0.0.1:{listener.getsockname()[1]}"
    services: dict[str, Rest | Auth | Realtime] = {
        "/rest/v1": Rest(RestSettings(database.dsn("authenticator"), jwt_secret=keys.jwks)),
        "/auth/v1": Auth(
            AuthSettings(
                database.dsn("supabase_auth_admin"),
                keys.jwt_secret,
                f"http://{url}/auth/v1",
                bcrypt_cost=4,
                signing_keys=keys.signing_keys,
            )
        ),
        "/realtime/v1": Realtime(RealtimeSettings(database.dsn("supabase_admin"), keys.jwks)),
    }
    for service in services.values():
        await service.start()
    try:
        async with serving(gateway(services, keys, ""), listener), httpx.AsyncClient(base_url=f"http://{url}") as http:
            body = {"email": "ana@example.com", "password": "correct horse"}
            session = (await http.post("/auth/v1/signup", json=body, headers={"apikey": keys.anon_key})).json()
            assert jwt.get_unverified_header(session["access_token"])["kid"] == "ec"
            yield Doors(http, f"ws://{url}/realtime/v1/websocket", Mint(keys, session["user"]["id"]))
    finally:
        for service in services.values():
            await service.stop()
        cluster.drop(database.name)


@pytest.mark.parametrize("number", range(len(CASES)), ids=[name for name, _, _ in CASES])
async def test_a_token(doors: Doors, number: int) -> None:
    _, make, (role, user, socket) = CASES[number]
    token = make(doors.mint)
    read = role if " " in role else "200"
    assert (await doors.rest(token), await doors.rpc(token), await doors.auth(token)) == (read, role, user)
    assert (await doors.realtime(token)).startswith(socket)


async def test_a_token_of_100_kb_breaks_nothing(doors: Doors) -> None:
    token = doors.mint.shared(user_metadata={"text": "x" * 75_000})
    for door in (doors.rest, doors.rpc):
        with contextlib.suppress(httpx.RemoteProtocolError):  # a server may hang up on such a header
            assert not (await door(token)).endswith(" 500")
    assert await doors.rpc(doors.mint.shared()) == "authenticated"
