"""Cost follows the batch, not the backlog: buffers touched at 50,000 rows, and updates that write no index."""

import uuid
from typing import Any

import pytest

from tests.sql.conftest import Engine, make_queue

BACKLOG = 50_000


@pytest.fixture
def backlog(engine: Engine) -> Engine:
    """Fifty thousand due jobs, and as many of each other sort, before statistics know of them."""
    make_queue(engine, "work", window_size=100)
    engine.connection.execute("analyze public.jobs, filaviva.due_jobs")  # as if autovacuum had come while all was empty
    per_call = 10_000
    sorts: list[dict[str, Any]] = [{}, {"scheduled_at": "2099-01-01T00:00:00Z"}, {"group_key": "one"}]
    for more in sorts:
        for _ in range(BACKLOG // len(sorts) // per_call + 1):
            engine.enqueue(*[{"kind": "task", **more}] * per_call)
    return engine


def buffers(engine: Engine, statement: str, *arguments: object) -> int:
    """Shared buffers that a statement touches, nested functions included."""
    row = engine.connection.execute(f"explain (analyze, buffers, format json) {statement}", arguments).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


CLAIM = "select filaviva.claim_jobs('work', %s, 'w', gen_random_uuid())"


@pytest.mark.timeout(120)
def test_a_claim_touches_what_its_batch_needs(backlog: Engine) -> None:
    backlog.claim(limit=100)  # the window's share
    touched = [buffers(backlog, CLAIM, 10) for _ in range(3)]
    assert max(touched) < 1500, touched
    assert max(buffers(backlog, CLAIM, 100) for _ in range(3)) < 8000


@pytest.mark.timeout(120)
def test_a_settle_touches_what_its_batch_needs(backlog: Engine) -> None:
    jobs = backlog.claim(limit=100)["jobs"]
    results = ",".join(
        f'{{"job_id": "{job["job_id"]}", "claim_id": {job["claim_id"]}, "outcome": "done"}}' for job in jobs
    )
    assert buffers(backlog, f"select filaviva.settle_jobs('[{results}]')") < 6000


@pytest.mark.timeout(120)
def test_the_tick_and_an_enqueue_do_not_read_the_backlog(backlog: Engine) -> None:
    assert buffers(backlog, "select filaviva.tick()") < 5000
    assert buffers(backlog, """select filaviva.enqueue_jobs('[{"kind": "task"}]')""") < 1500


def test_claims_and_settles_write_no_index_of_jobs(engine: Engine) -> None:
    for window in (0, 1000):
        make_queue(engine, "work", window_size=window)
        engine.enqueue(*[{"kind": "task"}] * 500)
        while jobs := engine.claim(limit=100)["jobs"]:
            engine.call(
                "settle_jobs",
                [{"job_id": job["job_id"], "claim_id": job["claim_id"], "outcome": "done"} for job in jobs],
            )
    engine.connection.execute("select pg_stat_force_next_flush()")
    row = engine.connection.execute(
        "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'public.jobs'::regclass"
    ).fetchone()
    assert row is not None
    updates, hot = row
    assert updates >= 2000
    assert hot / updates >= 0.95, f"{hot} of {updates}"


def test_an_owner_reads_their_jobs_by_index(engine: Engine, alice: uuid.UUID) -> None:
    engine.enqueue(*[{"kind": "task"}] * 5000)
    engine.enqueue({"kind": "task", "user_id": str(alice)})
    engine.connection.execute("analyze public.jobs")
    with engine.as_role("authenticated", {"role": "authenticated", "sub": str(alice)}):
        touched = buffers(engine, "select * from public.jobs where user_id = %s", alice)
    assert touched < 100


def test_a_session_that_planned_while_all_was_empty_reads_no_backlog_later(engine: Engine) -> None:
    alone = [claimed_buffers(engine) for _ in range(8)][-1]
    engine.enqueue(*[{"kind": "task", "scheduled_at": "2099-01-01T00:00:00Z"}] * 5000)
    assert max(claimed_buffers(engine) for _ in range(3)) <= 1.5 * alone


def claimed_buffers(engine: Engine) -> int:
    """What a claim of ten fresh jobs touches."""
    engine.enqueue(*[{"kind": "task"}] * 10)
    return buffers(engine, CLAIM, 10)


def test_statements_that_forbid_a_sort_of_plan_are_not_compiled_for_its_price(engine: Engine) -> None:
    rows = engine.connection.execute(
        "select p.proname from pg_proc p where p.pronamespace = 'filaviva'::regnamespace"
        " and array_to_string(p.proconfig, ',') like '%%enable\\_%%' and not 'jit=off' = any (p.proconfig)"
    )
    assert [row[0] for row in rows] == [], "add `set jit = off`"
