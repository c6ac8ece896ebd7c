"""One line a request in its service's log. Queries are left out: keys and people's data stand there."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class AccessLog:
    """An ASGI app around another that logs what it answers.

    Args:
        app: the service.
        name: of the service; lines go to logger ``devstack.<name>``.
    """

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._logger = logging.getLogger(f"devstack.{name}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if not self._logger.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        outcome = "no answer"

        async def note(message: Message) -> None:
            nonlocal outcome
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                outcome = str(message["status"])
            elif message["type"] == "websocket.accept":
                outcome = "closed"
                self._logger.info("SOCKET %s opened", _printable(scope["path"]))
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            milliseconds = (time.perf_counter() - began) * 1000
            verb = scope.get("method", "SOCKET")
            self._logger.info("%s %s %s %.1f ms", verb, _printable(scope["path"]), outcome, milliseconds)


def _printable(path: str) -> str:
    """`path` on one line, whatever a client put into it."""
    return path if path.isprintable() else repr(path)
