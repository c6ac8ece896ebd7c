"""A cable between a client and a stack: a TCP proxy that can be cut, pulled out, stalled, and made slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Cable:
    """Carries every connection to `target` until told otherwise."""

    def __init__(self, target: str) -> None:
        self._host, self._port = urlsplit(target).hostname, urlsplit(target).port
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0
        self.delay_seconds = 0.0
        """How long every piece of data is held back."""

    @property
    def url(self) -> str:
        """The stack's URL at this end."""
        return f"http://127.0.0.1:{self.port}"

    async def plug_in(self) -> None:
        """Let connections through from now on."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Break every connection that is open."""
        for writer in self._open:
            writer.transport.abort()

    async def pull_out(self) -> None:
        """Refuse new connections, and break those that are open."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def stall(self) -> None:
        """Carry nothing more in either direction, and let every connection look open."""
        self._flowing.clear()

    def flow(self) -> None:
        """Carry again, what was held back included."""
        self._flowing.set()

    async def _carry(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection(self._host, self._port)
        except OSError:
            near.transport.abort()
            return
        self._open |= {near, far}
        try:
            await asyncio.gather(self._pump(near_reader, far), self._pump(far_reader, near))
        finally:
            self._open -= {near, far}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay_seconds)
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def cable_to(target: str) -> AsyncIterator[Cable]:
    """A cable to `target`, plugged in."""
    cable = Cable(target)
    await cable.plug_in()
    try:
        yield cable
    finally:
        cable.flow()
        await cable.pull_out()
