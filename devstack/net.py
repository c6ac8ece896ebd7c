"""Sends what `net.http_get` and its kin have queued, as pg_net's background worker does.

One transaction takes up to 200 requests from the queue, runs them all at once and stores what came
back; so one slow answer holds up everything behind it. After each batch the worker rests for up to a
second, until the queue is empty, and then sleeps until it is woken on channel `pg_net`.
"""

import asyncio
import contextlib
import logging
from dataclasses import asdict

import httpx
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from devstack.net_request import VERSION, Request, Response, make_client, send

logger = logging.getLogger("devstack.net")

RESTART_SECONDS = 1.0
STOP_SECONDS = 5.0
"""How long a batch in flight may delay the end."""

Connection = psycopg.AsyncConnection[tuple[object, ...]]

LOCK = "lock table net.http_request_queue, net._http_response in access share mode nowait"
DELETE_EXPIRED = """
delete from net._http_response where ctid in (
  select ctid from net._http_response where created < now() - %s::interval order by created limit %s
)
"""
TAKE = """
delete from net.http_request_queue q
using (select id from net.http_request_queue order by id limit %s) batch
where q.id = batch.id
returning q.id, q.method::text, q.url, q.body, q.timeout_milliseconds, (
  select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each_text(q.headers) where value is not null
) as headers
"""
STORE = """
insert into net._http_response (id, status_code, content_type, headers, content, timed_out, error_msg)
values (%(id)s, %(status_code)s, %(content_type)s, %(headers)s, %(content)s, %(timed_out)s, %(error_msg)s)
"""


class Net:
    """The worker of one database.

    Args:
        dsn: the database, as a superuser.
        batch_size: how many requests are in flight at most.
        pause_seconds: the rest after a batch; a wake that comes while the worker is awake cuts it
            short once.
        ttl: how long responses are kept, as an interval. They are deleted only while the worker is awake.
    """

    def __init__(self, dsn: str, *, batch_size: int = 200, pause_seconds: float = 1.0, ttl: str = "6 hours") -> None:
        self._dsn = make_conninfo(dsn, application_name=f"pg_net {VERSION}")
        self._batch_size = batch_size
        self._pause_seconds = pause_seconds
        self._ttl = ttl
        self._should_wake = True
        self._latch = asyncio.Event()
        self._stopping = False
        self._tried = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; returns when the worker listens, or when the first attempt failed and was logged."""
        self._supervisor = asyncio.create_task(self._supervise(), name="devstack.net")
        await self._tried.wait()

    async def stop(self) -> None:
        """End after the batch in flight. One that takes longer than `STOP_SECONDS` goes back to the queue."""
        self._stopping = True
        self._latch.set()
        if self._supervisor is not None:
            await asyncio.wait([self._supervisor], timeout=STOP_SECONDS)
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor

    async def _supervise(self) -> None:
        async with make_client() as client:
            while not self._stopping:
                try:
                    await self._session(client)
                except* psycopg.Error as errors:
                    logger.error("the worker failed and starts again in %g s: %s", RESTART_SECONDS, errors.exceptions)
                    self._tried.set()
                    await asyncio.sleep(RESTART_SECONDS)

    async def _session(self, client: httpx.AsyncClient) -> None:
        async with (
            await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as listener,
            await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as worker,
            asyncio.TaskGroup() as group,
        ):
            await listener.execute("listen pg_net")
            self._should_wake = True  # what was queued while nobody listened
            listening = group.create_task(self._listen(listener))
            self._tried.set()
            await self._work(worker, client)
            listening.cancel()

    async def _listen(self, listener: Connection) -> None:
        async for note in listener.notifies():
            # Only the first wake since the worker last woke has an effect; a restart always has.
            if note.payload == "restart" or not self._should_wake:
                self._should_wake = True
                self._latch.set()

    async def _work(self, worker: Connection, client: httpx.AsyncClient) -> None:
        while not self._stopping:
            if not self._should_wake:
                await self._rest(None)
                continue
            self._should_wake = False
            busy = True
            while busy and not self._stopping:
                busy = await self._batch(worker, client)
                await self._rest(self._pause_seconds)

    async def _rest(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._latch.wait()
        if not self._stopping:
            self._latch.clear()

    async def _batch(self, worker: Connection, client: httpx.AsyncClient) -> bool:
        """Run one batch; answers whether there was anything to do."""
        try:
            async with worker.transaction():
                await worker.execute(LOCK)
                expired = await worker.execute(DELETE_EXPIRED, (self._ttl, self._batch_size))
                requests = await self._take(worker)
                if requests:
                    await self._store(worker, requests, await _send_all(client, requests))
                return bool(requests or expired.rowcount)
        except psycopg.errors.LockNotAvailable:
            logger.warning("a table of schema net is locked; its requests wait for the next wake")
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            logger.debug("extension pg_net is not there yet")
        return False

    async def _take(self, worker: Connection) -> list[Request]:
        async with worker.cursor(row_factory=class_row(Request)) as cursor:
            await cursor.execute(TAKE, (self._batch_size,))
            return await cursor.fetchall()

    async def _store(self, worker: Connection, requests: list[Request], responses: list[Response]) -> None:
        rows = [
            {**asdict(response), "id": request.id, "headers": response.headers and Jsonb(response.headers)}
            for request, response in zip(requests, responses, strict=True)
        ]
        async with worker.cursor() as cursor:
            await cursor.executemany(STORE, rows)


async def _send_all(client: httpx.AsyncClient, requests: list[Request]) -> list[Response]:
    async with asyncio.TaskGroup() as group:
        sending = [group.create_task(send(client, request)) for request in requests]
    return [task.result() for task in sending]
