"""Questions to the database: a small pool of superuser sessions that can take on any subscriber's role."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

_log = logging.getLogger(__name__)

_SESSION = {
    # values in the log, filters and answers must be written alike
    "timezone": "UTC",
    "datestyle": "ISO,MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "search_path": "public,extensions",
    "wal_sender_timeout": "20s",  # also how long a server that shuts down waits for a reader that hangs
    "statement_timeout": "5s",  # a policy may be slow, it must not stop everyone's stream
}

AS_LOGGED = sql.SQL("format('%s', {})")
"""The text of a value as the log has it; a cast to text differs for some types (`true` for `t`)."""

Connection = psycopg.AsyncConnection[Any]


def session_conninfo(dsn: str) -> str:
    """Connection string for `dsn` with the session settings that all of Realtime relies on."""
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    return make_conninfo(dsn, options=options, application_name="devstack_realtime")


def is_connection_trouble(error: psycopg.Error) -> bool:
    """Whether `error` is about the connection or the server, not about the question that was asked."""
    away = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return away and (error.sqlstate or "08").startswith(("08", "57P"))


def is_visible(xid: int, snapshot: str) -> bool:
    """Whether a snapshot (`xmin:xmax:running`, 64 bits each) sees the committed transaction `xid` (32 bits)."""
    _, limit, running = snapshot.split(":")
    behind = (int(limit) - xid) % 2**32
    is_old_enough = 0 < behind < 2**31  # numbers wrap around: what is far behind is in truth ahead
    return is_old_enough and str(int(limit) - behind) not in running.split(",")


class Database:
    """A pool for short questions. Connections that a restart of the database broke are replaced."""

    def __init__(self, dsn: str) -> None:
        """Prepare a pool for the superuser at `dsn`; `open` it inside a running event loop."""
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            session_conninfo(dsn),
            min_size=1,
            max_size=4,
            open=False,
            timeout=8,  # a client waits 10 s for the answer to a join
            check=AsyncConnectionPool.check_connection,
            # literals are bound here, so that several statements can travel in one round trip
            kwargs={"autocommit": True, "prepare_threshold": None, "cursor_factory": psycopg.AsyncClientCursor},
        )

    async def open(self) -> None:
        """Connect; raises `psycopg_pool.PoolTimeout` when the database does not answer within 10 s."""
        await self._pool.open(wait=True, timeout=10)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def rows(self, query: sql.SQL | sql.Composed) -> list[tuple[Any, ...]]:
        """All rows of one query."""
        async with self._pool.connection() as connection, connection.cursor() as cursor:
            await cursor.execute(query)
            return await cursor.fetchall()

    async def evaluate(self, expressions: Sequence[sql.Composable]) -> list[str | None]:
        """The value of each SQL expression as text, in one round trip."""
        if not expressions:
            return []
        values = sql.SQL(", ").join(
            sql.SQL("({}, ({})::text)").format(sql.Literal(number), expression)
            for number, expression in enumerate(expressions)
        )
        rows = await self.rows(sql.SQL("select v from (values {}) as e(n, v) order by n").format(values))
        return [row[0] for row in rows]

    async def evaluate_each(self, expressions: Sequence[sql.Composable]) -> list[str | None]:
        """Like `evaluate`, but an expression that fails spoils no other: it is reported in the log and gives None."""
        try:
            return await self.evaluate(expressions)
        except psycopg.Error as error:
            if is_connection_trouble(error):
                raise
            if len(expressions) == 1:
                _log.warning("a value cannot be worked out: %s", error)
                return [None]
        return [value for one in expressions for value in await self.evaluate_each([one])]

    async def wait_until_visible(self, xids: Collection[int]) -> None:
        """Wait until new snapshots see these committed transactions: the log tells of a commit a moment before."""
        while True:
            [snapshot] = await self.evaluate([sql.SQL("pg_current_snapshot()")])
            if all(is_visible(xid, snapshot or "") for xid in xids):
                return
            await asyncio.sleep(0.001)

    async def rolled_back(self, statements: Sequence[sql.Composed]) -> list[list[tuple[Any, ...]]]:
        """The rows each statement gives, in one transaction that is rolled back, in one round trip."""
        text = sql.SQL("begin; {}; rollback").format(sql.SQL("; ").join(statements))
        async with self._pool.connection() as connection, connection.cursor() as cursor:
            try:
                await cursor.execute(text)
                return [await _next_rows(cursor) for _ in statements]
            except psycopg.Error:
                await connection.rollback()
                raise

    async def run(self, statement: sql.Composed) -> None:
        """Execute a statement that gives no rows."""
        async with self._pool.connection() as connection:
            try:
                await connection.execute(statement)
            except psycopg.Error:
                await connection.rollback()  # it may have begun a transaction
                raise


def settings(values: Mapping[str, str]) -> sql.Composed:
    """A statement that sets these for the rest of the transaction, in this order."""
    each = (
        sql.SQL("set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
        for name, value in values.items()
    )
    return sql.SQL("select {}").format(sql.SQL(", ").join(each))


async def _next_rows(cursor: psycopg.AsyncCursor[Any]) -> list[tuple[Any, ...]]:
    cursor.nextset()
    return [] if cursor.description is None else await cursor.fetchall()
