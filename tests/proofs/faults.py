"""Wires on which one call can be made to fail: an HTTP transport, and a proxy before PostgreSQL."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx

FAULTS = ["error before", "error after", "hang", "reset"]
"""Refused before anything was done; refused although it was done; never answered and never done; the connection is
reset when it was done."""

Site = tuple[str, int]
"""What is called, and how many different calls of it came before."""

FUNCTION = re.compile(rb'public\."?(\w+)"?\(')
CANCEL = (80877102).to_bytes(4)
READY = b"Z\x00\x00\x00\x05I"
FIELDS = b"SERROR\0VERROR\0C40001\0Mthe transaction was not serializable\0\0"
REFUSAL = b"E" + (len(FIELDS) + 4).to_bytes(4) + FIELDS + READY
"""As PostgreSQL says that somebody else was quicker and the same call may succeed."""


@dataclass
class Faults:
    """Which site fails, in which way, and how many times; and what was called."""

    site: Site | None = None
    fault: str = ""
    times: int = 0
    hits: int = 0
    seen: dict[str, list[bytes]] = field(default_factory=dict)

    def arm(self, site: Site | None, fault: str = "", times: int = 0) -> None:
        """Forget what was seen, and break this site from now on."""
        self.site, self.fault, self.times, self.hits = site, fault, times, 0
        self.seen = {}

    def of(self, name: str, call: bytes) -> str | None:
        """How this call fails, if it does. Tries of one call are alike, so they are one site."""
        calls = self.seen.setdefault(name, [])
        if call not in calls:
            calls.append(call)
        if (name, calls.index(call)) != self.site or self.hits >= self.times:
            return None
        self.hits += 1
        return self.fault

    @property
    def sites(self) -> list[Site]:
        """Every call since the last `arm`."""
        return [(name, number) for name, calls in self.seen.items() for number in range(len(calls))]


@dataclass
class FaultyTransport(httpx.AsyncBaseTransport):
    """HTTP, to the engine or to a provider."""

    faults: Faults
    inner: httpx.AsyncHTTPTransport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.path.strip("/").split("/")
        name = parts[-1] if parts[0] == "rest" else f"provider {parts[0]}"
        fault = self.faults.of(name, request.url.raw_path + await request.aread())
        if fault is None:
            return await self.inner.handle_async_request(request)
        if fault == "error before":
            return httpx.Response(503)
        if fault == "hang":  # the wait itself would prove nothing
            raise httpx.ReadTimeout("no answer")
        answer = await self.inner.handle_async_request(request)
        await answer.aread()
        await answer.aclose()
        if fault == "reset":
            raise httpx.ReadError("connection reset by peer")
        return httpx.Response(502)

    async def aclose(self) -> None:
        await self.inner.aclose()


@asynccontextmanager
async def faulty_postgres(faults: Faults, port: int) -> AsyncIterator[int]:
    """A proxy before the server at `port`; the port to connect to."""
    lines: list[_Line] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(faults, lines, reader, writer, *await asyncio.open_connection("127.0.0.1", port))
        lines.append(line)
        await line.run()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for line in lines:
            line.close()
        await server.wait_closed()


@dataclass(eq=False)
class _Line:
    """One connection through the proxy: a statement up, its answer down."""

    faults: Faults
    lines: list["_Line"]
    up: asyncio.StreamReader
    down: asyncio.StreamWriter
    answers: asyncio.StreamReader
    server: asyncio.StreamWriter
    fault: str | None = None

    async def run(self) -> None:
        with suppress(ConnectionError):
            await asyncio.gather(self._statements(), self._answers())

    def close(self) -> None:
        self.down.close()
        self.server.close()

    async def _statements(self) -> None:
        while chunk := await self.up.read(1 << 20):
            if CANCEL in chunk:
                self._give_up_on_the_silent()
            found = FUNCTION.search(chunk)
            self.fault = self.faults.of(found[1].decode(), chunk) if found else None
            if self.fault == "error before":
                self.down.write(REFUSAL)
            elif self.fault != "hang":
                self.server.write(chunk)
        self.close()

    async def _answers(self) -> None:
        while chunk := await self.answers.read(1 << 20):
            if self.fault is None:
                self.down.write(chunk)
            elif chunk.endswith(READY):
                self._break()
        self.close()

    def _give_up_on_the_silent(self) -> None:
        """The caller has waited long enough: libpq would wait for a further answer to its wish to cancel."""
        for line in self.lines:
            if line.fault == "hang":
                line.down.transport.abort()

    def _break(self) -> None:
        """What was asked for is done; now say something else."""
        if self.fault == "reset":
            self.down.transport.abort()
        else:
            self.down.write(REFUSAL)
        self.fault = None
