"""The gateway as an ASGI application: the handshake, its refusals, and the few HTTP paths beside it."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from devstack.realtime.database import Database
from devstack.realtime.feed import Feed
from devstack.realtime.frames import Version
from devstack.realtime.http_broadcast import HttpBroadcast
from devstack.realtime.limits import Rates
from devstack.realtime.messages import Messages
from devstack.realtime.outgoing import Outgoing
from devstack.realtime.partitions import Partitions
from devstack.realtime.policies import Policies
from devstack.realtime.presence import Presence
from devstack.realtime.replay import Replay
from devstack.realtime.services import Services
from devstack.realtime.settings import RealtimeSettings
from devstack.realtime.socket import Socket
from devstack.realtime.tokens import ExpiredTokenError, Identity, TokenError, read_token
from devstack.realtime.topics import Topics


class Realtime:
    """Realtime below whatever path it is mounted at: `/websocket`, `/api/ping`, `/api/broadcast`."""

    def __init__(self, settings: RealtimeSettings) -> None:
        """Nothing is opened before `start`."""
        self._settings = settings
        self._database = Database(settings.dsn)
        self._partitions = Partitions(self._database)
        self._feed = Feed(settings, self._database)
        topics = Topics()
        self._messages = Messages(settings.dsn, self._database, topics)
        rates = Rates(settings.limits)
        policies = Policies(self._database)
        self._services = Services(
            settings.jwt_secret,
            self._feed,
            topics,
            Presence(topics),
            policies,
            self._messages,
            Replay(self._database),
            settings.limits,
            rates,
            Outgoing(),
        )
        self._serving: dict[Socket, asyncio.Task[None]] = {}
        self._router = Router(
            [
                WebSocketRoute("/websocket", self._websocket),
                Route("/api/ping", _ping),
                *HttpBroadcast(settings, topics, policies, rates).routes(),
            ]
        )

    async def start(self) -> None:
        """Connect to the database; raises `psycopg_pool.PoolTimeout` when it does not answer."""
        await self._database.open()
        await self._partitions.start()
        self._messages.start()
        self._feed.start()

    async def stop(self) -> None:
        """Tell every channel, close every socket with code 1012, then the database connections."""
        for socket in self._serving:
            socket.restart()
        if self._serving:
            await asyncio.wait(self._serving.values(), timeout=10)
        await self._feed.stop()
        await self._messages.stop()
        await self._partitions.stop()
        await self._database.close()

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
        refusal = self._refusal()
        if refusal is not None:
            await websocket.send_denial_response(JSONResponse({"error": refusal}, status_code=429))
            return
        await self._serve(Socket(websocket, version, identity, self._services))

    def _identify(self, websocket: WebSocket) -> Identity:
        key = websocket.headers.get("x-api-key") or websocket.query_params.get("apikey")
        if not key:
            raise TokenError("MissingAPIKey", "API key is missing")
        return read_token(key, self._settings.jwt_secret)

    def _refusal(self) -> str | None:
        most = self._settings.limits.clients
        if most is not None and len(self._serving) >= most:
            return "Too many connected users"
        return None if self._services.rates.joins.allows_another() else "Too many joins per second"

    async def _serve(self, socket: Socket) -> None:
        task = asyncio.ensure_future(socket.run())
        self._serving[socket] = task
        try:
            await task
        finally:
            del self._serving[socket]


async def _ping(_: Request) -> Response:
    return JSONResponse({"message": "Success"})
