"""The gateway's own rules, seen by a service that tells what reached it."""

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from devstack.gateway import PortTakenError, gateway, listen, serving
from devstack.keys import local_keys

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEYS = local_keys()
SESSION = "Bearer header.payload.signature"


async def tell(request: Request) -> Response:
    """What the service sees of the request."""
    return JSONResponse(
        {
            "path": request.url.path.removeprefix(request.scope["root_path"]),
            "query": request.url.query,
            "bearer": request.headers.getlist("authorization"),
        },
        headers={"Content-Range": "0-0/1"},
    )


async def tell_socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(socket.url.query)
    await socket.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    service = Starlette(routes=[WebSocketRoute("/websocket", tell_socket), Route("/{path:path}", tell)])
    services = {f"/{name}/v1": service for name in ("rest", "auth", "realtime", "storage")}
    listener = listen(0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        serving(gateway(services, KEYS, "http://127.0.0.1:9"), listener),
        httpx.AsyncClient(base_url=url) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("key", "bearer"),
    [
        (KEYS.publishable_key, KEYS.anon_key),
        (KEYS.secret_key, KEYS.service_role_key),
        (KEYS.anon_key, KEYS.anon_key),
        (KEYS.service_role_key, KEYS.service_role_key),
    ],
)
@pytest.mark.parametrize("repeated", [True, False], ids=["as clients send it", "apikey alone"])
async def test_a_key_becomes_the_token_it_stands_for(
    client: httpx.AsyncClient, key: str, bearer: str, repeated: bool
) -> None:
    headers = {"apikey": key} | ({"Authorization": f"Bearer {key}"} if repeated else {})
    answer = await client.get("/rest/v1/jobs", headers=headers)
    assert answer.json() == {"path": "/jobs", "query": "", "bearer": [f"Bearer {bearer}"]}


@pytest.mark.parametrize("key", [KEYS.publishable_key, KEYS.anon_key])
async def test_a_session_token_is_left_alone(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.get("/rest/v1/jobs", headers={"apikey": key, "Authorization": SESSION})
    assert answer.json()["bearer"] == [SESSION]


@pytest.mark.parametrize("path", ["/rest/v1/jobs", "/auth/v1/user", "/auth/v1/health"])
async def test_no_key_and_a_wrong_key_are_refused(client: httpx.AsyncClient, path: str) -> None:
    none = await client.get(path, headers={"Authorization": SESSION})
    assert (none.status_code, none.json()["message"]) == (401, "No API key found in request")
    wrong = await client.get(path, headers={"apikey": "sb_secret_made_up", "Authorization": SESSION})
    assert (wrong.status_code, wrong.json()["message"]) == (401, "Invalid API key")


@pytest.mark.parametrize(
    "path",
    ["/auth/v1/verify", "/auth/v1/callback", "/auth/v1/.well-known/jwks.json", "/storage/v1/object/public/media/a.mp4"],
)
async def test_what_is_reached_by_link_needs_no_key(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["bearer"]) == (200, [])


async def test_a_secret_key_in_a_browser_is_refused(client: httpx.AsyncClient) -> None:
    browser = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
    secret = await client.get("/rest/v1/jobs", headers={"apikey": KEYS.secret_key, **browser})
    assert (secret.status_code, secret.json()["message"]) == (401, "Forbidden use of secret API key in browser")
    assert (await client.get("/rest/v1/jobs", headers={"apikey": KEYS.publishable_key, **browser})).is_success


async def test_a_key_in_the_query_is_no_filter(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/rest/v1/jobs?id=eq.1&apikey={KEYS.secret_key}&select=a,b")
    assert answer.json()["query"] == "id=eq.1&select=a,b"
    assert answer.json()["bearer"] == [f"Bearer {KEYS.service_role_key}"]


@pytest.mark.parametrize(("key", "token"), [(KEYS.publishable_key, KEYS.anon_key), ("unknown", "unknown")])
async def test_a_socket_carries_its_token_in_the_query(client: httpx.AsyncClient, key: str, token: str) -> None:
    address = str(client.base_url).replace("http", "ws")
    async with connect(f"{address}/realtime/v1/websocket?apikey={key}&vsn=1.0.0", proxy=None) as socket:
        assert await socket.recv() == f"vsn=1.0.0&apikey={token}"


async def test_no_key_is_logged(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "websockets")  # the client of this test, which logs its own request
    with caplog.at_level(logging.DEBUG):
        address = str(client.base_url).replace("http", "ws")
        async with connect(f"{address}/realtime/v1/websocket?apikey={KEYS.secret_key}", proxy=None) as socket:
            await socket.recv()
        await client.get("/rest/v1/jobs", headers={"apikey": KEYS.secret_key})
    assert KEYS.secret_key not in caplog.text
    assert KEYS.service_role_key not in caplog.text


async def test_a_preflight_is_answered_without_a_key(client: httpx.AsyncClient) -> None:
    wish = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "apikey,authorization,x-my-own",
    }
    answer = await client.options("/rest/v1/jobs", headers=wish)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "apikey,authorization,x-my-own"
    assert answer.headers["access-control-max-age"] == "86400"
    for method in ("GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "HEAD"):
        assert method in answer.headers["access-control-allow-methods"].split(", ")


async def test_a_page_may_read_the_count_and_the_refusal(client: httpx.AsyncClient) -> None:
    origin = {"Origin": "http://localhost:3000"}
    for headers in ({"apikey": KEYS.anon_key, **origin}, origin):
        answer = await client.get("/rest/v1/jobs", headers=headers)
        assert answer.headers["access-control-allow-origin"] == "*"
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"Content-Range", "Content-Location", "Location", "Range-Unit", "Content-Type"} <= set(exposed)


async def test_head_keeps_the_headers_and_drops_the_body(client: httpx.AsyncClient) -> None:
    answer = await client.head("/rest/v1/jobs", headers={"apikey": KEYS.anon_key})
    assert (answer.status_code, answer.headers["content-range"], answer.content) == (200, "0-0/1", b"")


async def test_edge_functions_are_declined_with_the_way_to_the_own_ones(client: httpx.AsyncClient) -> None:
    answer = await client.post("/functions/v1/hello", json={})
    assert answer.status_code == 501
    assert "Edge Functions" in answer.json()["message"]
    assert "http://127.0.0.1:9" in answer.json()["hint"]


async def test_the_root_tells_that_the_stack_lives(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).json() == {"name": "devstack", "status": "ok"}
    assert (await client.get("/nowhere")).status_code == 404


async def test_a_fault_of_a_service_is_json_and_the_gateway_lives_on(caplog: pytest.LogCaptureFixture) -> None:
    listener = listen(0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def broken(*_anything: object) -> None:
        raise RuntimeError("a fault")

    async with serving(gateway({"/rest/v1": broken}, KEYS, ""), listener), httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/rest/v1/jobs", headers={"apikey": KEYS.anon_key})
        assert (answer.status_code, list(answer.json())) == (500, ["message", "hint"])
        assert (await client.get("/")).is_success
    assert "a fault" in caplog.text


async def test_a_taken_port_is_named_with_the_remedy() -> None:
    with listen(0) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"port {port} .* --port"):
            listen(port)
