"""Live jobs converge to the rows that reads give, whatever the stream brings or keeps back.

Stream and reads are scripted here; against the real stack see tests/e2e.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest

from filaviva.errors import InvalidRequest, NotFound, NotSignedIn
from filaviva.filters import JobFilter
from filaviva.live.context import LiveContext
from filaviva.live.jobs import LiveJobs, select_jobs, watch_job
from filaviva.models import Job
from filaviva.realtime.connection import Connection
from filaviva.rpc import Rpc
from tests.unit.phoenix import QUICK, Phoenix, phoenix
from tests.unit.test_filaviva_models import ROW

__all__ = ["phoenix"]

JOB_ID = UUID(ROW["id"])
ANN = "00000000-0000-4000-8000-00000000000a"
TOKEN = jwt.encode({"sub": ANN, "role": "authenticated"}, "a-secret-of-at-least-32-characters!!", "HS256")


def row(version: int, status: str = "processing", **columns: Any) -> dict[str, Any]:
    return {**ROW, "user_id": ANN, "version": version, "status": status, **columns}


class Table:
    """What a read finds, or an answer that is not rows."""

    def __init__(self, *found: dict[str, Any]) -> None:
        self.found = {one["id"]: one for one in found}
        self.answers: list[httpx.Response] = []
        self.reads: list[dict[str, str]] = []

    def put(self, one: dict[str, Any]) -> None:
        self.found[one["id"]] = one

    def answer(self, request: httpx.Request) -> httpx.Response:
        asked = dict(request.url.params)
        self.reads.append(asked)
        if self.answers:
            return self.answers.pop(0)
        ids = asked["id"].removeprefix("in.(").removesuffix(")").split(",") if "id" in asked else list(self.found)
        found = [self.found[one.strip('"')] for one in ids if one.strip('"') in self.found]
        above = int(asked["seq"].removeprefix("gt.")) if asked.get("seq", "").startswith("gt.") else 0
        return httpx.Response(200, json=[one for one in found if one["seq"] > above])


@asynccontextmanager
async def context_of(
    phoenix: Phoenix, table: Table, token: str | None = TOKEN, silence: float = 30
) -> AsyncIterator[LiveContext]:
    settings = dataclasses.replace(QUICK, silence_seconds=silence)
    http = httpx.AsyncClient(transport=httpx.MockTransport(table.answer))
    context = LiveContext(
        Rpc(phoenix.url, "anon", token, http_client=http), Connection(phoenix.url, "anon", token, settings=settings)
    )
    try:
        yield context
    finally:
        await context.close()


async def test_it_joins_before_it_reads(phoenix: Phoenix) -> None:
    table = Table(row(3))
    async with context_of(phoenix, table) as context:
        assert (await anext(watch_job(context, JOB_ID))).version == 3
        assert (len(phoenix.said("phx_join")), len(table.reads)) == (1, 1)


async def test_what_was_read_is_followed_by_what_is_streamed_and_nothing_older(phoenix: Phoenix) -> None:
    async with context_of(phoenix, Table(row(3, result={"kept": True}))) as context:
        jobs = watch_job(context, JOB_ID)
        seen = [await anext(jobs)]
        await phoenix.change(record=row(2))
        await phoenix.change(record=row(3, "failed"))
        await phoenix.change(record={k: v for k, v in row(4, "retrying").items() if k != "payload"})
        await phoenix.change(record=row(5, "completed", result={"kept": True}))
        seen += [job async for job in jobs]
    assert [(job.version, job.status) for job in seen] == [(3, "processing"), (4, "retrying"), (5, "completed")]
    assert seen[-1].payload == ROW["payload"]
    assert seen[-1].result == {"kept": True}


@pytest.mark.parametrize(
    "change",
    [
        {"record": {"id": ROW["id"], "version": 6, "status": "completed"}},
        {"record": {"id": ROW["id"]}, "errors": ["Error 413: Payload Too Large"]},
        {"record": {}, "errors": ["Error 401: Unauthorized"]},
    ],
)
async def test_a_change_that_cannot_be_merged_is_read(phoenix: Phoenix, change: dict[str, Any]) -> None:
    table = Table(row(3))
    async with context_of(phoenix, table) as context:
        jobs = watch_job(context, JOB_ID)
        await anext(jobs)
        table.put(row(6, "completed", result={"post": 1}))
        await phoenix.change(**change)
        assert [job.result async for job in jobs] == [{"post": 1}]


async def test_a_change_that_never_arrives_is_found_after_a_silence(phoenix: Phoenix) -> None:
    table = Table(row(3))
    async with context_of(phoenix, table, silence=0.1) as context:
        jobs = watch_job(context, JOB_ID)
        await anext(jobs)
        table.put(row(4, "completed"))
        assert [job.status async for job in jobs] == ["completed"]


async def test_without_a_socket_it_polls(phoenix: Phoenix) -> None:
    await phoenix.stop()
    table = Table(row(3))
    async with context_of(phoenix, table) as context:
        jobs = watch_job(context, JOB_ID)
        assert (await anext(jobs)).version == 3
        table.put(row(4, "completed"))
        assert [job.version async for job in jobs] == [4]
    await phoenix.start()


async def test_where_realtime_refuses_it_polls_and_says_so(phoenix: Phoenix) -> None:
    phoenix.joins = ["refuse: Unauthorized: no"]
    table = Table(row(3))
    async with context_of(phoenix, table) as context, LiveJobs(context, select_jobs(context, JobFilter())) as view:
        assert [job.version for job in await view.loaded()] == [3]
        assert (view.is_live, view.error and view.error.code) == (False, "realtime_forbidden")
        table.put(row(4, "completed"))
        async for jobs in view:
            if jobs[0].version == 4:
                break


async def test_a_read_that_fails_is_tried_again(phoenix: Phoenix) -> None:
    table = Table(row(3, "completed"))
    table.answers = [httpx.Response(503) for _ in range(4)]
    async with context_of(phoenix, table) as context:
        assert [job.version async for job in watch_job(context, JOB_ID)] == [3]


async def test_a_job_that_nobody_may_see_ends_the_watch(phoenix: Phoenix) -> None:
    async with context_of(phoenix, Table()) as context:
        with pytest.raises(NotFound, match=str(JOB_ID)) as caught:
            await anext(watch_job(context, JOB_ID))
        assert caught.value.code == "unknown_job"
        await phoenix.until(lambda: phoenix.said("phx_leave"))


async def test_a_job_that_is_deleted_ends_the_watch(phoenix: Phoenix) -> None:
    table = Table(row(3))
    async with context_of(phoenix, table) as context:
        jobs = watch_job(context, JOB_ID)
        await anext(jobs)
        table.found.clear()
        await phoenix.change("DELETE", old_record={"id": ROW["id"]})
        with pytest.raises(NotFound):
            await anext(jobs)


async def test_a_token_that_is_refused_ends_the_watch_and_a_new_one_revives_a_view(phoenix: Phoenix) -> None:
    table = Table(row(3))
    expired = {"code": "PGRST303", "message": "JWT expired", "details": None, "hint": None}
    async with context_of(phoenix, table) as context:
        table.answers = [httpx.Response(401, json=expired)]
        with pytest.raises(NotSignedIn, match="JWT expired"):
            await anext(watch_job(context, JOB_ID))
        table.answers = [httpx.Response(401, json=expired)]
        async with LiveJobs(context, select_jobs(context, JobFilter())) as view:
            with pytest.raises(NotSignedIn):
                await view.loaded()
            assert view.error is not None
            assert not view.is_loading
            await context.connection.set_token(jwt.encode({"sub": ANN, "n": 2}, "s" * 32, "HS256"))
            assert len(await anext(view)) == 1
            assert view.error is None


async def test_a_refused_token_that_is_being_renewed_ends_nothing(phoenix: Phoenix) -> None:
    table = Table(row(3, "completed"))
    table.answers = [httpx.Response(401, json={"code": "PGRST303", "message": "JWT expired"})]
    async with context_of(phoenix, table) as context:
        asked: list[bool] = []
        context.connection.renew_token = lambda: not asked.append(True)  # type: ignore[func-returns-value]
        assert [job.version async for job in watch_job(context, JOB_ID)] == [3]
        assert asked


async def test_a_url_that_is_no_project_ends_the_watch(phoenix: Phoenix) -> None:
    table = Table()
    table.answers = [httpx.Response(404, json={"detail": "Not Found"})]
    async with context_of(phoenix, table) as context:
        with pytest.raises(InvalidRequest, match="Check the URL"):
            await anext(watch_job(context, JOB_ID))


def channels_wanted(phoenix: Phoenix) -> list[str]:
    return [join["payload"]["config"]["postgres_changes"][0]["filter"] for join in phoenix.said("phx_join")]


async def test_own_jobs_share_a_channel_and_a_colleagues_job_gets_its_own(phoenix: Phoenix) -> None:
    other = row(1, id=str(uuid4()), seq=2, user_id=str(uuid4()))
    async with context_of(phoenix, Table(row(3), other)) as context:
        jobs = select_jobs(context, JobFilter(ids=[JOB_ID, UUID(other["id"])]))
        async with LiveJobs(context, jobs) as view:
            await view.loaded()
            assert (await anext(watch_job(context, JOB_ID))).version == 3
            await phoenix.until(lambda: len(phoenix.said("phx_join")) == 2)
            assert channels_wanted(phoenix) == [f"user_id=eq.{ANN}", f"id=eq.{other['id']}"]
            await phoenix.change(record={**other, "version": 2}, to=1)
            async for shown in view:
                if shown[0].version == 2:
                    break
        assert not phoenix.open_topics


async def test_with_the_key_alone_named_jobs_share_channels_by_hundreds(phoenix: Phoenix) -> None:
    many = [row(1, id=str(uuid4()), seq=number + 1) for number in range(150)]
    table = Table(*many)
    async with context_of(phoenix, table, token=None) as context:
        jobs = select_jobs(context, JobFilter(ids=[UUID(one["id"]) for one in many]))
        async with LiveJobs(context, jobs) as view:
            await phoenix.until(lambda: len(phoenix.open_topics) == 2)
            assert [job.seq for job in await view.loaded()] == list(range(150, 0, -1))


async def test_many_watches_poll_together_while_there_is_no_socket(phoenix: Phoenix) -> None:
    await phoenix.stop()
    many = [row(1, id=str(uuid4()), seq=number + 1) for number in range(120)]
    table = Table(*many)
    async with context_of(phoenix, table) as context:
        watches = [watch_job(context, UUID(one["id"])) for one in many]
        first = await asyncio.gather(*(anext(watch) for watch in watches))
        assert [job.version for job in first] == [1] * 120
        assert len(table.reads) <= 8
        await asyncio.gather(*(watch.aclose() for watch in watches))
    await phoenix.start()


async def test_many_watches_read_together_after_a_rejoin(phoenix: Phoenix) -> None:
    many = [row(1, id=str(uuid4()), seq=number + 1) for number in range(120)]
    table = Table(*many)
    async with context_of(phoenix, table) as context:
        watches = [watch_job(context, UUID(one["id"])) for one in many]
        for watch in watches:
            await anext(watch)
        table.reads.clear()
        for one in many:
            table.put({**one, "version": 2})
        await phoenix.tell("phx_close", {})
        assert [(await anext(watch)).version for watch in watches] == [2] * 120
        assert len(table.reads) <= 8  # two calls a look; a poll may have come before the rejoin
        for watch in watches:
            await watch.aclose()


def seen_of(jobs: list[Job]) -> list[int]:
    return [job.seq for job in jobs]


async def test_a_list_follows_rows_that_come_change_leave_and_go(phoenix: Phoenix) -> None:
    first, second = (row(1, id=str(uuid4()), seq=number) for number in (1, 2))
    async with context_of(phoenix, Table(first)) as context:
        heard: list[tuple[str, int | None]] = []
        view = LiveJobs(
            context,
            select_jobs(context, JobFilter(), status=["processing", "pending"]),
            on_update=lambda kind, job: heard.append((kind, job.seq if job else None)),
        )
        async with view:
            assert seen_of(await view.loaded()) == [1]
            await phoenix.change("INSERT", record=second)
            while seen_of(await anext(view)) != [2, 1]:
                pass
            await phoenix.change(record={**second, "version": 2, "status": "completed"})
            while seen_of(await anext(view)) != [1]:
                pass
            await phoenix.change("DELETE", old_record={"id": first["id"]})
            while seen_of(await anext(view)) != []:
                pass
    assert heard == [("READ", 1), ("INSERT", 2), ("UPDATE", None), ("DELETE", None)]


@pytest.mark.parametrize("wrong", [{"status": "waiting"}, {"limit": 0}, {"everyone": True}])
async def test_a_list_of_nothing_sensible_is_refused(phoenix: Phoenix, wrong: dict[str, Any]) -> None:
    async with context_of(phoenix, Table()) as context:
        with pytest.raises(InvalidRequest):
            select_jobs(context, JobFilter(), **wrong)
