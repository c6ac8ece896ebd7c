"""The drain against the real engine: endpoint, REST gateway, SQL functions, handlers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette

from functions.app import create_app
from functions.jobs import registry
from functions.jobs.context import ClaimedJob, CommitRefused, Context
from functions.jobs.outcomes import Cancelled, Done, JobError, Outcome, Release, Retry, Snooze
from functions.jobs.registry import HandlerFunction
from functions.web.services import Services
from tests.functions.conftest import CRON_SECRET, Logs, Project, wait_until
from tests.functions.scripted import AnyPayload, registration

Register = Callable[..., None]
INTERNAL = {"Authorization": f"Bearer {CRON_SECRET}"}


@pytest.fixture
def register(project: Project, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Gives the queue `work` settings and the kind `task` a handler."""

    def apply(run: HandlerFunction, *, reconcile: HandlerFunction | None = None, **queue: Any) -> None:
        project.call("create_queue", "work", {"backoff_base_seconds": 0, **queue})
        project.call("register_kind", "task", {"queue": "work", "user_may_enqueue": True})
        monkeypatch.setitem(registry._registrations, "task", registration("task", run, reconcile=reconcile))

    return apply


async def drain(api: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await api.post("/api/queue/process", json=body or {"queues": ["work"]}, headers=INTERNAL)
    assert answer.status_code == 200, answer.text
    summary: dict[str, Any] = answer.json()
    return {name: value for name, value in summary.items() if value and name != "duration_ms"}


async def succeed(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
    return Done({"n": job.payload.get("n")})


def tasks(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"kind": "task", "payload": {"n": n}, **more} for n in range(count)]


async def test_due_jobs_are_run_and_their_results_kept(
    api: httpx.AsyncClient, project: Project, register: Register, logs: Logs
) -> None:
    register(succeed)
    project.enqueue(*tasks(25))
    assert await drain(api) == {"claimed": 25, "completed": 25}
    assert [(row["status"], row["result"]) for row in project.jobs()] == [("completed", {"n": n}) for n in range(25)]
    assert len(logs.find("Job completed successfully")) == 25


async def test_get_drains_every_queue_that_has_work(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    register(succeed)
    project.call("create_queue", "other", {})
    project.enqueue(*tasks(2), {"kind": "canary"})
    summary = (await api.get("/api/queue/process", headers=INTERNAL)).json()
    assert (summary["claimed"], summary["completed"]) == (3, 3)
    assert (await api.get("/api/queue/process", headers=INTERNAL)).json()["claimed"] == 0


async def test_a_job_that_fails_twice_completes_at_its_third_attempt(
    api: httpx.AsyncClient, project: Project, register: Register, logs: Logs
) -> None:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        if job.attempt < 3:
            raise ConnectionError
        return Done()

    register(run)
    (job_id,) = project.enqueue(*tasks(1, max_attempts=3))
    assert await drain(api) == {"claimed": 3, "completed": 1, "retried": 2}
    assert (project.job(job_id)["status"], project.job(job_id)["attempt"]) == ("completed", 3)
    assert [line["attempt"] for line in logs.find("Job failed")] == [1, 2]


async def test_a_job_whose_attempts_are_spent_has_failed(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return Retry(JobError("provider_down", "The provider is down."))

    register(run)
    (job_id,) = project.enqueue(*tasks(1, max_attempts=2))
    assert await drain(api) == {"claimed": 2, "retried": 1, "failed": 1}
    row = project.job(job_id)
    assert (row["status"], row["error_code"], row["error_message"]) == (
        "failed",
        "provider_down",
        "The provider is down.",
    )


async def test_a_hanging_job_is_cut_off_and_delays_nobody(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        if job.payload["n"] == 0:
            await asyncio.Event().wait()
        return Done()

    register(run, timeout_seconds=1, max_attempts=1)
    ids = project.enqueue(*tasks(4))
    assert await drain(api) == {"claimed": 4, "completed": 3, "failed": 1}
    assert project.job(ids[0])["error_code"] == "timeout"
    started = project.job(ids[0])["started_at"]
    assert all(project.job(job_id)["finished_at"] - started < timedelta(seconds=0.9) for job_id in ids[1:])


async def test_poison_ends_as_a_failure_and_its_neighbours_do_not_notice(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    poison: list[Any] = [
        Done({"x": "y" * 10_000_000}), Done({"nul": "\0"}), Done({"half": "\ud800"}), Done({"nan": float("nan")}),
        Done({"big": 10**400}), Done({"float": 1e308}), Done(loop), Done([1]),  # type: ignore[arg-type]
        None, SystemExit(1), RecursionError(), "text",
    ]  # fmt: skip

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        end = poison[job.payload["n"]] if job.payload["n"] < len(poison) else Done()
        if isinstance(end, BaseException):
            raise end
        return end

    register(run, max_attempts=2)
    ids = project.enqueue(*tasks(len(poison) + 20))
    await drain(api)
    statuses = [project.job(job_id)["status"] for job_id in ids]
    assert statuses[len(poison) :] == ["completed"] * 20
    failed, completed = "failed", "completed"
    cleaned = [completed] * 5
    assert statuses[: len(poison)] == [failed, *cleaned, failed, failed, failed, failed, failed, failed]
    assert project.job(ids[0])["error_code"] == "result_too_large"
    assert project.job(ids[1])["result"] == {"nul": "\ufffd"}
    assert {project.job(job_id)["attempt"] for job_id in ids[8:12]} == {2}


async def test_a_result_only_the_database_finds_too_large_fails_that_job_alone(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return Done({"list": [1e300] * 300}) if job.payload["n"] == 3 else Done()  # jsonb writes out 301 digits

    register(run)
    ids = project.enqueue(*tasks(6))
    assert await drain(api) == {"claimed": 6, "completed": 5, "failed": 1}
    assert project.job(ids[3])["error_code"] == "invalid_result"


async def test_two_processes_run_each_job_once(project: Project, register: Register, logs: Logs) -> None:
    runs: list[str] = []

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        runs.append(str(job.job_id))
        await asyncio.sleep(0)
        return Done()

    register(run)
    ids = project.enqueue(*tasks(120))
    apps = [create_app(project.settings(), logs.logger) for _ in range(2)]
    clients = [httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://functions") for app in apps]
    summaries = await asyncio.gather(*(drain(client) for client in clients))
    for client, app in zip(clients, apps, strict=True):
        await client.aclose()
        await app.state.services.close()
    assert sorted(runs) == sorted(ids)
    assert sum(summary["completed"] for summary in summaries) == 120
    assert all(summary["completed"] > 0 for summary in summaries)


async def test_the_queues_concurrency_holds_over_all_processes(
    api: httpx.AsyncClient, project: Project, register: Register, logs: Logs
) -> None:
    inside = most = 0

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.02)
        inside -= 1
        return Done()

    register(run, concurrency=3)
    project.enqueue(*tasks(20))
    other = create_app(project.settings(), logs.logger)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(other), base_url="http://functions") as second:
        await asyncio.gather(drain(api), drain(second))
    await other.state.services.close()
    assert {row["status"] for row in project.jobs()} == {"completed"}
    assert most == 3


async def test_jobs_of_one_group_run_one_at_a_time_in_order(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    seen: list[int] = []
    inside = 0

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        nonlocal inside
        inside += 1
        assert inside == 1
        seen.append(job.payload["n"])
        await asyncio.sleep(0)
        inside -= 1
        return Done()

    register(run)
    project.enqueue(*tasks(8, group_key="chat-1"))
    assert (await drain(api))["completed"] == 8
    assert seen == list(range(8))


async def test_a_snoozed_job_comes_back_with_its_checkpoint_and_no_attempt_spent(
    api: httpx.AsyncClient, project: Project, register: Register
) -> None:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        looks = (job.checkpoint or {}).get("looks", 0)
        return Done({"looks": looks}) if looks == 2 else Snooze(timedelta(seconds=0.05), {"looks": looks + 1})

    register(run)
    (job_id,) = project.enqueue(*tasks(1))
    assert await drain(api) == {"claimed": 3, "completed": 1, "snoozed": 2}
    assert (project.job(job_id)["attempt"], project.job(job_id)["result"]) == (1, {"looks": 2})


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
    project: Project, hanging: asyncio.Event, logs: Logs, register: Register
) -> None:
    app = create_app(project.settings(shutdown_grace_seconds=0.1, drain_concurrency=2), logs.logger)
    ids = project.enqueue(*tasks(5))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://functions") as client:
        draining = asyncio.create_task(drain(client))
        await hanging.wait()
        await app.state.services.close()
        assert await draining == {"claimed": 2, "released": 2, "remaining": 1}
    rows = [project.job(job_id) for job_id in ids]
    assert {(row["status"], row["attempt"], row["lease_expires_at"]) for row in rows} == {("pending", 0, None)}

    register(succeed)
    fresh = create_app(project.settings(), logs.logger)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fresh), base_url="http://functions") as client:
        assert (await drain(client))["completed"] == 5
    await fresh.state.services.close()


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
    project: Project, register: Register, logs: Logs
) -> None:
    register(succeed)
    app = create_app(project.settings(supabase_service_role_key=project.keys.anon_key), logs.logger)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://functions") as client:
        answer = await client.post("/api/queue/process", json={"queues": ["work"]}, headers=INTERNAL)
    await app.state.services.close()
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "database_refused")
