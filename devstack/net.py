"""Sends what `net.http_get` and its kin have queued, as pg_net's background worker does.

One transaction takes up to 200 requests from the queue, runs them all at once and stores what came
back; so one slow answer holds up everything behind it. After each batch the worker rests for up to a
second, until the queue is empty, and then sleeps until it is woken on channel `pg_net`.

A worker that is asked to end (`pg_terminate_backend`) finishes its batch. One that is cancelled leaves
it to the next, which sends it again. What may be made to happen stands in `devstack.faults`.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Sequence
from dataclasses import asdict

import httpx
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from devstack.fault_table import Fault, PendingFaults, read_faults, spend
from devstack.net_request import VERSION, Request, Response, make_client, send
from devstack.tasks import end

logger = logging.getLogger("devstack.net")

DEFAULTS = (200, "6 hours")
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
FORGET = "delete from net.http_request_queue where id = any(%s) returning id"


Outcome = tuple[Request, Response]


class BatchUndoneError(Exception):
    """A fault puts the batch back into the queue: `sleep` before it is sent, `cancel` after."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class WorkerCrashedError(Exception):
    """The worker has come to a sudden end, with its batch open."""


class Net:
    """The worker of one database.

    Args:
        dsn: the database, as a superuser.
        batch_size: how many requests are in flight at most; by default what `pg_net.batch_size` says, or 200.
        pause_seconds: the rest after a batch; a wake that comes while the worker is awake cuts it
            short once.
        ttl: how long responses are kept, as an interval; by default what `pg_net.ttl` says, or 6 hours. They
            are deleted only while the worker is awake.
    """

    def __init__(
        self, dsn: str, *, batch_size: int | None = None, pause_seconds: float = 1.0, ttl: str | None = None
    ) -> None:
        self._dsn = make_conninfo(dsn, application_name=f"pg_net {VERSION}")
        self._chosen = (batch_size, ttl)
        self._batch_size, self._ttl = DEFAULTS
        self._pause_seconds = pause_seconds
        self._should_wake = True
        self._latch = asyncio.Event()
        self._stopping = False
        self._asked_to_end = False
        self._restarting = False
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
            await end(self._supervisor)

    async def _supervise(self) -> None:
        async with make_client() as client:
            while not self._stopping:
                try:
                    await self._session(client)
                except* (psycopg.Error, WorkerCrashedError) as errors:
                    logger.error("the worker failed and starts again in %g s: %s", RESTART_SECONDS, errors.exceptions)
                self._tried.set()
                await self._rest_before_restart()

    async def _rest_before_restart(self) -> None:
        self._latch.clear()
        if not self._stopping and not self._restarting:
            await self._rest(RESTART_SECONDS)
        self._restarting = False

    async def _session(self, client: httpx.AsyncClient) -> None:
        async with (
            await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as listener,
            await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as worker,
            asyncio.TaskGroup() as group,
        ):
            await listener.execute("listen pg_net")
            await self._read_settings(worker)
            self._asked_to_end = False
            self._should_wake = True  # what was queued while nobody listened
            listening = group.create_task(self._listen(listener))
            self._tried.set()
            await self._work(worker, client)
            listening.cancel()

    async def _read_settings(self, worker: Connection) -> None:
        cursor = await worker.execute(
            "select coalesce(%s::int, nullif(current_setting('pg_net.batch_size', true), '')::int, %s),"
            " coalesce(%s::text, nullif(current_setting('pg_net.ttl', true), ''), %s)",
            (self._chosen[0], DEFAULTS[0], self._chosen[1], DEFAULTS[1]),
        )
        batch_size, ttl = await cursor.fetchone() or DEFAULTS
        self._batch_size, self._ttl = int(str(batch_size)), str(ttl)

    async def _listen(self, listener: Connection) -> None:
        try:
            async for note in listener.notifies():
                if note.payload == "crash":
                    raise WorkerCrashedError("it was told to crash")
                if note.payload == "restart":
                    self._asked_to_end = self._restarting = True
                    self._latch.set()
                    return
                if not self._should_wake:  # only the first wake since the worker last woke has an effect
                    self._should_wake = True
                    self._latch.set()
        except psycopg.OperationalError:  # why it was lost shows on the other connection, at the end of the batch
            self._asked_to_end = True
            self._latch.set()

    @property
    def _ending(self) -> bool:
        return self._stopping or self._asked_to_end

    async def _work(self, worker: Connection, client: httpx.AsyncClient) -> None:
        while not self._ending:
            if not self._should_wake:
                await self._rest(None)
                continue
            self._should_wake = False
            busy = True
            while busy and not self._ending:
                busy = await self._batch(worker, client)
                await self._rest(self._pause_seconds)

    async def _rest(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._latch.wait()
        if not self._ending:
            self._latch.clear()

    async def _batch(self, worker: Connection, client: httpx.AsyncClient) -> bool:
        """Run one batch; answers whether there was anything to do."""
        try:
            return await self._transaction(worker, client)
        except psycopg.errors.LockNotAvailable:
            logger.warning("a table of schema net is locked; its requests wait for the next wake")
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            logger.debug("extension pg_net is not there yet")
        except BatchUndoneError as undone:
            await spend(worker, "net", undone.fault)
            if undone.fault == "cancel":
                raise WorkerCrashedError("its batch was cancelled") from None
        return False

    async def _transaction(self, worker: Connection, client: httpx.AsyncClient) -> bool:
        outcomes: list[Outcome] = []
        try:
            async with worker.transaction():
                await worker.execute(LOCK)
                expired = await worker.execute(DELETE_EXPIRED, (self._ttl, self._batch_size))
                requests = await self._take(worker)
                if requests:
                    faults = await read_faults(worker, "net")  # now, so that none thrown before a request is missed
                    outcomes = await _send_all(client, requests, faults)
                    await _store(worker, outcomes)
                    await faults.write(worker)
                return bool(requests or expired.rowcount)
        except psycopg.OperationalError:
            if not worker.broken:
                raise
            await self._finish_elsewhere(outcomes)
            return False

    async def _finish_elsewhere(self, outcomes: list[Outcome]) -> None:
        """Record a batch whose connection was lost while its requests were under way.

        After a crash of the server its unlogged tables are empty, and nothing is left to record.
        """
        self._asked_to_end = True
        self._latch.set()
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            cursor = await connection.execute(FORGET, ([request.id for request, _ in outcomes],))
            still_known = {row[0] for row in await cursor.fetchall()}
            await _store(connection, [outcome for outcome in outcomes if outcome[0].id in still_known])

    async def _take(self, worker: Connection) -> list[Request]:
        async with worker.cursor(row_factory=class_row(Request)) as cursor:
            await cursor.execute(TAKE, (self._batch_size,))
            return sorted(await cursor.fetchall(), key=lambda request: request.id)


async def _store(worker: Connection, outcomes: Sequence[Outcome]) -> None:
    rows = [
        {**asdict(response), "id": request.id, "headers": response.headers and Jsonb(response.headers)}
        for request, response in outcomes
    ]
    async with worker.cursor() as cursor:
        await cursor.executemany(STORE, rows)


async def _send_all(client: httpx.AsyncClient, requests: list[Request], faults: PendingFaults) -> list[Outcome]:
    if faults.spend("sleep"):
        raise BatchUndoneError("sleep")
    async with asyncio.TaskGroup() as group:
        sending = [
            (request, group.create_task(_deliver(client, request, faults.spend("delay"), faults.spend("resend"))))
            for request in requests
            if not faults.spend("drop")
        ]
    if faults.spend("cancel"):
        raise BatchUndoneError("cancel")
    return [(request, task.result()) for request, task in sending]


async def _deliver(client: httpx.AsyncClient, request: Request, delay: Fault | None, resend: Fault | None) -> Response:
    if delay is not None:
        await asyncio.sleep(delay.amount / 1000)
    for _ in range(int(resend.amount) - 1 if resend else 0):
        await send(client, request)
    response = await send(client, request)
    # Neither the query nor a password in the address goes into the log.
    address = re.sub("//[^/]*@", "//", request.url.partition("?")[0])
    logger.info("%s %s %s", request.method, address, response.status_code or response.error_msg)
    return response
