"""A connection that runs a whole transaction in one round trip.

psycopg's own cursors cost more than the statements they carry: a call of an SQL function took 270 µs of
Python through them, 70 µs through libpq's pipeline and 35 µs with prepared statements (2 cores, Python 3.11).
Hence this thin layer over `psycopg.pq`, which is used for nothing else than sending statements and reading results.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

from devstack.rest.sql import Statement


class StatementError(Exception):
    """PostgreSQL refused a statement. Whatever the transaction did is undone."""

    def __init__(self, result: PGresult) -> None:
        super().__init__()
        self.fields = {
            "sqlstate": _field(result, pq.DiagnosticField.SQLSTATE),
            "message": _field(result, pq.DiagnosticField.MESSAGE_PRIMARY),
            "detail": _field(result, pq.DiagnosticField.MESSAGE_DETAIL),
            "hint": _field(result, pq.DiagnosticField.MESSAGE_HINT),
        }


class PipelinedConnection(psycopg.AsyncConnection[TupleRow]):
    """A connection in libpq's pipeline mode, in which psycopg's own methods for statements do not work."""

    def __init__(self, pgconn: PGconn, *args: Any, **kwargs: Any) -> None:
        super().__init__(pgconn, *args, **kwargs)
        self._statement_names: dict[bytes, bytes] = {}
        self._names_given = 0

    @property
    def alive(self) -> bool:
        """Whether the server has not hung up while the connection was idle."""
        try:
            for _ in range(2):  # the first reads the server's farewell, the second finds the line closed
                self.pgconn.consume_input()
        except psycopg.OperationalError:
            return False
        return self.pgconn.status == pq.ConnStatus.OK

    async def run(self, statements: Sequence[Statement], end: Statement | None = None) -> list[PGresult]:
        """Run statements in one round trip, and `end` after them, which also undoes a transaction that failed.

        Returns:
            The result of each of `statements`.

        Raises:
            StatementError: one failed.
            psycopg.OperationalError: the connection was lost; it is closed.
        """
        try:
            return await self._run(statements, end)
        except StatementError:
            raise
        except BaseException:
            await self.close()  # what is still on its way would be taken for the next request's
            raise

    async def _run(self, statements: Sequence[Statement], end: Statement | None) -> list[PGresult]:
        if self.pgconn.pipeline_status == pq.PipelineStatus.OFF:
            self.pgconn.enter_pipeline_mode()
        preparing = self._send(statements)
        self.pgconn.pipeline_sync()
        if end:
            self.pgconn.send_query_params(end.text, None)
            self.pgconn.pipeline_sync()
        await self._flush()
        results = await self._results(syncs=2 if end else 1)
        self._remember(results, preparing)
        failed = next((one for one in results if one.status == pq.ExecStatus.FATAL_ERROR), None)
        if failed is not None:
            raise StatementError(failed)
        return [one for place, one in enumerate(results) if place not in preparing]

    def _send(self, statements: Sequence[Statement]) -> dict[int, tuple[bytes, bytes]]:
        """Queue the statements, preparing those that come again.

        Returns:
            Text and name of each statement that is prepared now, by the place of its result.
        """
        preparing: dict[int, tuple[bytes, bytes]] = {}
        place = 0
        for statement in statements:
            if not statement.lasting:
                self.pgconn.send_query_params(statement.text, statement.values)
            else:
                name = self._statement_names.get(statement.text)
                if name is None:
                    name = self._next_name()
                    self.pgconn.send_prepare(name, statement.text)
                    preparing[place] = (statement.text, name)
                    place += 1
                self.pgconn.send_query_prepared(name, statement.values)
            place += 1
        return preparing

    def _next_name(self) -> bytes:
        self._names_given += 1
        return b"s%d" % self._names_given

    def _remember(self, results: Sequence[PGresult], preparing: Mapping[int, tuple[bytes, bytes]]) -> None:
        """Note what was prepared: also when a later statement failed, since preparing is not undone."""
        for place, (text, name) in preparing.items():
            if place < len(results) and results[place].status == pq.ExecStatus.COMMAND_OK:
                self._statement_names[text] = name

    async def _flush(self) -> None:
        while self.pgconn.flush():
            await self._wait(writing=True)
            self.pgconn.consume_input()  # the server may need its answers taken before it reads on

    async def _results(self, syncs: int) -> list[PGresult]:
        """Every result up to the given number of synchronisation points."""
        results: list[PGresult] = []
        while syncs:
            while self.pgconn.is_busy():
                await self._wait()
                self.pgconn.consume_input()
            result = self.pgconn.get_result()
            if result is None:  # between two statements, and for ever on a line that is gone
                self._check_line(results)
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                syncs -= 1
            else:
                results.append(result)
        return results

    def _check_line(self, results: Sequence[PGresult]) -> None:
        if self.pgconn.status == pq.ConnStatus.OK:
            return
        if results and results[-1].status == pq.ExecStatus.FATAL_ERROR:
            raise StatementError(results[-1])
        raise psycopg.OperationalError(self.pgconn.get_error_message())

    async def _wait(self, *, writing: bool = False) -> None:
        """Wait until the socket can be read, or written to."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        socket = self.pgconn.socket

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        loop.add_reader(socket, wake)
        if writing:
            loop.add_writer(socket, wake)
        try:
            await ready
        finally:
            loop.remove_reader(socket)
            if writing:
                loop.remove_writer(socket)


def _field(result: PGresult, field: pq.DiagnosticField) -> str | None:
    value = result.error_field(field)
    return None if value is None else value.decode("utf-8", "replace")
