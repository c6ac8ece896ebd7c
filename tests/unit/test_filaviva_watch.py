"""A watch converges to the row that reads give, whatever the stream brings or keeps back.

Stream and reads are scripted here; against the real stack see tests/e2e.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from filaviva.connection import Connection
from filaviva.errors import InvalidRequest, NotFound, NotSignedIn
from filaviva.models import Job
from filaviva.rpc import Rpc
from filaviva.watch import watch_job
from tests.unit.test_filaviva_channel import Phoenix, phoenix, pytestmark
from tests.unit.test_filaviva_models import ROW

__all__ = ["phoenix", "pytestmark"]

JOB_ID = UUID(ROW["id"])


def row(version: int, status: str = "processing", **columns: Any) -> dict[str, Any]:
    return {**ROW, "version": version, "status": status, **columns}


class Table:
    """What a read finds: one row, none, or an answer that is not a row."""

    def __init__(self, found: dict[str, Any] | None) -> None:
        self.found = found
        self.answers: list[httpx.Response] = []
        self.reads = 0

    def answer(self, _request: httpx.Request) -> httpx.Response:
        self.reads += 1
        if self.answers:
            return self.answers.pop(0)
        return httpx.Response(200, json=[self.found] if self.found else [])


@asynccontextmanager
async def watching(phoenix: Phoenix, table: Table, silence: float = 30) -> AsyncIterator[AsyncGenerator[Job, None]]:
    url = f"http://127.0.0.1:{phoenix.port}"
    connection = Connection(url, "anon", "token")
    http = httpx.AsyncClient(transport=httpx.MockTransport(table.answer))
    try:
        yield watch_job(Rpc(url, "anon", "token", http_client=http), connection, JOB_ID, silence_seconds=silence)
    finally:
        await connection.close()


async def test_it_joins_before_it_reads(phoenix: Phoenix) -> None:
    table = Table(row(3))
    async with watching(phoenix, table) as jobs:
        assert (await anext(jobs)).version == 3
        assert (len(phoenix.said("phx_join")), table.reads) == (1, 1)


async def test_what_was_read_is_followed_by_what_is_streamed_and_nothing_older(phoenix: Phoenix) -> None:
    async with watching(phoenix, Table(row(3, result={"kept": True}))) as jobs:
        seen = [await anext(jobs)]
        await phoenix.change(record=row(2))
        await phoenix.change(record=row(3, "failed"))
        await phoenix.change(record={k: v for k, v in row(4, "completed").items() if k != "payload"})
        seen += [job async for job in jobs]
    assert [(job.version, job.status) for job in seen] == [(3, "processing"), (4, "completed")]
    assert seen[-1].payload == ROW["payload"]
    assert seen[-1].result == {"kept": True}


async def test_a_change_that_cannot_be_merged_is_read(phoenix: Phoenix) -> None:
    table = Table(row(3))
    async with watching(phoenix, table) as jobs:
        await anext(jobs)
        table.found = row(6, "completed", result={"post": 1})
        await phoenix.change(record={"id": ROW["id"], "version": 6, "status": "completed"})
        assert [job.result async for job in jobs] == [{"post": 1}]


async def test_a_change_that_never_arrives_is_found_after_a_silence(phoenix: Phoenix) -> None:
    table = Table(row(3))
    async with watching(phoenix, table, silence=0.1) as jobs:
        await anext(jobs)
        table.found = row(4, "completed")
        assert [job.status async for job in jobs] == ["completed"]


async def test_without_a_socket_it_polls(phoenix: Phoenix) -> None:
    await phoenix.stop()
    table = Table(row(3))
    async with watching(phoenix, table) as jobs:
        assert (await anext(jobs)).version == 3
        table.found = row(4, "completed")
        assert [job.version async for job in jobs] == [4]
    await phoenix.start()


async def test_a_read_that_fails_is_tried_again(phoenix: Phoenix) -> None:
    table = Table(row(3, "completed"))
    table.answers = [httpx.Response(503) for _ in range(4)]
    async with watching(phoenix, table) as jobs:
        assert [job.version async for job in jobs] == [3]


async def test_a_job_that_nobody_may_see_ends_the_watch(phoenix: Phoenix) -> None:
    async with watching(phoenix, Table(None)) as jobs:
        with pytest.raises(NotFound, match=str(JOB_ID)) as caught:
            await anext(jobs)
    assert caught.value.code == "unknown_job"
    await phoenix.until(lambda: phoenix.said("phx_leave"))


async def test_a_job_that_is_deleted_ends_the_watch(phoenix: Phoenix) -> None:
    table = Table(row(3))
    async with watching(phoenix, table) as jobs:
        await anext(jobs)
        table.found = None
        await phoenix.change("DELETE", old_record={"id": ROW["id"]})
        with pytest.raises(NotFound):
            await anext(jobs)


async def test_a_token_that_is_refused_ends_the_watch(phoenix: Phoenix) -> None:
    table = Table(row(3))
    expired = {"code": "PGRST303", "message": "JWT expired", "details": None, "hint": None}
    table.answers = [httpx.Response(401, json=expired)]
    async with watching(phoenix, table) as jobs:
        with pytest.raises(NotSignedIn, match="JWT expired"):
            await anext(jobs)


async def test_a_url_that_is_no_project_ends_the_watch(phoenix: Phoenix) -> None:
    table = Table(row(3))
    table.answers = [httpx.Response(404, json={"detail": "Not Found"})]
    async with watching(phoenix, table) as jobs:
        with pytest.raises(InvalidRequest, match="Check the URL"):
            await anext(jobs)
