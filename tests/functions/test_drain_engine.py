"""The drain against the real engine: endpoint, REST gateway, SQL functions, handlers."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, JobError, Outcome, Retry, Snooze
from tests.functions.conftest import BOTH_LEDGERS, Logs, NewApp, Project, client_of
from tests.functions.draining import INTERNAL, drain, succeed, tasks
from tests.functions.scripted import AnyPayload, Register

pytestmark = BOTH_LEDGERS


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


async def test_two_processes_run_each_job_once(project: Project, register: Register, new_app: NewApp) -> None:
    runs: list[str] = []

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        runs.append(str(job.job_id))
        await asyncio.sleep(0)
        return Done()

    register(run)
    ids = project.enqueue(*tasks(120))
    async with client_of(new_app()) as one, client_of(new_app()) as two:
        summaries = await asyncio.gather(drain(one), drain(two))
    assert sorted(runs) == sorted(ids)
    assert sum(summary["completed"] for summary in summaries) == 120
    assert all(summary["completed"] > 0 for summary in summaries)


async def test_the_queues_concurrency_holds_over_all_processes(
    api: httpx.AsyncClient, project: Project, register: Register, new_app: NewApp
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
    async with client_of(new_app()) as second:
        await asyncio.gather(drain(api), drain(second))
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
        return Done({"looks": looks}) if looks == 2 else Snooze(timedelta(0), {"looks": looks + 1})

    register(run)
    (job_id,) = project.enqueue(*tasks(1))
    assert await drain(api) == {"claimed": 3, "completed": 1, "snoozed": 2}
    assert (project.job(job_id)["attempt"], project.job(job_id)["result"]) == (1, {"looks": 2})
