"""Keeps the catalogue current: read at the start, when the database says so, and when a request misses something."""

import asyncio
import contextlib
import logging

import psycopg
from psycopg.rows import TupleRow

from devstack.rest.catalogue import Catalogue
from devstack.rest.catalogue_queries import read_catalogue, read_timezones

CHANNEL = "pgrst"
DEBOUNCE_SECONDS = 0.1
RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


class SchemaCache:
    """The newest catalogue, in `current`.

    `NOTIFY pgrst` makes it read again; a migration's many notices make it read once.
    """

    def __init__(self, dsn: str, schemas: tuple[str, ...]) -> None:
        self.current = Catalogue()
        self._dsn, self._schemas = dsn, schemas
        self._timezones: frozenset[str] | None = None
        self._reads_begun = 0
        self._reading = asyncio.Lock()
        self._noticed = asyncio.Event()
        self._listener: psycopg.AsyncConnection[TupleRow] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read the catalogue, and begin to listen.

        Raises:
            psycopg.OperationalError: the database cannot be reached.
        """
        self._listener = await self._listen()
        try:
            await self.refresh()
        except BaseException:
            await self._listener.close()
            raise
        self._tasks = [asyncio.create_task(self._keep_listening()), asyncio.create_task(self._keep_reading())]

    async def stop(self) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._listener is not None:
            await self._listener.close()

    async def refresh(self) -> None:
        """Read the catalogue anew. A reading that another caller begins after this call serves both."""
        begun = self._reads_begun
        async with self._reading:
            if self._reads_begun > begun:
                return
            self._reads_begun += 1
            async with await self._connect() as connection:
                self.current = await read_catalogue(connection, self._schemas)

    async def timezones(self) -> frozenset[str]:
        """The names of time zones, read when they are first asked for."""
        if self._timezones is None:
            async with await self._connect() as connection:
                self._timezones = await read_timezones(connection)
        return self._timezones

    async def _connect(self) -> psycopg.AsyncConnection[TupleRow]:
        return await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)

    async def _listen(self) -> psycopg.AsyncConnection[TupleRow]:
        connection = await self._connect()
        try:
            await connection.execute(f"listen {CHANNEL}")
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _keep_listening(self) -> None:
        while True:
            if self._listener is not None:
                with contextlib.suppress(psycopg.OperationalError):
                    async for _ in self._listener.notifies():
                        self._noticed.set()
                await self._listener.close()
            try:
                self._listener = await self._listen()
            except psycopg.OperationalError:
                self._listener = None
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._noticed.set()  # what was said meanwhile was not heard

    async def _keep_reading(self) -> None:
        while True:
            await self._noticed.wait()
            await asyncio.sleep(DEBOUNCE_SECONDS)
            self._noticed.clear()
            try:
                await self.refresh()
            except psycopg.Error as error:
                log.warning("the schema could not be read, the old one stays in use: %s", error)
