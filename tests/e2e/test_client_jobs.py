"""The client against the real stack: what an application does with its jobs, and what it may not do."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import jwt
import psycopg
import pytest
import pytest_asyncio

from filaviva import (
    Conflict,
    FilaViva,
    InvalidRequest,
    Job,
    JobStatus,
    NewJob,
    NotFound,
    NotSignedIn,
    PayloadTooLarge,
)
from tests.e2e.client_support import QUICK, Project, pytestmark, running_project

__all__ = ["pytestmark"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    async with running_project(tmp_path_factory.mktemp("stack")) as running:
        yield running


async def test_a_job_says_why_it_waits(project: Project) -> None:
    async with project.client() as fila:
        when = datetime.now(UTC) + timedelta(hours=1)
        job = await fila.enqueue("noop", {}, scheduled_at=when, expires_at=when + timedelta(hours=1))
        waiting = await fila.why_waiting(job.id)
        assert (waiting.reason, waiting.expected_at) == ("scheduled", when)
        assert waiting.text().startswith("Scheduled: waits for its time until")
        assert (await fila.get(job.id)).expires_at == when + timedelta(hours=1)
        with pytest.raises(NotFound):
            await fila.why_waiting(uuid.uuid4())


async def test_an_enqueued_job_is_there_as_it_was_given(project: Project) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    async with project.client() as fila:
        given = await fila.enqueue(
            "noop",
            {"a": None, "b": [1.5, "ç"]},
            priority=3,
            group_key="chat-1",
            correlation_id="c-1",
            scheduled_at=later,
            max_attempts=7,
            metadata={"source": "test"},
        )
        job = await fila.get(given.id)
    assert (given.status, given.duplicate, given.version) == (JobStatus.PENDING, False, 1)
    assert (job.payload, job.metadata) == ({"a": None, "b": [1.5, "ç"]}, {"source": "test"})
    assert (job.queue, job.priority, job.group_key, job.max_attempts) == ("work", 3, "chat-1", 7)
    assert job.scheduled_at == given.scheduled_at == later
    assert job.correlation_id == "c-1"


async def test_many_jobs_are_enqueued_in_order_or_not_at_all(project: Project) -> None:
    user = await project.new_user()
    async with project.client(user) as fila:
        jobs = await fila.enqueue_many([NewJob(kind="noop", payload={"n": 0}), {"kind": "noop", "payload": {"n": 1}}])
        assert [(await fila.get(job.id)).payload for job in jobs] == [{"n": 0}, {"n": 1}]
        with pytest.raises(InvalidRequest, match=r"Job 1 .*unknown kind"):
            await fila.enqueue_many([{"kind": "noop"}, {"kind": "no_such_kind"}])
    rows = await project.service.from_("jobs").select("id").eq("user_id", str(user)).execute()
    assert len(rows.data) == 2


async def test_the_same_key_is_the_same_job(project: Project) -> None:
    async with project.client() as fila:
        first = await fila.enqueue("noop", {"n": 1}, idempotency_key="once")
        again = await fila.enqueue("noop", {"n": 1}, idempotency_key="once")
        assert (again.id, again.duplicate) == (first.id, True)
        with pytest.raises(Conflict) as caught:
            await fila.enqueue("noop", {"n": 2}, idempotency_key="once")
    assert caught.value.code == "idempotency_conflict"


async def test_nobody_sees_a_strangers_job(project: Project) -> None:
    async with project.client() as owner, project.client() as stranger:
        job = await owner.enqueue("noop", {})
        with pytest.raises(NotFound) as caught:
            await stranger.get(job.id)
        assert caught.value.code == "unknown_job"
        with pytest.raises(NotFound):
            await stranger.cancel(job.id)
        with pytest.raises(NotFound):
            await anext(stranger.watch(job.id))
        assert (await owner.get(job.id)).status is JobStatus.PENDING


async def test_without_a_user_nothing_is_enqueued(project: Project) -> None:
    keys = project.stack.keys
    async with FilaViva(project.stack.api_url, keys.anon_key) as nobody:
        with pytest.raises(NotSignedIn, match="access_token"):
            await nobody.enqueue("noop", {})
    expired = jwt.encode({"sub": str(uuid.uuid4()), "role": "authenticated", "exp": 1}, keys.jwt_secret, "HS256")
    async with FilaViva(project.stack.api_url, keys.anon_key, access_token=expired) as late:
        with pytest.raises(NotSignedIn, match="Sign in again"):
            await late.enqueue("noop", {})
    async with FilaViva(project.stack.api_url, "no-such-key") as wrong:
        with pytest.raises(NotSignedIn, match="API key"):
            await wrong.enqueue("noop", {})


async def test_a_payload_above_the_limit_is_refused(project: Project) -> None:
    async with project.client() as fila:
        with pytest.raises(PayloadTooLarge, match="250 KB"):
            await fila.enqueue("noop", {"text": "x" * 300_000})


async def test_a_nul_in_a_payload_is_named(project: Project) -> None:
    async with project.client() as fila:
        with pytest.raises(InvalidRequest, match="NUL"):
            await fila.enqueue("noop", {"text": "a\x00b"})


@pytest.mark.parametrize("path", ["/rest/v1", "/no/such/place"])
async def test_a_wrong_url_ends_calls_and_watches(project: Project, path: str) -> None:
    async with project.client(url=project.stack.api_url + path) as lost:
        with pytest.raises(InvalidRequest, match="Check the URL"):
            await lost.enqueue("noop", {}, idempotency_key="a")
        with pytest.raises(InvalidRequest, match="Check the URL"):
            await anext(lost.watch(uuid.uuid4()))


async def test_a_waiting_job_is_cancelled_at_once_and_stays_so(project: Project) -> None:
    async with project.client() as fila:
        job = await fila.enqueue("noop", {})
        cancelled = await fila.cancel(job.id)
        assert cancelled.status is JobStatus.CANCELLED
        assert await fila.cancel(job.id) == cancelled


async def test_a_running_job_is_asked_to_stop_and_its_result_wins(project: Project) -> None:
    async with project.client() as fila:
        job = await fila.enqueue("noop", {})
        claimed = await project.claim(job.id)
        asked = await fila.cancel(job.id)
        assert asked.status is JobStatus.PROCESSING
        assert asked.cancel_requested_at is not None
        await project.settle(claimed, "done", result={"ok": True})
        assert (await fila.get(job.id)).status is JobStatus.COMPLETED


async def test_a_committed_job_cannot_be_cancelled(project: Project) -> None:
    async with project.client() as fila:
        job = await fila.enqueue("noop", {})
        claimed = await project.claim(job.id)
        token = {"p_job_id": claimed["job_id"], "p_claim_id": claimed["claim_id"]}
        await project.call("commit_job", **token, p_checkpoint={}, p_reconcilable=False, p_extend_seconds=30)
        with pytest.raises(Conflict) as caught:
            await fila.cancel(job.id)
    assert caught.value.code == "already_committed"


async def test_a_watch_shows_every_step_to_the_end(project: Project) -> None:
    async with project.client() as fila:
        job = await fila.enqueue("noop", {"text": "x" * 20_000})
        seen: list[Job] = []
        async for state in fila.watch(job.id):
            seen.append(state)
            if state.status is JobStatus.PENDING:
                claimed = await project.claim(job.id)
            elif state.status is JobStatus.PROCESSING:
                await project.settle(claimed, "done", result={"post": 1})
    assert [state.status for state in seen] == ["pending", "processing", "completed"]
    assert [state.version for state in seen] == sorted({state.version for state in seen})
    assert seen[-1].result == {"post": 1}
    assert all(state.payload == {"text": "x" * 20_000} for state in seen)


async def test_a_job_that_is_over_is_shown_once(project: Project) -> None:
    async with project.client() as fila:
        job = await fila.enqueue("noop", {})
        await project.complete(job.id)
        assert [state.status async for state in fila.watch(job.id)] == ["completed"]


async def test_several_watches_of_one_job_each_see_its_end(project: Project) -> None:
    async with project.client() as fila:
        job = await fila.enqueue("noop", {})
        watches = [fila.watch(job.id) for _ in range(3)]
        assert [(await anext(watch)).status for watch in watches] == ["pending"] * 3
        await project.complete(job.id)
        ends = await asyncio.gather(*(_last(watch) for watch in watches))
    assert [end.status for end in ends] == ["completed"] * 3


async def _last(watch: AsyncIterator[Job]) -> Job:
    return [state async for state in watch][-1]


async def test_a_watch_goes_on_with_a_new_token(project: Project) -> None:
    user = await project.new_user()
    async with project.client(user) as fila:
        job = await fila.enqueue("noop", {})
        watch = fila.watch(job.id)
        assert (await anext(watch)).status is JobStatus.PENDING
        await fila.set_access_token(project.token(user))
        await project.complete(job.id)
        assert (await _last(watch)).status is JobStatus.COMPLETED


async def test_a_deleted_job_ends_its_watch(project: Project) -> None:
    async with project.client(realtime=dataclasses.replace(QUICK, silence_seconds=0.5)) as fila:
        job = await fila.enqueue("noop", {})
        watch = fila.watch(job.id)
        await anext(watch)
        with psycopg.connect(project.stack.db_url, autocommit=True) as connection:
            connection.execute("delete from public.jobs where id = %s", (job.id,))
        with pytest.raises(NotFound):
            await anext(watch)
