"""The long-running worker over a real database: how it is woken, shares its places, survives cuts, and leaves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from functions.jobs import registry
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from functions.worker import process as process_module
from functions.worker.postgres_ledger import PostgresLedger
from functions.worker.process import WorkerProcess
from functions.worker.wakeups import Wakeups
from tests.functions.conftest import Logs, Project, wait_until
from tests.functions.draining import succeed, tasks
from tests.functions.scripted import AnyPayload, Gate, Register

NEVER = 3600
"""A poll interval that no test lives to see: what starts a job was not a poll."""

Start = Callable[..., Awaitable[WorkerProcess]]


@asynccontextmanager
async def working(
    project: Project, logs: Logs, *, queues: list[str] | None = None, concurrency: int = 10, **settings: Any
) -> AsyncIterator[WorkerProcess]:
    """A worker that listens; told to stop at the end."""
    url, stopping = project.database.dsn(), asyncio.Event()
    async with httpx.AsyncClient() as http, PostgresLedger(url) as ledger:
        process = WorkerProcess(
            project.settings(**{"supabase_db_url": url, "worker_poll_seconds": NEVER, **settings}),
            ledger,
            http,
            queues=queues,
            concurrency=concurrency,
            log=logs.logger,
            stopping=stopping,
        )
        running = asyncio.create_task(process.run())
        try:
            await wait_until(lambda: running.done() or process._pace.longest_pause > 1)
            yield process
        finally:
            stopping.set()
            await running


@pytest.fixture
async def start(project: Project, logs: Logs) -> AsyncIterator[Start]:
    async with AsyncExitStack() as workers:

        async def enter(**how: Any) -> WorkerProcess:
            return await workers.enter_async_context(working(project, logs, **how))

        yield enter


def statuses(project: Project) -> list[str]:
    return [row["status"] for row in project.jobs()]


async def all_done(project: Project) -> None:
    await wait_until(lambda: set(statuses(project)) == {"completed"})


async def test_a_job_starts_because_its_enqueue_was_heard_not_because_of_a_poll(
    start: Start, project: Project, register: Register
) -> None:
    register(succeed)
    process = await start()
    await wait_until(lambda: all(not drain._calls for drain in process._drains.values()))
    project.enqueue(*tasks(3))
    await all_done(project)
    assert process.summary.completed == 3


async def test_a_job_that_becomes_due_later_is_not_waited_for_by_polling(
    start: Start, project: Project, register: Register
) -> None:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        if job.attempt == 1:
            raise ConnectionError
        return Done()

    register(run, backoff_base_seconds=0.4)
    await start()
    project.enqueue(*tasks(2))
    await all_done(project)


async def test_after_a_cut_it_listens_again_and_misses_nothing(
    start: Start, project: Project, register: Register, logs: Logs
) -> None:
    register(succeed)
    process = await start()
    project.connection.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where datname = current_database() and application_name = 'filaviva worker'"
    )
    await wait_until(lambda: process._pace.longest_pause < 1)
    project.enqueue(*tasks(1))
    await all_done(project)
    await wait_until(lambda: process._pace.longest_pause == NEVER)
    project.enqueue(*tasks(1))
    await all_done(project)
    assert logs.find("the database cannot be listened to; polling until it can")


async def test_behind_a_pooler_that_passes_no_notification_on_it_polls_and_says_so(
    project: Project, register: Register, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(self: Wakeups, connection: object) -> bool:
        return False

    monkeypatch.setattr(Wakeups, "_hears", deaf)
    register(succeed)
    url, stopping = project.database.dsn(), asyncio.Event()
    async with httpx.AsyncClient() as http, PostgresLedger(url) as ledger:
        settings = project.settings(supabase_db_url=url, worker_poll_seconds=NEVER)
        process = WorkerProcess(
            settings, ledger, http, queues=["work"], concurrency=1, log=logs.logger, stopping=stopping
        )
        running = asyncio.create_task(process.run())
        await wait_until(lambda: "no notification arrives" in logs.stream.getvalue())
        project.enqueue(*tasks(1))
        await all_done(project)
        stopping.set()
        await running


async def test_two_workers_never_run_more_than_the_queue_allows_and_both_work(
    start: Start, project: Project, register: Register
) -> None:
    gate = Gate()
    register(gate, concurrency=3)
    one, two = await start(concurrency=2), await start(concurrency=2)
    project.enqueue(*tasks(60))
    await wait_until(lambda: gate.inside == 3)
    gate.open.set()
    await all_done(project)
    assert gate.most == 3
    assert one.summary.completed and two.summary.completed


async def test_its_places_are_shared_by_its_queues_and_none_starves(
    start: Start, project: Project, register: Register
) -> None:
    gate = Gate()
    register(gate)
    project.call("create_queue", "other", {})
    project.call("register_kind", "canary", {"queue": "other"})
    registry.load()
    await start(concurrency=2)
    project.enqueue(*tasks(6))
    await wait_until(lambda: gate.inside == 2)
    project.enqueue({"kind": "canary"})
    gate.open.set()
    await all_done(project)
    assert gate.most == 2


async def test_a_queue_that_is_made_later_is_served_too(
    start: Start, project: Project, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "BEAT_SECONDS", 0.05)
    process = await start()
    register(succeed)
    await wait_until(lambda: "work" in process._drains)
    project.enqueue(*tasks(1))
    await wait_until(lambda: process.summary.completed == 1)


async def test_a_worker_serves_only_the_queues_it_was_given(start: Start, project: Project, register: Register) -> None:
    register(succeed)
    process = await start(queues=["work"])
    assert list(process._drains) == ["work"]


async def test_told_to_stop_it_hands_back_what_does_not_end_and_takes_its_name_off(
    project: Project, register: Register, logs: Logs
) -> None:
    gate = Gate()
    register(gate)
    async with working(project, logs, shutdown_grace_seconds=0.1) as process:
        project.enqueue(*tasks(2))
        await wait_until(lambda: gate.inside == 2)
    assert statuses(project) == ["pending", "pending"]
    assert process.summary.released == 2
    with project.database.connect("supabase_admin") as admin:
        assert admin.execute("select count(*) from filaviva.workers").fetchone() == (0,)


async def test_how_long_jobs_took_is_left_behind(project: Project, register: Register, logs: Logs) -> None:
    register(succeed)
    async with working(project, logs):
        project.enqueue(*tasks(5))
        await all_done(project)
    assert 0 < project.call("usual_run_seconds", "work") < 1
