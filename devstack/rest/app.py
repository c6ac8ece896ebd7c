"""The REST gateway: an ASGI app that answers as PostgREST does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
from starlette.types import Receive, Scope, Send

from devstack.rest.catalogue import STALE_CODES, RoleSettings
from devstack.rest.errors import RestError
from devstack.rest.messages import (
    BodyTooLargeError,
    DisconnectedError,
    Request,
    Response,
    read_request,
    send_response,
)
from devstack.rest.planner import Planner
from devstack.rest.preferences import timezone_in
from devstack.rest.requests import intent_of, target_of
from devstack.rest.responses import respond
from devstack.rest.schema_cache import SchemaCache
from devstack.rest.settings import RestSettings
from devstack.rest.tokens import TokenVerifier
from devstack.rest.transactions import Transactions

T = TypeVar("T")

_NO_SETTINGS = RoleSettings()
_CLOSING = {"Connection": "close"}


class Rest:
    """The ASGI app behind `/rest/v1`. Serves between `start` and `stop`."""

    def __init__(self, settings: RestSettings) -> None:
        self._settings = settings
        self._tokens = TokenVerifier(settings.jwt_secret, settings.anon_role, settings.jwt_aud)
        self._cache = SchemaCache(settings.db_dsn, settings.schemas)
        self._planner = Planner(self._cache.current, settings)
        self._transactions = Transactions(settings)

    async def start(self) -> None:
        """Read the schema and open connections.

        Raises:
            psycopg.OperationalError: the database cannot be reached.
        """
        await self._cache.start()
        await self._transactions.open()

    async def stop(self) -> None:
        """Close every connection."""
        await self._cache.stop()
        await self._transactions.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        try:
            response = await self._respond(await self._received(scope, receive))
        except DisconnectedError:
            return
        except RestError as error:
            response = error.response()
        await send_response(send, response, scope["method"])

    async def _received(self, scope: Scope, receive: Receive) -> Request:
        """The whole request. Where it is given up, so is the connection: the rest of the body is not waited for."""
        try:
            async with asyncio.timeout(self._settings.body_timeout):
                return await read_request(scope, receive, self._settings.max_body)
        except BodyTooLargeError:
            details = f"The body may have at most {self._settings.max_body} bytes"
            raise RestError(413, "PGRST102", "Payload too large", details=details, headers=_CLOSING) from None
        except TimeoutError:
            details = f"The body must arrive within {self._settings.body_timeout:g} seconds"
            raise RestError(408, "PGRST102", "Request timed out", details=details, headers=_CLOSING) from None

    async def _respond(self, request: Request) -> Response:
        identity = self._tokens.identify(request.headers.get("authorization"))
        target = target_of(request)
        timezones = await _known(self._cache.timezones()) if timezone_in(request.all_of(b"prefer")) else ()
        intent = intent_of(request, target, self._settings, timezones)
        if request.method == "OPTIONS":
            allowed = await self._planned(lambda planner: planner.allowed_methods(intent, target))
            return Response(200, [(b"allow", allowed.encode())])
        plan = await self._planned(lambda planner: planner.plan(intent, target, identity.role))
        role = self._cache.current.roles.get(identity.role, _NO_SETTINGS)
        outcome = await self._transactions.run(plan, request, identity, role, intent.schema)
        return respond(plan, outcome, intent.schema if len(self._settings.schemas) > 1 else None)

    async def _planned(self, make: Callable[[Planner], T]) -> T:
        """What `make` makes of the planner: of a newer one, where the catalogue may have missed the latest DDL."""
        try:
            return make(self._current_planner())
        except RestError as error:
            if error.code not in STALE_CODES:
                raise
        await _known(self._cache.refresh())
        return make(self._current_planner())

    def _current_planner(self) -> Planner:
        if self._planner.catalogue is not self._cache.current:
            self._planner = Planner(self._cache.current, self._settings)
        return self._planner


async def _known(answer: Awaitable[T]) -> T:
    """What the database says about itself, if it can be asked."""
    try:
        return await answer
    except psycopg.Error as error:
        message = "Could not query the database for the schema cache. Retrying."
        raise RestError(503, "PGRST002", message, details=str(error)) from None
