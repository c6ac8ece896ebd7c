"""An HTTP server for the tests of pg_net's worker: it keeps what arrives, and can misbehave."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

TLS_HELLO = b"\x16"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as the server saw it."""

    line: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Peer:
    """The path says how it answers; ``/slow`` waits for `release`."""

    port: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def url(self, path: str) -> str:
        """The address of `path`."""
        return f"http://127.0.0.1:{self.port}{path}"

    def lines(self) -> list[str]:
        """Method and path of every request so far."""
        return [arrival.line for arrival in self.arrivals]

    async def received(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        async with asyncio.timeout(15), self._arrived:
            await self._arrived.wait_for(lambda: len(self.arrivals) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._exchange(reader, writer):
                pass
        writer.close()
        self._writers.discard(writer)

    async def close(self) -> None:
        """End every connection."""
        self.release.set()
        for writer in self._writers.copy():
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        start = await reader.readexactly(1)
        if start == TLS_HELLO:
            return False
        line, *head = (start + await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(entry.split(": ", 1) for entry in head)
        body = await reader.readexactly(int(headers.get("Content-Length", 0)))
        async with self._arrived:
            self.arrivals.append(Arrival(line.removesuffix(" HTTP/1.1"), headers, body, time.monotonic()))
            self._arrived.notify_all()
        path = line.split()[1]
        if path == "/slow":
            await self.release.wait()
        if path == "/drop" or (path == "/drop-second" and len(self.arrivals) == 2):
            return False
        writer.write(ANSWERS.get(path, answer(path.encode())))
        await writer.drain()
        return path not in ("/cut", "/noise")


def answer(body: bytes, status: str = "200 OK", *more: str) -> bytes:
    """A whole HTTP response."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *more, f"Content-Length: {len(body)}", "Content-Type: text/plain"])
    return head.encode() + b"\r\n\r\n" + body


ANSWERS = {
    "/empty": answer(b""),
    "/busy": answer(b"later", "429 Too Many Requests", "Retry-After: 7", "X-Case: Kept"),
    "/moved": answer(b"", "302 Found", "Location: /target", "Set-Cookie: a=b"),
    "/loop": answer(b"", "302 Found", "Location: /loop"),
    "/odd": answer(b"caf\xe9 \0 after"),
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc",
    "/noise": b"hello, this is no http\r\n\r\n",
}


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Peer]:
    """A peer on a free port."""
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        await peer.close()
