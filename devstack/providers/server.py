"""Serves the doubles with uvicorn, in a way that lets them reset a connection as a broken network does."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from devstack.providers.faults import ABORT_EXTENSION


class AbortableProtocol(HttpToolsProtocol):
    """Puts into each request's scope the function that resets its connection."""

    def on_message_begin(self) -> None:
        """Called when the first bytes of a request arrive."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: {"abort": self._reset}}

    def _reset(self) -> None:
        # A linger time of zero makes the system send RST instead of an orderly FIN.
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def make_server(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Server:
    """A server that is not started yet."""
    config = uvicorn.Config(app, host=host, port=port, http=AbortableProtocol, log_level="warning", access_log=False)
    return uvicorn.Server(config)


@asynccontextmanager
async def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `app` in the running event loop and yield its base URL; port 0 takes a free one."""
    # asyncio switches Nagle's algorithm off, which delays answers by 40 ms, only where TCP is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen()
    server = make_server(app)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()
