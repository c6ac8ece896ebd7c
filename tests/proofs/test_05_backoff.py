"""Proof 5, the wait between attempts: it grows, is capped, and is drawn evenly from nothing up to its bound."""

import pytest

from tests.proofs.conftest import Proof
from tests.sql.conftest import Engine

ATTEMPTS = 1000
SHAPES = [
    (2, 2, 600),
    (1, 2, 3600),
    (5, 1, 600),
    (0, 2, 600),
    (2, 2, 0),
    (0.5, 1.5, 86_400),
    (60, 10, 1e6),
    (3, 7, 1e9),
]
"""base, factor, cap: the queues' own default first, then shapes an operator may set."""
BOUNDS = """
select filaviva.backoff_seconds(n, %s::numeric, %s::numeric, %s::numeric)::float8
from generate_series(1, %s) n order by n
"""
TABLE = {1: 2, 2: 4, 3: 8, 4: 16, 5: 32, 6: 64, 7: 128, 8: 256, 9: 512, 10: 600, 11: 600, 100: 600, 1000: 600}
WAITS = """
select attempt, coalesce(extract(epoch from next_run_at - updated_at), 0)::float8,
  filaviva.backoff_seconds(attempt, 2, 2, 600)::float8
from public.jobs where status = 'retrying' order by attempt
"""


def bounds(engine: Engine, base: float, factor: float, cap: float) -> list[float]:
    return [row[0] for row in engine.connection.execute(BOUNDS, (base, factor, cap, ATTEMPTS))]


def test_the_bound_is_the_table(engine: Engine) -> None:
    found = bounds(engine, 2, 2, 600)
    assert {attempt: found[attempt - 1] for attempt in TABLE} == TABLE


@pytest.mark.parametrize(("base", "factor", "cap"), SHAPES)
def test_the_bound_never_falls_and_never_passes_the_cap(engine: Engine, base: float, factor: float, cap: float) -> None:
    found = bounds(engine, base, factor, cap)
    assert found == sorted(found)
    assert max(found) <= cap
    assert found[0] == min(base, cap)
    assert found[-1] == (cap if base and factor > 1 and base * factor**64 >= cap else min(base, cap))


def test_every_wait_is_drawn_evenly_within_its_bound(engine: Engine, proof: Proof) -> None:
    engine.call("create_queue", "work", {"backoff_base_seconds": 2, "backoff_factor": 2, "backoff_max_seconds": 600})
    engine.enqueue(*[{"kind": "task"}] * ATTEMPTS)
    claimed = engine.claim(limit=ATTEMPTS)["jobs"]
    assert len(claimed) == ATTEMPTS
    engine.connection.execute(
        "update public.jobs j set attempt = n.number, max_attempts = 2000, version = j.version + 1"
        " from (select id, row_number() over (order by seq) as number from public.jobs) n where n.id = j.id"
    )
    retry = {"outcome": "retry", "error": {"code": "boom", "message": "It broke."}}
    engine.call("settle_jobs", [{"job_id": j["job_id"], "claim_id": j["claim_id"], **retry} for j in claimed])
    waits = engine.connection.execute(WAITS).fetchall()
    assert [attempt for attempt, _, _ in waits] == list(range(1, ATTEMPTS + 1))
    assert all(0 <= wait <= bound for _, wait, bound in waits)
    shares = sorted(wait / bound for _, wait, bound in waits)
    # The largest gap between the shares and the even distribution (Kolmogorov and Smirnov). With a thousand draws it
    # passes 0.09 about once in five million runs.
    gap = max(abs(share - rank / ATTEMPTS) for rank, share in enumerate(shares))
    assert gap < 0.09
    proof.record(
        5, "backoff", target="monotone, capped, jitter in range, 1..1,000 attempts",
        reached=f"{len(SHAPES)} shapes x {ATTEMPTS} attempts monotone and capped; {len(waits)} waits in range and even",
        shapes=len(SHAPES), attempts=ATTEMPTS, distance_from_even=round(gap, 4),
    )  # fmt: skip
