"""The write-ahead log of one database as a stream, over PostgreSQL's replication protocol.

psycopg has no streaming replication of its own, so this speaks to the libpq connection beneath it. Streaming
instead of polling `pg_logical_slot_get_binary_changes`: an idle stream costs nothing, a change arrives within a
millisecond or so of its commit, and no part of the log is decoded twice.
"""

import asyncio
import contextlib
import secrets
import struct
import time
from types import TracebackType
from typing import Self

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from devstack.realtime.database import Connection, session_conninfo

_DATA = ord("w")
_DATA_HEADER = 25
_MOST_MESSAGES = 500  # one read: enough to share the checks of a large transaction, not so many that others wait
_EPOCH = 946684800  # 2000-01-01 in seconds since 1970
_LOGIN_SECONDS = 10
_GIVE_UP_SECONDS = 2.0
_CANCEL_AGAIN_SECONDS = 0.2


class SlotTimeoutError(psycopg.OperationalError):
    """The server gave no slot in time, because transactions that write were open all the while."""


class WalStream:
    """Committed changes of the tables in a publication, from the moment of opening on.

    An async context manager: opening creates a temporary slot, which waits for the transactions that write at
    that moment, in any database of the server; closing, or the death of this process, removes it.
    """

    def __init__(self, dsn: str, publication: str, patience: float = 10.0) -> None:
        """Prepare to read `publication` of the database at `dsn`, as a role that may replicate.

        `patience`: how many seconds opening may wait for the transactions that write.
        """
        self._dsn = dsn
        self._publication = publication
        self._patience = patience
        self._position = 0

    async def __aenter__(self) -> Self:
        """Open the stream.

        Raises:
            SlotTimeoutError: other transactions hold it up.
            psycopg.Error: the database cannot be reached, or gives no slot.
        """
        self._connection = await self._connect()
        self._pgconn = self._connection.pgconn
        try:
            await self._start()
        except BaseException:
            await self._give_up()
            await self._connection.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection; the slot goes with it."""
        await self._connection.close()

    async def read(self) -> list[bytes]:
        """Wait for something, then return all that has arrived; empty if that was only a sign of life.

        Raises:
            psycopg.Error: the stream is broken; open another.
        """
        messages: list[bytes] = []
        heard = False
        while len(messages) < _MOST_MESSAGES:
            length, data = self._pgconn.get_copy_data(1)
            if length > 0:
                heard = True
                self._take(bytes(data), messages)
            elif length < 0:
                raise self._ended()
            elif heard:
                break
            else:
                await self._wait_for_input()
        return messages

    def confirm(self) -> None:
        """Tell the server that everything read so far may be forgotten."""
        now = int((time.time() - _EPOCH) * 1_000_000)
        position = self._position
        self._pgconn.put_copy_data(struct.pack(">cQQQqB", b"r", position, position, position, now, 0))
        self._pgconn.flush()

    async def _connect(self) -> Connection:
        conninfo = make_conninfo(session_conninfo(self._dsn), connect_timeout=_LOGIN_SECONDS)
        connecting = asyncio.ensure_future(
            psycopg.AsyncConnection.connect(conninfo, autocommit=True, replication="database")
        )
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            # half a log-in would hold up whoever drops a database, until the server gives it up after a minute
            with contextlib.suppress(psycopg.Error, TimeoutError):
                async with asyncio.timeout(_GIVE_UP_SECONDS):
                    await (await connecting).close()
            raise

    async def _start(self) -> None:
        # this grammar knows its words in upper case only
        name = sql.Identifier(f"{self._publication}_{secrets.token_hex(8)}")
        create = sql.SQL("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput (SNAPSHOT 'nothing')").format(name)
        try:
            async with asyncio.timeout(self._patience):
                await self._command(create, pq.ExecStatus.TUPLES_OK)
        except TimeoutError:
            raise SlotTimeoutError(f"the server gave no replication slot within {self._patience:.0f} s") from None
        while self._pgconn.get_result():
            pass
        options = sql.SQL("(proto_version '1', publication_names {})").format(sql.Literal(f'"{self._publication}"'))
        start = sql.SQL("START_REPLICATION SLOT {} LOGICAL 0/0 {}").format(name, options)
        await self._command(start, pq.ExecStatus.COPY_BOTH)

    async def _command(self, command: sql.Composed, expected: pq.ExecStatus) -> None:
        """Send a command of the replication protocol and wait for its answer."""
        self._pgconn.send_query(command.as_bytes(self._connection))
        self._pgconn.flush()
        while self._pgconn.is_busy():
            await self._wait_for_input()
        result = self._pgconn.get_result()
        if result is None or result.status != expected:
            raise self._ended()

    async def _give_up(self) -> None:
        """Cancel what the server is doing for us, more than once: what comes before the command does is lost.

        A connection that is only closed would leave a session that waits on, with its slot.
        """
        with contextlib.suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(_GIVE_UP_SECONDS):
                while self._pgconn.is_busy():
                    await self._connection.cancel_safe(timeout=_GIVE_UP_SECONDS)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_CANCEL_AGAIN_SECONDS):
                            await self._wait_for_input()

    def _take(self, data: bytes, messages: list[bytes]) -> None:
        self._position = max(self._position, int.from_bytes(data[1:9]))
        if data[0] == _DATA:
            messages.append(data[_DATA_HEADER:])

    def _ended(self) -> psycopg.Error:
        return psycopg.OperationalError(f"the database ended the stream: {self._pgconn.get_error_message().strip()}")

    async def _wait_for_input(self) -> None:
        loop = asyncio.get_running_loop()
        socket = self._pgconn.socket
        ready = asyncio.Event()
        loop.add_reader(socket, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(socket)
        self._pgconn.consume_input()
