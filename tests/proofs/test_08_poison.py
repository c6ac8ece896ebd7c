"""Proof 8: poison. Whatever a job does to its worker, it ends as a dead letter, and its neighbours hardly notice."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from functions.web.services import Services
from functions.worker import attempt
from functions.worker.host import WorkerHost
from functions.worker.ledger import Claimed, Settled, Settlement
from functions.worker.rest_ledger import RestLedger
from tests.proofs.conftest import Anything, Handle, Proof, Stand, services_of, until
from tests.proofs.oracle import assert_drained, statuses
from tests.proofs.poisons import ATTEMPTS, POISON
from tests.proofs.processor import Processors, is_alive

BATCH = 10
REDRIVE_AT_ONCE = 500
ENDS = "select id::text, (status, error_code, attempt)::text from public.jobs"


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "STOPPING_SECONDS", 0.1)


class Poison(BaseModel):
    """What the kind takes: the name of a poison, or nothing."""

    poison: str = ""


class Recording(RestLedger):
    """Keeps the order in which jobs were claimed."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.database, services.settings.supabase_service_role_key)
        self.claims: list[str] = []

    async def claim(self, queue: str, limit: int, worker_id: str) -> Claimed:
        return self._noted(await super().claim(queue, limit, worker_id))

    async def settle_and_claim(
        self, results: Sequence[Settlement], queue: str, limit: int, worker_id: str
    ) -> tuple[Sequence[Settled], Claimed]:
        settled, claimed = await super().settle_and_claim(results, queue, limit, worker_id)
        return settled, self._noted(claimed)

    def _noted(self, claimed: Claimed) -> Claimed:
        self.claims += [str(job.job_id) for job in claimed.jobs]
        return claimed


async def test_every_poison_is_a_dead_letter_and_its_neighbours_hardly_notice(
    stand: Stand, proof: Proof, handle: Handle
) -> None:
    await poisoned(stand, proof, handle, "poison", backoff=600, rounds=1, each=3)


async def test_poison_that_is_tried_again_at_once_does_not_go_before_its_neighbours(
    stand: Stand, proof: Proof, handle: Handle
) -> None:
    await poisoned(stand, proof, handle, "poison without backoff", backoff=0, rounds=1, each=3)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "backoff"), [("poison", 600), ("poison without backoff", 0)])
async def test_fifty_of_every_poison_are_dead_letters(
    stand: Stand, proof: Proof, handle: Handle, name: str, backoff: int
) -> None:
    await poisoned(stand, proof, handle, name, backoff=backoff, rounds=10, each=5)


async def poisoned(
    stand: Stand, proof: Proof, handle: Handle, name: str, *, backoff: int, rounds: int, each: int
) -> None:
    stand.queue(max_attempts=ATTEMPTS, timeout_seconds=1, backoff_base_seconds=backoff, backoff_factor=1)
    delay = restored = neighbours = 0
    async with services_of(stand, drain_concurrency=BATCH, drain_budget_seconds=300) as services:
        for _ in range(rounds):
            names = list(POISON) * each + [""] * len(POISON) * each
            proof.random.shuffle(names)
            neighbours += names.count("")
            delay = max(delay, await one_round(stand, handle, services, names))
            restored += await redriven(stand, handle, WorkerHost(services), len(names) - names.count(""))
    assert delay <= BATCH
    proof.record(
        8, name, target="12 kinds x 50: dead letters after exactly max_attempts, neighbours delayed <= 1 batch",
        reached=f"{len(POISON)} kinds x {rounds * each}: dead letters in time, neighbours delayed by {delay} claims;"
        f" {restored} of {restored} redriven complete once",
        kinds=len(POISON), each=rounds * each, neighbours=neighbours, longest_delay_in_claims=delay, redriven=restored,
    )  # fmt: skip


async def one_round(stand: Stand, handle: Handle, services: Services, names: list[str]) -> int:
    """Poison and neighbours, shuffled; answers how many claims a neighbour had to let pass beyond its turn."""

    async def run(job: ClaimedJob, payload: Poison, ctx: Context) -> Outcome:
        outcome: Outcome = await POISON[payload.poison][0](ctx) if payload.poison else Done()
        return outcome

    handle(run, payload=Poison)
    ids = stand.engine.enqueue(*({"kind": "task", "payload": payload_of(name)} for name in names))
    ledger = Recording(services)
    await drain_all(stand, WorkerHost(services, ledger))
    assert_drained(stand.engine, ids)
    rows: dict[str, str] = dict(stand.engine.connection.execute(ENDS).fetchall())
    expected = {job_id: row_of(name) for job_id, name in zip(ids, names, strict=True)}
    wrong = Counter((expected[job_id], rows[job_id]) for job_id in ids if rows[job_id] != expected[job_id])
    assert not wrong, wrong
    return max(ledger.claims.index(ids[n]) - n for n, name in enumerate(names) if not name)


def payload_of(name: str) -> dict[str, Any]:
    return {"poison": ["no", "name"] if name == "schema" else name} if name else {}


def row_of(name: str) -> str:
    if not name:
        return "(completed,,1)"
    _, code, attempts = POISON[name]
    return f"(failed,{code},{attempts})"


async def drain_all(stand: Stand, host: WorkerHost) -> None:
    """Drain and let the backoff and the leases of the lost pass, until every job is over."""
    for _ in range(ATTEMPTS + 1):
        await host.drain(["work"])
        stand.step(60)
        stand.engine.call("tick")
        stand.step(600)
    assert "processing" not in statuses(stand.engine)


async def redriven(stand: Stand, handle: Handle, host: WorkerHost, poisons: int) -> int:
    """Mend the handler, put every dead letter back, at most `REDRIVE_AT_ONCE` a call, and run them."""
    runs: Counter[str] = Counter()

    async def mended(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
        runs[str(job.job_id)] += 1
        return Done()

    handle(mended)
    assert stand.engine.call("redrive_jobs", {"status": "failed"}, True, REDRIVE_AT_ONCE)["changed"] == 0
    changed = 0
    while answer := stand.engine.call("redrive_jobs", {"status": "failed"}, False, REDRIVE_AT_ONCE)["changed"]:
        changed += answer
    assert changed == poisons
    await host.drain(["work"])
    assert statuses(stand.engine).keys() == {"completed"}
    assert len(runs) == poisons
    assert set(runs.values()) == {1}
    assert stand.engine.call("redrive_jobs", {"status": "failed"}, False, REDRIVE_AT_ONCE)["changed"] == 0
    return changed


async def test_a_job_that_takes_its_process_along_is_a_dead_letter(stand: Stand, proof: Proof, tmp_path: Path) -> None:
    stand.queue(lease_seconds=5, max_attempts=ATTEMPTS)
    stand.engine.call("register_kind", "crash", {"queue": "work"})
    [poison] = stand.engine.enqueue({"kind": "crash", "payload": {"crash": True}})
    neighbours = stand.engine.enqueue(*[{"kind": "crash"}] * 3 * BATCH)
    crashes = await crash_until_over(stand, tmp_path)
    assert_drained(stand.engine, [poison, *neighbours])
    assert (stand.engine.job(poison)["status"], stand.engine.job(poison)["attempt"]) == ("failed", ATTEMPTS)
    assert crashes == ATTEMPTS
    taken_along = statuses(stand.engine)["failed"] - 1
    assert taken_along == 0, (
        "jobs that lost their worker run one at a time for the last attempt, so it takes nobody along"
    )
    proof.record(
        8, "crash", target="a dead letter after exactly max_attempts, no neighbour harmed",
        reached=f"a dead letter after {crashes} crashes; {taken_along} jobs claimed beside it failed with it",
        crashes=crashes, neighbours=len(neighbours), taken_along=taken_along,
    )  # fmt: skip


async def test_a_handler_that_cancels_its_own_task_is_a_dead_letter(stand: Stand, handle: Handle) -> None:
    runs = 0

    async def run(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
        nonlocal runs
        runs += 1
        task = asyncio.current_task()
        assert task is not None
        assert runs < 50, "released again and again, no attempt spent"
        task.cancel()
        await asyncio.sleep(1)
        return Done()

    handle(run)
    stand.queue(max_attempts=ATTEMPTS, backoff_base_seconds=0)
    [job_id] = stand.engine.enqueue({"kind": "task"})
    async with services_of(stand) as services, asyncio.timeout(20):
        await WorkerHost(services).drain(["work"])
    row = stand.engine.job(job_id)
    assert (row["status"], row["error_code"], row["attempt"], runs) == ("failed", "handler_error", ATTEMPTS, ATTEMPTS)


async def crash_until_over(stand: Stand, tmp_path: Path) -> int:
    """Start a processor again and again; how many of them died with jobs in hand."""
    settings = stand.settings(drain_concurrency=BATCH, drain_linger_seconds=0.1)
    crashes = 0
    with Processors(settings, tmp_path / "processors.log") as processors:
        while not stand.is_over():
            started = processors.start()
            await until(lambda number=started: not is_alive(number))  # type: ignore[misc]
            crashes += stand.engine.value("select (count(*) > 0)::int from public.jobs where status = 'processing'")
            stand.step(60)
            await asyncio.to_thread(stand.engine.call, "tick")
    return crashes
