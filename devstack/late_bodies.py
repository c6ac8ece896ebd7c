"""Bounds how long a request's body may take, so that a client that stops in the middle holds nothing for ever."""

import asyncio
import contextlib

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class LateBodies:
    """An ASGI app around another that answers 408, and closes the connection, where a body does not arrive in time.

    To the service it looks as if its client had hung up.

    Args:
        app: the service.
        seconds: how long a body may take, from the request's head on.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send, asyncio.get_running_loop().time() + self._seconds)
        with contextlib.suppress(ClientDisconnect):
            await self._app(scope, exchange.receive, exchange.send)
        if exchange.late:
            content = {"message": f"The body must arrive within {self._seconds:g} seconds"}
            await JSONResponse(content, 408, {"connection": "close"})(scope, receive, send)


class _Exchange:
    """One request whose body is awaited until `deadline`, a time of the loop's clock."""

    def __init__(self, receive: Receive, send: Send, deadline: float) -> None:
        self._receive, self._send, self._deadline = receive, send, deadline
        self._settled = False  # the body is there, or the service answers without it
        self.late = False

    async def receive(self) -> Message:
        """The next piece of the body; a hang-up once it is late."""
        if self._settled:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.late = not self._settled
            return {"type": "http.disconnect"} if self.late else await self._receive()
        self._settled = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on, unless another one is due."""
        if not self.late:
            self._settled = True
            await self._send(message)
