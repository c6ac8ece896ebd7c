"""Runs a plan: one transaction, in one round trip wherever nothing has to be judged before its end."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
from psycopg.pq.abc import PGresult
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from devstack.rest.catalogue import RoleSettings
from devstack.rest.connection import PipelinedConnection, StatementError
from devstack.rest.errors import RestError, database_error
from devstack.rest.messages import Request
from devstack.rest.plans import Plan
from devstack.rest.prelude import begin, pre_request_call, prelude
from devstack.rest.responses import Outcome, check, must_be_checked, outcome_of
from devstack.rest.settings import RestSettings
from devstack.rest.sql import Statement
from devstack.rest.tokens import Identity

_COMMIT, _ROLLBACK = Statement(b"commit"), Statement(b"rollback")
_CHECK_CONSTRAINTS = Statement(b"set constraints all immediate")
"""What a transaction that is to be undone runs before, so that deferred constraints still have their say."""


class Transactions:
    """The connections, and what runs on them, between `open` and `close`."""

    def __init__(self, settings: RestSettings) -> None:
        self._settings = settings
        self._before = [pre_request_call(settings.pre_request)] if settings.pre_request else []
        self._pool: AsyncConnectionPool[PipelinedConnection] | None = None
        self._connection_errors = 0

    async def open(self) -> None:
        """Begin to connect."""
        self._pool = AsyncConnectionPool(
            self._settings.db_dsn,
            connection_class=PipelinedConnection,
            kwargs={"autocommit": True, "prepare_threshold": None, "client_encoding": "utf8"},
            min_size=min(2, self._settings.pool_size),
            max_size=self._settings.pool_size,
            timeout=self._settings.pool_timeout,
            open=False,
        )
        await self._pool.open()

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def run(self, plan: Plan, request: Request, identity: Identity, role: RoleSettings, schema: str) -> Outcome:
        """Do what the plan says, as the identity's role.

        Args:
            plan: what is done.
            request: what SQL may ask about the request.
            identity: who asks.
            role: settings of its role.
            schema: the selected schema.

        Raises:
            RestError: PostgreSQL refused it, the outcome is not what the client allows, or there is no connection.
        """
        start = [
            begin(plan, role),
            prelude(request, plan, identity, role, schema, self._settings),
            *self._before,
        ]
        try:
            async with self._connection() as connection:
                results = await self._results(connection, plan, start)
        except StatementError as error:
            raise database_error(error.fields, anonymous=identity.anonymous) from None
        except PoolTimeout:
            raise self._no_connection() from None
        except psycopg.OperationalError as error:
            message = "Database client error. Retrying the connection."
            raise RestError(503, "PGRST001", message, details=str(error)) from None
        outcome = self._outcome(plan, results)
        check(plan, outcome)
        return outcome

    async def _results(
        self, connection: PipelinedConnection, plan: Plan, start: Sequence[Statement]
    ) -> Sequence[PGresult]:
        """The results of the main statement and what comes after it."""
        end = self._end_of(plan)
        statements = [*start, plan.main, *([plan.estimate] if plan.estimate else [])]
        if end is _ROLLBACK:
            statements.append(_CHECK_CONSTRAINTS)
        if not must_be_checked(plan):
            return (await connection.run(statements, end))[len(start) :]
        try:
            results = (await connection.run(statements))[len(start) :]
            check(plan, self._outcome(plan, results))
        except (StatementError, RestError):
            await connection.run([_ROLLBACK])
            raise
        await connection.run([end])
        return results

    def _outcome(self, plan: Plan, results: Sequence[PGresult]) -> Outcome:
        return outcome_of(results[0], results[1] if plan.estimate else None, self._settings.max_rows)

    def _end_of(self, plan: Plan) -> Statement:
        wanted = plan.preferences.get("tx")  # which is only there when clients may choose
        undo = self._settings.tx_end.startswith("rollback") if wanted is None else wanted == "rollback"
        return _ROLLBACK if undo else _COMMIT

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PipelinedConnection]:
        """A connection that the server has not closed meanwhile, as a restart does with all of them."""
        pool = self._pool
        if pool is None:
            raise psycopg.OperationalError("the gateway is not started")
        while not (connection := await pool.getconn()).alive:
            await connection.close()
            await pool.putconn(connection)
        try:
            yield connection
        finally:
            await pool.putconn(connection)

    def _no_connection(self) -> RestError:
        """Why none came in time: all are busy, or the database cannot be reached."""
        errors = self._pool.get_stats().get("connections_errors", 0) if self._pool else 0
        unreachable, self._connection_errors = errors > self._connection_errors, errors
        if unreachable:
            return RestError(503, "PGRST000", "Database connection error. Retrying the connection.")
        return RestError(504, "PGRST003", "Timed out acquiring connection from connection pool.")
