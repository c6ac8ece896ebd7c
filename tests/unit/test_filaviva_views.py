"""What views are asked for, and that those of a status find old rows that come to have it."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from filaviva import FilaViva
from filaviva.errors import InvalidRequest
from filaviva.filters import JobFilter
from filaviva.live.jobs import LiveJobs, select_jobs
from tests.unit.phoenix import Phoenix, eventually, phoenix
from tests.unit.test_filaviva_watch import Table, context_of, row

__all__ = ["phoenix"]


class Filtering(Table):
    """A table that looks at the status that is asked for."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        found: list[dict[str, Any]] = super().answer(request).json()
        wanted = request.url.params.get("status", "")
        return httpx.Response(200, json=[one for one in found if not wanted or one["status"] in wanted])


async def test_without_a_socket_an_old_job_that_comes_to_have_the_status_is_found_at_the_next_look(
    phoenix: Phoenix,
) -> None:
    old, new = str(uuid4()), str(uuid4())
    table = Filtering(row(1, "pending", id=old, seq=1), row(1, "failed", id=new, seq=2))
    await phoenix.stop()
    async with context_of(phoenix, table) as context:
        view = LiveJobs(context, select_jobs(context, JobFilter(), status=["failed"]))
        async with view:
            assert [str(job.id) for job in await view.loaded()] == [new]
            table.put(row(2, "failed", id=old, seq=1))
            looks = len(table.reads)
            await eventually(lambda: view.get(old))
            assert len(table.reads) - looks <= 2
    await phoenix.start()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
async def test_a_view_that_polls_needs_a_pause(seconds: float) -> None:
    async with FilaViva("http://127.0.0.1:9", "anon") as fila:
        for make in (fila.connection_metrics, fila.queue_metrics):
            with pytest.raises(InvalidRequest, match="refresh_interval"):
                make(refresh_interval=seconds)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), 1e12])
async def test_publications_are_tracked_for_a_time_that_there_is(minutes: float) -> None:
    async with FilaViva("http://127.0.0.1:9", "anon") as fila:
        with pytest.raises(InvalidRequest, match="tracking_duration_minutes"):
            fila.publication_status([uuid4()], tracking_duration_minutes=minutes)


def test_a_conversation_can_be_prepared_before_a_loop_runs() -> None:
    assert FilaViva("http://127.0.0.1:9", "anon").conversation(uuid4()).typing_users == []


async def test_more_jobs_than_a_client_may_follow_are_refused() -> None:
    async with FilaViva("http://127.0.0.1:9", "anon") as fila:
        with pytest.raises(InvalidRequest, match="job_ids: expected at most 10000"):
            fila.live_jobs(job_ids=(uuid4() for _ in range(10_001)))
