"""The ledger over direct PostgreSQL connections: one round trip a call. What the long-running worker uses.

Every call is one statement that is a transaction, takes its role with it and prepares nothing, so that a pooler
in transaction mode (port 6543 on hosted projects) may stand between. Only listening needs a session; see wakeups.py.
"""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, cast
from uuid import UUID

import orjson
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from functions.worker.ledger import PASSING_CODES, EngineLedger, LedgerRefused, LedgerUnavailable

CONNECTIONS = 4
"""Two calls of a drain may be under way, and beside them a renewal of leases and a handler's commit."""
ANSWER_SECONDS = 15
LIVELINESS: Mapping[str, str | int] = {
    "application_name": "filaviva worker",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A server that vanishes without a word is noticed within half a minute."""

_STATUS_OF_STATE = {"42501": 403, "42883": 404, "3F000": 404}
_STATUS_OF_CLASS = {"22": 400, "23": 409, "28": 401}
_PASSING_CLASSES = {"08", "53", "57"}
"""The connection, the server's resources, and the server's being shut down or started."""


async def connect(url: str) -> AsyncConnection:
    """A new connection on which every statement is a transaction and nothing is prepared.

    Raises:
        LedgerUnavailable: nobody answers, or not now.
        LedgerRefused: the server does not let us in; asking again would not help.
    """
    try:
        return await AsyncConnection.connect(make_conninfo(url, **LIVELINESS), autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise _connecting_fault(error) from error


class PostgresLedger(EngineLedger):
    """The ledger over a few connections of its own, made when they are needed. An async context manager.

    It keeps no library's pool: that one would connect in the background, at growing pauses, and hide the reason
    when it cannot.

    Args:
        url: `postgresql://…` of a role that may act as `service_role`, such as `postgres`.
        pause: how `tenacity` sleeps between tries; a test passes its own.
    """

    def __init__(self, url: str, pause: Callable[[float], Awaitable[None]] | None = None) -> None:
        super().__init__(pause)
        self._url = url
        self._idle: list[AsyncConnection] = []
        self._places = asyncio.Semaphore(CONNECTIONS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            with contextlib.suppress(psycopg.Error):
                await self._idle.pop().close()

    def _packed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _text(value) for name, value in arguments.items()}

    async def _send(self, function: str, packed: dict[str, Any]) -> str:
        async with self._places:
            connection = self._idle.pop() if self._idle else await connect(self._url)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    cursor = await connection.execute(_statement(function, tuple(packed)), packed)
                    row = await cursor.fetchone()
            except psycopg.Error as error:
                raise _fault(function, error) from error
            except TimeoutError as error:
                raise LedgerUnavailable(f"{function}: no answer in {ANSWER_SECONDS} s") from error
            finally:
                await self._keep(connection)
        return cast(str, row[-1]) if row and row[-1] is not None else "null"

    async def _keep(self, connection: AsyncConnection) -> None:
        if connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
            return
        self._idle.append(connection)  # it is broken, and so may be the others
        await self.close()


@functools.lru_cache
def _statement(function: str, names: tuple[str, ...]) -> bytes:
    """The call with its role, which ends with it."""
    arguments = [sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in names]
    statement = sql.SQL("select set_config('role', 'service_role', true), public.{}({})::text").format(
        sql.Identifier(function), sql.SQL(", ").join(arguments)
    )
    return statement.as_bytes(None)


def _text(value: object) -> object:
    """Documents as JSON; whatever is left as text takes the type of its parameter."""
    match value:
        case str() | int() | None:
            return value
        case UUID():
            return str(value)
        case _:
            return orjson.dumps(value).decode()


def _connecting_fault(error: psycopg.Error) -> LedgerUnavailable | LedgerRefused:
    state, message = error.sqlstate or "", _one_line(error)
    refused = state[:2] in {"28", "3D"} or "authentication failed" in message or "does not exist" in message
    if refused or isinstance(error, psycopg.ProgrammingError):
        return LedgerRefused(401, state or "connection_refused", message)
    return LedgerUnavailable(f"connect: {message}")


def _fault(function: str, error: psycopg.Error) -> LedgerUnavailable | LedgerRefused:
    state, said = error.sqlstate, error.diag
    message = said.message_primary or _one_line(error)
    if state is None:
        if isinstance(error, psycopg.DataError):  # such as a NUL in a name: it never left this process
            return LedgerRefused(400, "22000", message)
        return LedgerUnavailable(f"{function}: {message}")
    if state.startswith("PT"):
        return LedgerRefused(int(state[2:]), said.message_detail or state, message, said.message_hint, from_engine=True)
    if state in PASSING_CODES or state[:2] in _PASSING_CLASSES:
        return LedgerUnavailable(f"{function}: {state} {message}")
    status = _STATUS_OF_STATE.get(state) or _STATUS_OF_CLASS.get(state[:2], 500)
    return LedgerRefused(status, state, message, said.message_hint)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
