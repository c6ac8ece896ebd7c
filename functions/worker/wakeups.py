"""Listening for the database's word that there is work: how a long-running worker starts a job at once.

The word is a NOTIFY on one channel whose payload is a queue's name. It is a hint: while nobody can be listened to,
the worker looks by itself, and after every interruption it looks everywhere.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import structlog
from psycopg import AsyncConnection

from functions.worker.ledger import LedgerRefused, LedgerUnavailable
from functions.worker.postgres_ledger import connect

CHANNEL = "filaviva_wake"
ECHO_SECONDS = 2.0
"""How long the word that we send ourselves may take before we take the address for one that cannot be listened at."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
ASK_AGAIN_SECONDS = 60.0
"""When to try again at an address that could not be listened at."""


class Wakeups:
    """Listens on a connection of its own, for as long as `run` runs.

    Args:
        url: address of the database.
        on_wake: called with the name of a queue that has work, or None when any may have.
        on_change: called with whether the database is listened to, whenever that changes.
        log: where the changes are told.
    """

    def __init__(
        self,
        url: str,
        on_wake: Callable[[str | None], None],
        on_change: Callable[[bool], None],
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._url = url
        self._on_wake = on_wake
        self._on_change = on_change
        self._log = log

    async def run(self) -> None:
        """Listen, and connect again whenever the connection is lost, until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._listening() as connection:
                    pause = FIRST_PAUSE_SECONDS
                    if connection is None:
                        pause = ASK_AGAIN_SECONDS
                    else:
                        async for notify in connection.notifies():
                            self._on_wake(notify.payload or None)
            except (psycopg.Error, LedgerUnavailable, LedgerRefused) as problem:
                self._log.warning("the database cannot be listened to; polling until it can", problem=str(problem))
            finally:
                self._on_change(False)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[AsyncConnection | None]:
        """A connection that hears; None when the address leads to one that does not."""
        async with await connect(self._url) as connection:
            await connection.execute(f"listen {CHANNEL}")
            if not await self._hears(connection):
                self._log.warning(
                    "no notification arrives, as behind a pooler in transaction mode; polling instead",
                    remedy="set SUPABASE_DB_URL to the direct address, or to the session pooler (port 5432)",
                )
                yield None
                return
            self._on_change(True)
            self._on_wake(None)  # what was said before we listened
            yield connection

    async def _hears(self, connection: AsyncConnection) -> bool:
        """Whether what another session says arrives."""
        async with await connect(self._url) as speaker:
            await speaker.execute("select pg_notify(%s, '')", (CHANNEL,))
        async for _ in connection.notifies(timeout=ECHO_SECONDS, stop_after=1):
            return True
        return False
