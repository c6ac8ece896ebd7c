"""Proof 1: `kill -9` of the processor in the middle of its work loses nothing and does nothing twice."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.proofs.conftest import Proof, Stand, served
from tests.proofs.oracle import Provider, assert_drained, assert_effects_once
from tests.proofs.processor import Processors

LEASE_SECONDS = 5
BATCH = 10
MAX_STUCK_SECONDS = 5
ENTRY = "select split_part(schedule, ' ', 1)::float8, command from cron.job where jobname = 'filaviva_rescue'"
BUSY = """
select count(*) from pg_stat_activity
where datname = current_database() and usename = 'authenticator' and state <> 'idle'
"""
UNFINISHED = """
select status, mode, attempt, error_code, waiting_reason, next_run_at - filaviva.now(), msg_id from public.jobs
where finished_at is null
"""
SINCE_LEASES_ENDED = """
select coalesce(max(extract(epoch from filaviva.now() - lease_expires_at)), 0)::float8 from public.jobs
where status = 'processing' and lease_expires_at < filaviva.now()
"""


async def test_killing_the_processor_at_random_points_loses_and_repeats_nothing(
    stand: Stand, proof: Proof, tmp_path: Path
) -> None:
    await campaign(stand, proof, tmp_path, kills=20, jobs=200)


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_two_hundred_kills_lose_and_repeat_nothing(stand: Stand, proof: Proof, tmp_path: Path) -> None:
    await campaign(stand, proof, tmp_path, kills=200, jobs=2000)


async def campaign(stand: Stand, proof: Proof, tmp_path: Path, *, kills: int, jobs: int) -> None:
    stand.queue(lease_seconds=LEASE_SECONDS, max_attempts=100)
    for kind in ("send_plain", "send_keyed"):
        stand.engine.call("register_kind", kind, {"queue": "work"})
    provider = Provider(answer_seconds=lambda: proof.random.random() * 0.03)
    settings = stand.settings(drain_concurrency=BATCH, drain_linger_seconds=60, drain_budget_seconds=3600)
    acknowledged: list[str] = []
    in_flight: list[int] = []
    stuck = 0.0
    async with served(provider) as url:
        with Processors(settings, tmp_path / "processors.log") as processors:
            for _ in range(kills):
                kinds = ["send_plain", "send_keyed"] * (jobs // kills // 2)
                acknowledged += stand.engine.enqueue(*({"kind": kind, "payload": {"provider": url}} for kind in kinds))
                victim = processors.start()
                wanted = provider.requests + proof.random.randint(1, BATCH + BATCH // 2)
                assert await requests_reach(provider, wanted), stand.engine.connection.execute(UNFINISHED).fetchall()
                await asyncio.sleep(proof.random.random() * 0.03)
                processors.kill(victim)
                in_flight.append(stand.engine.value("select count(*) from public.jobs where status = 'processing'"))
                await gateway_is_idle(stand)
                stuck = max(stuck, rescues_of_schedule(stand, proof.random.random()))
            processors.start()
            await all_over(stand, proof.scaled(40, 300))
    assert_drained(stand.engine, acknowledged)
    assert_effects_once(provider, acknowledged)
    killed_jobs = stand.engine.value("select count(*) from public.job_attempts where error_code = 'worker_lost'")
    assert killed_jobs >= kills, "the kills hit jobs in flight"
    assert stuck <= MAX_STUCK_SECONDS
    proof.record(
        1, "kills", target="0 lost, 0 double effects, stuck <= lease + 5 s",
        reached=f"{kills} kills, {len(acknowledged)} jobs: 0 lost, 0 double effects, stuck <= lease + {stuck:.1f} s",
        kills=kills, jobs=len(acknowledged), attempts_lost=killed_jobs, mean_in_flight=sum(in_flight) / kills,
        kills_with_jobs_in_flight=sum(number > 0 for number in in_flight), repeated_calls=provider.repeated(),
    )  # fmt: skip


def rescues_of_schedule(stand: Stand, phase: float) -> float:
    """Let the engine's time pass from one run of cron's entry to the next, the first after a share `phase` of their
    period, until no job is held by the dead; answers the longest that one was held after its lease was over, in
    seconds."""
    entry = stand.engine.connection.execute(ENTRY).fetchone()
    assert entry is not None
    period, command = entry
    longest = 0.0
    wait = phase * period
    while stand.engine.value("select count(*) from public.jobs where status = 'processing'"):
        stand.step(wait)
        longest = max(longest, stand.engine.value(SINCE_LEASES_ENDED))
        stand.engine.connection.execute(command.encode())
        wait = period
    return longest


async def gateway_is_idle(stand: Stand) -> None:
    """Until what the dead had asked for is done: milliseconds, which a step of the clock would make seconds."""
    deadline = time.monotonic() + 10
    while stand.engine.value(BUSY):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def requests_reach(provider: Provider, number: int) -> bool:
    """Wait until the provider was asked so often; False when that takes too long."""
    reached = asyncio.Event()
    provider.on_request = lambda: reached.set() if provider.requests >= number else None
    with suppress(TimeoutError):
        await asyncio.wait_for(reached.wait(), 20)
    return reached.is_set()


async def all_over(stand: Stand, seconds: int) -> None:
    """Until every job is over, with ticks; time passes a little faster than it does, for what polls."""
    deadline = time.monotonic() + seconds
    while not stand.is_over():
        assert time.monotonic() < deadline, stand.engine.connection.execute(UNFINISHED).fetchall()
        stand.step(0.1)
        await asyncio.to_thread(stand.engine.call, "tick")
        await asyncio.sleep(0.05)
