"""Keeps one stream of the log running, through faults and restarts of the database."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Protocol

import psycopg
from psycopg import sql

from devstack.realtime.database import Database
from devstack.realtime.pgoutput import Change, Decoder, Relation
from devstack.realtime.wal import SlotTimeoutError, WalStream
from devstack.tasks import end

_log = logging.getLogger(__name__)

RETRY_SECONDS = 0.25
_LONGEST_RETRY_SECONDS = 4.0
_PATIENCE = 40  # how many times the pause before it an attempt may wait for a slot: from 10 s to 160 s


class Consumer(Protocol):
    """Who reads the stream."""

    def wants(self, relation: Relation) -> bool:
        """Whether the rows of this table are worth decoding."""

    def described(self, relation: Relation) -> None:
        """The stream describes this table, for the first time or because it has changed."""

    def interrupted(self, reason: str) -> None:
        """The stream broke, or cannot be opened; it is tried again."""

    def resumed(self) -> None:
        """Changes flow, from now on."""

    async def deliver(self, changes: Sequence[Change]) -> None:
        """Take the next changes; an error costs the stream, and another one is opened."""


class Follower:
    """Reads a publication for one consumer while it is wanted. At other times there is no slot and no work.

    Attributes:
        wanted: to be set by the consumer; when it is cleared, the stream ends at its next sign of life.
        live: set while changes flow.
    """

    def __init__(self, dsn: str, publication: str, database: Database, consumer: Consumer) -> None:
        """Nothing is opened before `start`."""
        self.wanted = asyncio.Event()
        self.live = asyncio.Event()
        self._dsn = dsn
        self._publication = publication
        self._database = database
        self._consumer = consumer
        self._retry_seconds = RETRY_SECONDS
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Open a stream as soon as one is wanted; the database must be open."""
        self._task = asyncio.create_task(self._run(), name=f"realtime {self._publication}")

    async def stop(self) -> None:
        """Close the stream, which removes its slot; takes seconds at most, whatever the server is waiting for."""
        self.wanted.clear()
        await end(self._task)

    async def _run(self) -> None:
        while True:
            await self.wanted.wait()
            try:
                await self._follow()
            except SlotTimeoutError as error:
                _log.warning("%s and is asked again; it waits for the transactions that write, in any database", error)
                await self._name_writers()
            except (psycopg.Error, OSError) as error:
                _log.warning("the stream of changes broke and is opened again: %s", error)
                self._consumer.interrupted(str(error).strip().partition("\n")[0])
            except Exception:
                _log.exception("a change could not be delivered; the stream of changes is opened again")
            else:
                continue
            finally:
                self.live.clear()
            await asyncio.sleep(self._retry_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, _LONGEST_RETRY_SECONDS)

    async def _follow(self) -> None:
        """Open the stream and deliver from it until nobody wants it; asked at each sign of life, every 10 s or so."""
        decoder = Decoder(wanted=self._consumer.wants, on_relation=self._consumer.described)
        async with WalStream(self._dsn, self._publication, _PATIENCE * self._retry_seconds) as stream:
            self.live.set()
            self._retry_seconds = RETRY_SECONDS
            self._consumer.resumed()
            while self.wanted.is_set():
                decoded = [decoder.decode(message) for message in await stream.read()]
                changes = [change for change in decoded if change is not None]
                if changes:
                    await self._consumer.deliver(changes)
                stream.confirm()
            self.live.clear()  # before the slot is gone: who comes now waits for the next one

    async def _name_writers(self) -> None:
        """Say in the log which transactions hold up a slot."""
        with contextlib.suppress(psycopg.Error):
            for pid, database, program, seconds in await self._database.rows(sql.SQL(_WRITERS)):
                _log.warning("open for %s s: process %s (%s) in database %s", seconds, pid, program, database)


_WRITERS = """
select pid, datname, coalesce(nullif(application_name, ''), backend_type), extract(epoch from now() - xact_start)::int
from pg_catalog.pg_stat_activity
where backend_xid is not null
order by xact_start
limit 10
"""
