"""A project that gives few rows in one answer: nothing is taken for the end, or for gone, that was only cut."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from filaviva.listing import list_jobs
from filaviva.live.reads import Reads
from filaviva.rpc import Rpc
from tests.unit.test_filaviva_models import ROW

ROWS = [{**ROW, "id": str(UUID(int=seq)), "seq": seq} for seq in range(120, 0, -1)]


class Cutting:
    """120 jobs, the newest first, of which an answer holds so many."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.calls = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        asked = request.url.params
        ids = asked.get("id", "").removeprefix("in.(").removesuffix(")").replace('"', "").split(",")
        below = int(asked.get("seq", "lt.1000").removeprefix("lt."))
        found = [row for row in ROWS if row["seq"] < below and ("id" not in asked or row["id"] in ids)]
        return httpx.Response(200, json=found[: min(self.most, int(asked.get("limit", 1000)))])


@pytest.fixture(params=[10, 50, 100, 1000])
def project(request: pytest.FixtureRequest) -> Iterator[tuple[Cutting, Rpc]]:
    """The project, and the way to it."""
    cutting = Cutting(request.param)
    http = httpx.AsyncClient(transport=httpx.MockTransport(cutting.answer))
    yield cutting, Rpc("http://127.0.0.1:9", "anon", http_client=http)


async def test_pages_go_on_to_the_last_row(project: tuple[Cutting, Rpc]) -> None:
    for limit in (60, 1000):
        found = list[Any]()
        async for rows in Reads(project[1]).pages("jobs", columns="*", where={}, order_by="seq", limit=limit):
            found += rows
        assert [row["seq"] for row in found] == [row["seq"] for row in ROWS[:limit]]


async def test_every_named_row_is_found(project: tuple[Cutting, Rpc]) -> None:
    cutting, rpc = project
    wanted = [row["id"] for row in ROWS]
    assert await Reads(rpc).by_ids("jobs", "*", [*wanted, str(UUID(int=999))]) == ROWS
    cutting.calls = 0
    assert await Reads(rpc).by_ids("jobs", "*", wanted[:7]) == ROWS[:7]
    assert cutting.calls == 1


async def test_a_list_has_a_cursor_until_its_end(project: tuple[Cutting, Rpc]) -> None:
    seen, cursor = list[int](), None
    while not seen or cursor is not None:
        page = await list_jobs(project[1], {}, None, 60, cursor)
        seen, cursor = seen + [job.seq for job in page.items], page.next_cursor
    assert seen == [row["seq"] for row in ROWS]
