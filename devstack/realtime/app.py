"""The gateway as an ASGI application: the handshake, its refusals, and the few HTTP paths beside it."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from devstack.realtime.channel import Services
from devstack.realtime.feed import Feed
from devstack.realtime.frames import Version
from devstack.realtime.settings import RealtimeSettings
from devstack.realtime.socket import RESTARTING, Socket
from devstack.realtime.tokens import ExpiredTokenError, Identity, TokenError, read_token
from devstack.realtime.topics import Topics


class Realtime:
    """Realtime below whatever path it is mounted at: `/websocket`, `/api/ping`."""

    def __init__(self, settings: RealtimeSettings) -> None:
        """Nothing is opened before `start`."""
        self._settings = settings
        self._feed = Feed(settings)
        self._services = Services(settings.jwt_secret, self._feed, Topics())
        self._serving: dict[Socket, asyncio.Task[None]] = {}
        self._router = Router(
            [
                WebSocketRoute("/websocket", self._websocket),
                Route("/api/ping", _ping),
                Route("/api/broadcast{rest:path}", _broadcast, methods=["POST"]),
            ]
        )

    async def start(self) -> None:
        """Connect to the database; raises `psycopg_pool.PoolTimeout` when it does not answer."""
        await self._feed.start()

    async def stop(self) -> None:
        """Close every socket with code 1012, then the database connections."""
        for socket in self._serving:
            socket.close(RESTARTING, "the server is stopping")
        if self._serving:
            await asyncio.wait(self._serving.values(), timeout=10)
        await self._feed.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or request."""
        await self._router(scope, receive, send)

    async def _websocket(self, websocket: WebSocket) -> None:
        try:
            version = Version(websocket.query_params.get("vsn", Version.OBJECTS))
        except ValueError:
            await websocket.send_denial_response(Response(status_code=403))
            return
        try:
            identity = self._identify(websocket)
        except TokenError as error:
            message = "Token has expired" if isinstance(error, ExpiredTokenError) else str(error)
            await websocket.send_denial_response(JSONResponse({"error": message}, status_code=401))
            return
        await self._serve(Socket(websocket, version, identity, self._services))

    def _identify(self, websocket: WebSocket) -> Identity:
        key = websocket.headers.get("x-api-key") or websocket.query_params.get("apikey")
        if not key:
            raise TokenError("MissingAPIKey", "API key is missing")
        return read_token(key, self._settings.jwt_secret)

    async def _serve(self, socket: Socket) -> None:
        task = asyncio.ensure_future(socket.run())
        self._serving[socket] = task
        try:
            await task
        finally:
            del self._serving[socket]


async def _ping(_: Request) -> Response:
    return JSONResponse({"message": "Success"})


async def _broadcast(_: Request) -> Response:
    return JSONResponse({"error": "HTTP broadcast is not supported by devstack's Realtime"}, status_code=501)
