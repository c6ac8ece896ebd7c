"""All drains of one process: one a queue, nudged rather than doubled, chained while work remains."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from functions.jobs import registry
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from functions.web.services import Services
from functions.worker.host import WorkerHost
from functions.worker.ledger import LedgerRefused, LedgerUnavailable
from tests.functions.conftest import Logs, Project, make_settings, wait_until
from tests.functions.scripted import AnyPayload, Register, ScriptedLedger, claimed, claimed_job, registration


async def instantly(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
    return Done()


@pytest.fixture
def ledger() -> ScriptedLedger:
    return ScriptedLedger()


@pytest.fixture
async def services(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Services]:
    monkeypatch.setitem(registry._registrations, "test", registration("test", instantly))
    services = Services(make_settings(drain_linger_seconds=0.1), logs.logger)
    yield services
    await services.close()


@pytest.fixture
def host(services: Services, ledger: ScriptedLedger) -> WorkerHost:
    return WorkerHost(services, ledger)


async def test_without_names_every_queue_with_work_is_drained(host: WorkerHost, ledger: ScriptedLedger) -> None:
    ledger.due = ["one", "two"]
    ledger.claims.extend([claimed(claimed_job(1)), claimed(claimed_job(2))])
    summary = await host.drain(None)
    assert (summary.claimed, summary.completed, summary.remaining, summary.chained) == (2, 2, 0, False)


async def test_without_work_nothing_is_claimed_and_nobody_lingers(host: WorkerHost, ledger: ScriptedLedger) -> None:
    assert (await host.drain(None)).claimed == 0
    assert ledger.names() == ["due_queues"]


async def test_a_name_that_is_given_twice_is_drained_once(host: WorkerHost, ledger: ScriptedLedger) -> None:
    ledger.claims.append(claimed(state="enough"))
    await host.drain(["one", "one"])
    assert ledger.names() == ["claim"]


async def test_a_queue_that_is_being_drained_is_only_nudged(host: WorkerHost, ledger: ScriptedLedger) -> None:
    first = asyncio.create_task(host.drain(["one"]))
    await wait_until(lambda: ledger.names() == ["claim"])
    ledger.claims.append(claimed(claimed_job()))
    second = await host.drain(["one"])
    assert (second.claimed, second.chained) == (0, False)
    assert (await first).completed == 1


async def test_a_drain_that_leaves_no_longer_takes_nudges(
    host: WorkerHost, services: Services, ledger: ScriptedLedger
) -> None:
    assert (await host.drain(["one"])).claimed == 0
    ledger.claims.append(claimed(claimed_job()))
    assert (await host.drain(["one"])).completed == 1


async def test_a_drain_without_time_left_calls_the_next_one(
    host: WorkerHost, services: Services, ledger: ScriptedLedger
) -> None:
    running = asyncio.create_task(host.drain(["one", "two"]))
    await wait_until(lambda: len(ledger.names()) >= 2)
    ledger.due, ledger.due_count = ["two", "another"], 7
    services.stopping.set()
    summary = await running
    assert (summary.remaining, summary.chained) == (7, True)
    assert ledger.kicked == ["two"]


async def test_a_next_drain_that_cannot_be_called_is_no_error(
    host: WorkerHost, services: Services, ledger: ScriptedLedger, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down() -> list[str]:
        raise LedgerUnavailable("due_queues: ConnectError")

    running = asyncio.create_task(host.drain(["one"]))
    await wait_until(lambda: bool(ledger.names()))
    monkeypatch.setattr(ledger, "due_queues", down)
    services.stopping.set()
    assert (await running).chained is False
    assert logs.find("the next drain could not be called")


async def test_an_unknown_queue_does_not_keep_the_others_from_being_drained(
    host: WorkerHost, ledger: ScriptedLedger
) -> None:
    ledger.claims.extend([LedgerRefused(404, "unknown_queue", "No.", from_engine=True), claimed(claimed_job())])
    with pytest.raises(LedgerRefused):
        await host.drain(["nobody", "one"])
    assert ledger.outcomes == ["done"]
    assert (await host.drain(["nobody"])).claimed == 0


async def test_one_job_is_run_by_its_id_and_nothing_else_is_claimed(host: WorkerHost, ledger: ScriptedLedger) -> None:
    ledger.claims.append(claimed(claimed_job()))
    summary = await host.run_one(uuid4())
    assert (summary.claimed, summary.completed) == (1, 1)
    assert ledger.names() == ["claim_one", "settle"]


async def test_what_this_process_enqueues_is_looked_for_at_once(
    host: WorkerHost, services: Services, ledger: ScriptedLedger
) -> None:
    lingering = asyncio.create_task(host.drain(["one"]))
    await wait_until(lambda: len(ledger.names()) >= 2)
    ledger.claims.append(claimed(claimed_job()))
    asked = len(ledger.names())
    host.look()
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(ledger.names()) > asked  # no pause was waited for
    assert (await lingering).completed == 1


async def test_how_long_the_jobs_took_is_told_at_the_end(host: WorkerHost, ledger: ScriptedLedger) -> None:
    ledger.claims.append(claimed(claimed_job(1), claimed_job(2)))
    await host.drain(["one"])
    (runs,) = ledger.recorded
    assert sum(runs["test"]) == 2


async def test_enqueueing_by_http_has_the_drains_of_the_same_process_look(
    api: httpx.AsyncClient, project: Project, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[WorkerHost] = []

    def look(host: WorkerHost) -> None:
        looked.append(host)

    monkeypatch.setattr(WorkerHost, "look", look)
    register(instantly)
    answer = await api.post("/api/jobs", json={"kind": "task", "payload": {}}, headers=project.sign_up().headers)
    assert (answer.status_code, len(looked)) == (202, 1)
