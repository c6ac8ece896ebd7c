"""The one door of the stack: API keys, CORS, and which service answers which path.

What Kong does in the official local stack. Keys are checked and translated here, so that the
services behind see an ordinary JWT whatever the client holds; no key is ever logged.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from urllib.parse import parse_qsl, quote_from_bytes

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from devstack.keys import ProjectKeys

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
EXPOSED_HEADERS = (
    "Content-Range",
    "Content-Location",
    "Content-Type",
    "Location",
    "Range-Unit",
    "X-Total-Count",
    "Link",
    "X-Supabase-Api-Version",
)
GUARDED = ("/rest/v1", "/auth/v1")
"""Paths that nobody enters without a key. The services behind the others judge the token themselves."""

OPEN = ("/auth/v1/verify", "/auth/v1/callback", "/auth/v1/authorize", "/auth/v1/.well-known/jwks.json")
"""Guarded paths that a browser or a verifier reaches by link, without a key."""

NO_KEY = {"message": "No API key found in request", "hint": "No `apikey` request header or url param was found."}
WRONG_KEY = {"message": "Invalid API key", "hint": "Double check your Supabase `anon` or `service_role` API key."}
SECRET_IN_BROWSER = {
    "message": "Forbidden use of secret API key in browser",
    "hint": "Anyone who opens the page can read it: use the publishable key there.",
}


class PortTakenError(RuntimeError):
    """Another program listens where the gateway should; the message names the port and the remedy."""


def listen(port: int) -> socket.socket:
    """A socket that listens on loopback; port 0 takes a free one.

    Raises:
        PortTakenError: somebody else listens there.
    """
    # asyncio sends small answers at once (TCP_NODELAY) only where the socket names its protocol.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise PortTakenError(
            f"port {port} of 127.0.0.1 cannot be used for the API ({error.strerror});"
            f" end the program that listens there, or choose another port with --port (0 takes a free one)"
        ) from None
    return listener


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve `app` on `listener` while the context lasts, then close both it and the connections."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws=_Sockets,
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",  # below it, uvicorn logs the addresses of sockets, and a key stands in each
        server_header=False,
        proxy_headers=False,
        ws_max_size=5_000_000,
        ws_ping_interval=20,
        ws_ping_timeout=60,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Sockets(WebSocketsSansIOProtocol):
    """Sockets that are told when their handshake cannot be read, where uvicorn would let them wait for ever."""

    def data_received(self, data: bytes) -> None:
        """Read on; answer what websockets gave up on."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # The lines of a request are limited to 8 KiB, and a key that is longer stands in the first of them.
            self.transport.write(b"HTTP/1.1 414 URI Too Long\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()


class _Server(uvicorn.Server):
    """A server that leaves the signals of the process to whoever owns it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def gateway(services: Mapping[str, ASGIApp], keys: ProjectKeys, functions_url: str) -> Starlette:
    """The app that serves everything on one port.

    Args:
        services: by path prefix, for instance ``{"/rest/v1": rest}``.
        keys: the keys that are let in.
        functions_url: where the project's own HTTP functions listen; named in the answer to `/functions/v1`.
    """

    async def decline_functions(_request: Request) -> Response:
        hint = f"This project's HTTP functions are served at {functions_url}; call them there."
        return JSONResponse({"message": "Edge Functions are not part of devstack", "hint": hint}, status_code=501)

    app = Starlette(
        routes=[
            *(Mount(prefix, app) for prefix, app in services.items()),
            Route("/functions/v1/{path:path}", decline_functions, methods=METHODS),
            Route("/", _health, methods=["GET"]),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=METHODS,
                allow_headers=["*"],
                expose_headers=EXPOSED_HEADERS,
                max_age=86400,
            ),
            Middleware(ApiKeys, keys=keys),
        ],
        exception_handlers={404: _no_route, Exception: _fault},
    )
    app.router.redirect_slashes = False
    return app


async def _health(_request: Request) -> Response:
    return JSONResponse({"name": "devstack", "status": "ok"})


async def _no_route(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"message": "no Route matched with those values"}, status_code=404)


async def _fault(_request: Request, _error: Exception) -> Response:
    hint = "This is a fault of devstack, not of the request; its log has the details."
    return JSONResponse({"message": "An unexpected error occurred", "hint": hint}, status_code=500)


class ApiKeys:
    """Lets requests with a known key in, and gives them the JWT that stands for it.

    A user's own session token is left alone. The official clients send a new-style key (`sb_…`) as bearer
    too as long as nobody has signed in; no service could read it, so it is replaced there.
    """

    def __init__(self, app: ASGIApp, keys: ProjectKeys) -> None:
        self._app = app
        self._secret = keys.secret_key.encode()
        anon, service = keys.anon_key.encode(), keys.service_role_key.encode()
        self._jwt_of = {
            anon: anon,
            service: service,
            keys.publishable_key.encode(): anon,
            keys.secret_key.encode(): service,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        key = headers.get(b"apikey") or _key_in_query(scope)
        refusal = self._refusal(scope, key, headers.get(b"user-agent", b""))
        if refusal is not None:
            await JSONResponse(refusal, status_code=401)(scope, receive, send)
        else:
            await self._app(self._translate(scope, key, headers.get(b"authorization", b"")), receive, send)

    def _refusal(self, scope: Scope, key: bytes, agent: bytes) -> dict[str, str] | None:
        path: str = scope["path"]
        if key == self._secret and agent.startswith(b"Mozilla/"):
            return SECRET_IN_BROWSER
        if not path.startswith(GUARDED) or path.startswith(OPEN):
            return None
        if not key:
            return NO_KEY
        return None if key in self._jwt_of else WRONG_KEY

    def _translate(self, scope: Scope, key: bytes, authorization: bytes) -> Scope:
        """The scope that the service sees: a JWT as bearer, and as `apikey` where the query carried a key."""
        token = self._jwt_of.get(key, key)
        changed = dict(scope)
        if token and (not authorization or authorization[:10].lower() == b"bearer sb_"):
            others = [header for header in scope["headers"] if header[0] != b"authorization"]
            changed["headers"] = [*others, (b"authorization", b"Bearer " + token)]
        if b"apikey=" in scope["query_string"]:
            changed["query_string"] = _with_key(scope, token)
        return changed


def _key_in_query(scope: Scope) -> bytes:
    query: bytes = scope["query_string"]
    if b"apikey=" not in query:
        return b""
    return dict(parse_qsl(query)).get(b"apikey", b"")


def _with_key(scope: Scope, token: bytes) -> bytes:
    """The query string for the service: Realtime reads its key there, anyone else would take it for a filter."""
    parts = [part for part in scope["query_string"].split(b"&") if not part.startswith(b"apikey=")]
    if scope["path"].startswith("/realtime/v1"):
        parts.append(b"apikey=" + quote_from_bytes(token).encode())
    return b"&".join(parts)
