"""Proof 21: no sliding window above a limit at the provider, nearly all of the limit used, and nobody starved."""

from collections import defaultdict
from datetime import datetime, timedelta

import pytest

from tests.proofs.conftest import Proof
from tests.sql.conftest import Engine, Json

USERS, INSTANCES_OF_A_USER, WORKERS = 10, 5, 8
SLACK_SECONDS = 2
LIMITS = {"instance": (20, 60), "user": (100, 60), "message": (10, 300)}


@pytest.fixture
def limited(engine: Engine) -> Engine:
    """The limits of the design documents on one queue: an instance's, a user's campaigns', a message's retries."""
    for name, (most, seconds) in LIMITS.items():
        engine.call("set_rate_limiter", name, most, seconds)
        engine.call("limit_queue", "work", name, f"payload.{name}")
    return engine


def test_no_window_is_above_a_limit(limited: Engine, proof: Proof) -> None:
    hold_the_limits(limited, proof, minutes=4)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_no_window_of_an_hour_is_above_a_limit(limited: Engine, proof: Proof) -> None:
    hold_the_limits(limited, proof, minutes=40)


def hold_the_limits(engine: Engine, proof: Proof, minutes: int) -> None:
    fill(engine, minutes + 2)
    calls: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    began = now(engine)
    while (passed := (now(engine) - began).total_seconds()) < minutes * 60:
        claims = [engine.claim(limit=proof.random.randint(20, 200), worker=f"w{n}") for n in range(WORKERS)]
        jobs = [job for claim in claims for job in claim["jobs"]]
        for job in jobs:
            arrives = claimed_at(job) + timedelta(seconds=proof.random.uniform(0, SLACK_SECONDS))
            for name in LIMITS:
                calls[name, job["payload"][name]].append(arrives)
        if jobs:
            done = [{"job_id": job["job_id"], "claim_id": job["claim_id"], "outcome": "done"} for job in jobs]
            engine.call("settle_jobs", done)
        waits = [claim["next_due_in_ms"] for claim in claims if claim["next_due_in_ms"] is not None]
        assert jobs or waits, "jobs are left, and a limit says when"
        engine.step_clock(timedelta(seconds=proof.random.uniform(0.05, 0.3) + (0 if jobs else min(waits) / 1000)))

    above = sum(windows_above(sorted(times), *LIMITS[name]) for (name, _), times in calls.items())
    allowed = LIMITS["instance"][0] * passed / 60
    shares = [len(times) / allowed for (name, _), times in calls.items() if name == "instance"]
    used, slowest = sum(shares) / (USERS * INSTANCES_OF_A_USER), min(shares)
    proof.record(
        21, "rate limits", reached=f"{above} windows above, {used:.1%} used, slowest {slowest / used:.2f} of the mean",
        target="0 windows above, >= 95 % used, slowest >= 0.5 of the mean", minutes=minutes, keys=len(calls),
        calls=sum(len(times) for times in calls.values()),
    )  # fmt: skip
    assert above == 0
    assert used >= 0.95
    assert slowest >= 0.5 * used


def now(engine: Engine) -> datetime:
    """The engine's time."""
    at: datetime = engine.value("select filaviva.now()")
    return at


def fill(engine: Engine, minutes: int) -> None:
    """More jobs of every instance than it may send in that time; each message is sent ten times at most."""
    jobs = [
        {
            "kind": "task",
            "payload": {
                "instance": f"u{user}i{instance}",
                "user": f"u{user}",
                "message": f"u{user}i{instance}m{n // 10}",
            },
        }
        for n in range(20 * minutes)
        for user in range(USERS)
        for instance in range(INSTANCES_OF_A_USER)
    ]
    for begin in range(0, len(jobs), 5000):
        engine.enqueue(*jobs[begin : begin + 5000])


def claimed_at(job: Json) -> datetime:
    """The engine's time of the claim."""
    return datetime.fromisoformat(job["lease_expires_at"]) - timedelta(seconds=job["lease_seconds"])


def windows_above(times: list[datetime], most: int, seconds: int) -> int:
    """How many windows of so many seconds hold more calls than allowed."""
    window = timedelta(seconds=seconds)
    return sum(later - first < window for first, later in zip(times, times[most:], strict=False))
