"""Proof 22: one tenant enqueues a flood; the others, who enqueue a job a second, start as if it were not there."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from tests.proofs.conftest import Proof
from tests.proofs.oracle import percentile
from tests.sql.conftest import Engine, make_queue, make_user

QUIET = 49
JOBS_A_SECOND = 60
"""What the workers do: a little more than the quiet tenants ask for."""
PER_CALL = 10_000


def test_a_flood_delays_nobody_else(engine: Engine, proof: Proof) -> None:
    start_in_time(engine, proof, flood=5_000, seconds=12)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_flood_of_100_000_delays_nobody_else(engine: Engine, proof: Proof) -> None:
    start_in_time(engine, proof, flood=100_000, seconds=120)


def start_in_time(engine: Engine, proof: Proof, flood: int, seconds: int) -> None:
    make_queue(engine, "work", lease_seconds=300)
    noisy, quiet = make_user(engine), [make_user(engine) for _ in range(QUIET)]
    for size in batches(flood):
        engine.enqueue(*[{"kind": "task", "user_id": str(noisy)}] * size)
    delays: list[float] = []
    for _ in range(seconds):
        for user in proof.random.sample(quiet, QUIET):
            engine.enqueue({"kind": "task", "user_id": str(user)})
        for _ in range(4):
            delays += claim(engine, JOBS_A_SECOND // 4, noisy)
            engine.step_clock(timedelta(seconds=0.25))
    p95 = percentile(delays, 0.95)
    waiting = engine.value("select count(*) from public.jobs where status = 'pending' and user_id <> %s", noisy)
    proof.record(
        22, "noisy tenant", reached=f"p95 start {p95:.2f} s, {waiting} of the others' jobs still waiting",
        target="p95 start of the 49 others <= 5 s", flood=flood, others=len(delays),
    )  # fmt: skip
    assert p95 <= 5
    assert waiting <= QUIET


def claim(engine: Engine, limit: int, noisy: UUID) -> list[float]:
    """Seconds from enqueue to start of the quiet tenants' jobs among the next ones; all are done at once."""
    jobs = engine.claim(limit=limit)["jobs"]
    engine.call(
        "settle_jobs", [{"job_id": job["job_id"], "claim_id": job["claim_id"], "outcome": "done"} for job in jobs]
    )
    return [
        (
            datetime.fromisoformat(job["lease_expires_at"])
            - timedelta(seconds=job["lease_seconds"])
            - datetime.fromisoformat(job["created_at"])
        ).total_seconds()
        for job in jobs
        if job["user_id"] != str(noisy)
    ]


def batches(count: int) -> Iterator[int]:
    """The sizes of the calls that enqueue so many."""
    yield from [PER_CALL] * (count // PER_CALL)
    yield from [count % PER_CALL] if count % PER_CALL else []
