"""Cancellation, commits, lost claims and processes that must leave, against the real engine."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette

from functions.jobs.context import ClaimedJob, CommitRefused, Context
from functions.jobs.outcomes import Cancelled, Done, Outcome, Release
from functions.web.services import Services
from tests.functions.conftest import BOTH_LEDGERS, Logs, NewApp, Project, client_of, wait_until
from tests.functions.draining import INTERNAL, drain, succeed, tasks
from tests.functions.scripted import AnyPayload, Register

pytestmark = BOTH_LEDGERS


async def test_a_wish_to_cancel_reaches_the_running_handler(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    begun = asyncio.Event()

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        begun.set()
        ctx.progress(1)  # brings the next renewal forward, and the wish comes back with it
        while not ctx.cancelled.is_set():
            ctx.progress(2)
            await asyncio.sleep(0.01)
        return Cancelled()

    register(run, lease_seconds=5)
    (job_id,) = project.enqueue(*tasks(1))
    draining = asyncio.create_task(drain(api))
    await begun.wait()
    project.call("cancel_jobs", {"ids": [job_id]}, 10)
    await draining
    assert project.job(job_id)["status"] == "cancelled"


async def test_a_cancelled_job_is_refused_its_commit_and_the_effect_does_not_happen(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    effects: list[str] = []

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        project.call("cancel_jobs", {"ids": [str(job.job_id)]}, 10)
        await ctx.commit({"step": 1})
        effects.append("published")
        return Done()

    register(run)
    (job_id,) = project.enqueue(*tasks(1))
    await drain(api)
    assert (project.job(job_id)["status"], effects) == ("cancelled", [])


async def test_an_unknown_end_after_the_commit_is_for_a_person(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        await ctx.commit({"step": 1})
        raise ConnectionResetError

    register(run)
    (job_id,) = project.enqueue(*tasks(1))
    assert await drain(api) == {"claimed": 1, "unconfirmed": 1}
    assert (project.job(job_id)["status"], project.job(job_id)["error_code"]) == ("unconfirmed", "handler_error")


async def test_an_unknown_end_is_reconciled_where_the_kind_can(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    runs: list[tuple[str, Any]] = []

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        runs.append((job.mode, job.checkpoint))
        await ctx.commit({"upload": 7})
        raise ConnectionResetError

    async def find(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        runs.append((job.mode, job.checkpoint))
        return Done({"found": True})

    register(run, reconcile=find)
    (job_id,) = project.enqueue(*tasks(1))
    assert await drain(api) == {"claimed": 2, "completed": 1, "retried": 1}
    assert runs == [("run", None), ("reconcile", {"upload": 7})]
    assert (project.job(job_id)["status"], project.job(job_id)["result"]) == ("completed", {"found": True})


async def test_a_worker_that_lost_its_claim_changes_nothing(
    api: httpx.AsyncClient, project: Project, register: Register, logs: Logs
) -> None:
    refused: list[str] = []

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        if job.attempt == 1:
            with project.database.connect("supabase_admin") as admin:
                admin.execute("update public.jobs set lease_expires_at = clock_timestamp() - interval '1 second'")
            project.call("rescue_jobs", 10)
            other = await drain(api, queues=["work"])
            assert other == {}  # this process drains the queue already: its own drain is nudged
            try:
                await ctx.commit({"step": 1})
            except CommitRefused as refusal:
                refused.append(refusal.code)
                raise
        return Done({"by": job.attempt})

    register(run)
    (job_id,) = project.enqueue(*tasks(1))
    assert (await drain(api))["completed"] == 1
    assert refused == ["stale_claim"]
    assert project.job(job_id)["result"] == {"by": 2}


# Stopping, and callers that leave ------------------------------------------------------------------


@pytest.fixture
async def hanging(register: Register) -> AsyncIterator[asyncio.Event]:
    """Jobs that begin and do not end by themselves."""
    begun = asyncio.Event()

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        begun.set()
        await asyncio.Event().wait()
        return Release()

    register(run)
    yield begun


async def test_a_process_that_must_leave_hands_its_jobs_back_untouched(
    project: Project, hanging: asyncio.Event, new_app: NewApp, register: Register
) -> None:
    app = new_app(shutdown_grace_seconds=0.1, drain_concurrency=2)
    ids = project.enqueue(*tasks(5))
    async with client_of(app) as client:
        draining = asyncio.create_task(drain(client))
        await hanging.wait()
        await app.state.services.close()
        assert await draining == {"claimed": 2, "released": 2, "remaining": 5}
    rows = [project.job(job_id) for job_id in ids]
    assert {(row["status"], row["attempt"], row["lease_expires_at"]) for row in rows} == {("pending", 0, None)}

    register(succeed)
    async with client_of(new_app()) as client:
        assert (await drain(client))["completed"] == 5


async def test_the_caller_hanging_up_does_not_stop_the_drain(
    api: httpx.AsyncClient, app: Starlette, project: Project, register: Register
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        begun.set()
        await may_end.wait()
        return Done()

    register(run)
    (job_id,) = project.enqueue(*tasks(1))
    calling = asyncio.create_task(drain(api))
    await begun.wait()
    calling.cancel()
    await asyncio.wait({calling})
    may_end.set()
    await wait_until(lambda: bool(project.job(job_id)["status"] == "completed"))
    services: Services = app.state.services
    await services.close()


# Bad input -----------------------------------------------------------------------------------------


async def test_a_bad_drain_request_names_its_field(api: httpx.AsyncClient, register: Register) -> None:
    register(succeed)
    cases: list[tuple[Any, int, str]] = [
        ({"queues": "work"}, 400, "invalid_field"),
        ({"queues": [5]}, 400, "invalid_field"),
        ({"queues": [""]}, 400, "invalid_field"),
        ({"queue": ["work"]}, 400, "invalid_field"),
        ([], 400, "invalid_json"),
        ({"queues": ["nobody"]}, 404, "unknown_queue"),
        ({"queues": [f"x'; drop table jobs; -- {uuid4()}"]}, 404, "unknown_queue"),
    ]
    for body, status, code in cases:
        answer = await api.post("/api/queue/process", json=body, headers=INTERNAL)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        assert answer.json()["error"]["hint"]


async def test_a_service_key_that_is_not_accepted_is_the_deployments_fault(
    project: Project, register: Register, new_app: NewApp, carrier: str
) -> None:
    register(succeed)
    if carrier == "postgres":
        project.connection.execute("revoke execute on function filaviva.claim_jobs from service_role")
    async with client_of(new_app(supabase_service_role_key=project.keys.anon_key)) as client:
        answer = await client.post("/api/queue/process", json={"queues": ["work"]}, headers=INTERNAL)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "database_refused")
