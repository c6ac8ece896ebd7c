"""What the tests of cron and net share: one call of a function, a wait for rows, a worker of pg_net."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.rows import DictRow, dict_row

from devstack.net import Net
from tests.conftest import Database

T = TypeVar("T")


def call(connection: psycopg.Connection, statement: str, *values: object) -> Any:
    """The one value that `select …` gives."""
    row = connection.execute(f"select {statement}".encode(), values or None).fetchone()
    assert row is not None
    return row[0]


async def until(check: Callable[[], T], seconds: float = 15) -> T:
    """Wait for `check` to become true."""
    async with asyncio.timeout(seconds):
        while not (found := check()):  # noqa: ASYNC110 - it waits for rows of the database
            await asyncio.sleep(0.01)
    return found


@asynccontextmanager
async def worker(database: Database, **settings: Any) -> AsyncIterator[Net]:
    """pg_net's worker, which rests for 50 ms after a batch unless told otherwise."""
    net = Net(database.dsn("supabase_admin"), **{"pause_seconds": 0.05, **settings})
    await net.start()
    try:
        yield net
    finally:
        await net.stop()


def responses(connection: psycopg.Connection) -> list[DictRow]:
    """What pg_net's worker has recorded."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("select * from net._http_response order by id").fetchall()


def runs(connection: psycopg.Connection) -> list[DictRow]:
    """What pg_cron's scheduler has recorded."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("select * from cron.job_run_details order by runid").fetchall()
