"""Getting in: the handshake, its refusals, both framings, and the HTTP paths beside the socket."""

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
import websockets

from devstack.cluster import Cluster
from tests.wire.realtime_support import SECRET, RawClient, Server, database_of_module, serve, sign, watching, writer

DEEP_HEADER = urlsafe_b64encode(b'{"a":' + b"[" * 4000).decode().rstrip("=")
NO_SIGNER = "Failed to generate JWT signer, check your JWT secret or JWKS configuration"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_handshake") as database:
        async with serve(database) as running:
            yield running


async def refusal(server: Server, query: str, **headers: str) -> tuple[int, Any]:
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(f"{server.websocket}{query}", additional_headers=headers)
    body = caught.value.response.body
    return caught.value.response.status_code, json.loads(body) if body else None


async def test_a_wrong_key_is_refused_with_its_reason(server: Server) -> None:
    incomplete = "Fields `role` and `exp` are required in JWT"
    for key, message in [
        ("", "API key is missing"),
        ("not-a-token", "The token provided is not a valid JWT"),
        ("a.b.c", "The token provided is not a valid JWT"),
        (DEEP_HEADER + ".e30.e30", "The token provided is not a valid JWT"),
        (sign(secret="another-secret-of-at-least-thirty-two-characters"), "Failed to validate JWT signature"),
        (jwt.encode({"role": "anon", "exp": 9e9}, "", algorithm="none"), NO_SIGNER),
        (sign(seconds=-30), "Token has expired"),
        (jwt.encode({"role": "anon"}, SECRET), incomplete),
        (jwt.encode({"exp": 9e9}, SECRET), incomplete),
        (jwt.encode({"role": "anon", "exp": "soon"}, SECRET), incomplete),
    ]:
        assert await refusal(server, f"?apikey={key}&vsn=1.0.0") == (401, {"error": message})


async def test_an_unknown_framing_is_refused(server: Server) -> None:
    assert await refusal(server, f"?apikey={sign()}&vsn=3.0.0") == (403, None)


async def test_the_header_wins_over_the_query(server: Server) -> None:
    async with websockets.connect(f"{server.websocket}?apikey=wrong", additional_headers={"x-api-key": sign()}):
        pass
    status, _ = await refusal(server, f"?apikey={sign()}", **{"x-api-key": "wrong"})
    assert status == 401


async def test_without_a_framing_it_is_the_old_one(server: Server) -> None:
    async with websockets.connect(f"{server.websocket}?apikey={sign()}&log_level=info") as socket:
        await socket.send('{"topic":"phoenix","event":"heartbeat","payload":{},"ref":null}')
        reply = json.loads(await socket.recv())
    assert reply == {
        "event": "phx_reply",
        "payload": {"status": "ok", "response": {}},
        "ref": None,
        "topic": "phoenix",
    }


async def test_arrays_carry_the_join_ref(server: Server) -> None:
    with server.database.connect() as connection:
        connection.execute("create table jobs (id int primary key); grant select on jobs to anon")
        connection.execute("alter publication supabase_realtime add table jobs")
    async with websockets.connect(server.websocket_url(vsn="2.0.0")) as socket:
        await socket.send('[null,"1","phoenix","heartbeat",{}]')
        assert json.loads(await socket.recv()) == [None, "1", "phoenix", "phx_reply", {"status": "ok", "response": {}}]
        join = ["7", "7", "realtime:room", "phx_join", {"config": {"postgres_changes": [watching()]}}, "extra"]
        await socket.send(json.dumps(join))
        join_ref, ref, topic, event, payload = json.loads(await socket.recv())
        assert (join_ref, ref, topic, event, payload["status"]) == ("7", "7", "realtime:room", "phx_reply", "ok")
        system = json.loads(await socket.recv())
        assert system[:4] == ["7", None, "realtime:room", "system"]
        with writer(server.database) as connection:
            connection.execute("insert into jobs values (1)")
        change = json.loads(await socket.recv())
        assert change[:4] == [None, None, "realtime:room", "postgres_changes"]
        await socket.send('["7","8","realtime:room","phx_leave",{}]')
        assert json.loads(await socket.recv())[:4] == ["7", "8", "realtime:room", "phx_reply"]
        assert json.loads(await socket.recv()) == ["7", "7", "realtime:room", "phx_close", {}]


async def test_what_cannot_be_read_is_dropped_and_the_socket_stays(server: Server) -> None:
    shapeless = ["", "nonsense", "[]", "[1,2,3]", "null", '{"topic":"phoenix"}']
    untyped = [
        '{"topic":1,"event":"x","payload":{},"ref":null}',
        '{"topic":"phoenix","event":"x","payload":1,"ref":"1"}',
    ]
    async with RawClient.open(server) as client:
        for text in [*shapeless, *untyped]:
            await client.connection.send(text)
        ref = await client.send("heartbeat", {}, "phoenix")
        assert (await client.receive())["ref"] == ref


async def test_a_binary_frame_of_the_first_version_is_dropped(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.connection.send(b"\x03\x01\x01\x0d\x02\x00\x0167realtime:roomev{}")
        ref = await client.send("heartbeat", {}, "phoenix")
        assert (await client.receive())["ref"] == ref


async def test_the_paths_beside_the_socket(server: Server) -> None:
    async with httpx.AsyncClient(base_url=f"{server.url}/realtime/v1") as client:
        ping = await client.get("/api/ping")
        nothing = await client.get("/elsewhere")
    assert (ping.status_code, ping.json()) == (200, {"message": "Success"})
    assert nothing.status_code == 404
