import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue

BOOM = {"code": "boom", "message": "It broke."}
OVER = ("completed", "failed", "cancelled", "unconfirmed")


def end_all(engine: Engine, outcome: str, *jobs: dict[str, Any]) -> list[str]:
    """Enqueue jobs for `work` and end them."""
    ids = engine.enqueue(*jobs)
    for _ in ids:
        engine.settle(engine.claim_one(), outcome, **({} if outcome == "done" else {"error": BOOM}))
    return ids


def old_jobs(engine: Engine, count: int, days: int, status: str = "completed", queue: str = "work") -> None:
    """Finished rows of some age, as many days of work leave them behind."""
    engine.connection.execute(
        "insert into public.jobs (queue, kind, max_attempts, timeout_seconds, status, created_at, finished_at)"
        " select %s, 'task', 3, 60, %s, now() - %s, now() - %s from generate_series(1, %s)",
        (queue, status, timedelta(days=days), timedelta(days=days), count),
    )


def left(engine: Engine) -> dict[str, int]:
    return dict(engine.connection.execute("select status, count(*) from public.jobs group by 1").fetchall())


# Retention ---------------------------------------------------------------------------------------


def test_each_queue_and_status_has_its_own_time(engine: Engine) -> None:
    make_queue(engine, "brief", retention_completed="1 hour", retention_failed="2 days")
    for queue in ("work", "brief"):
        for status in OVER:
            for days in (1, 3, 8, 31):
                old_jobs(engine, 1, days, status, queue)
    assert engine.value("select filaviva.prune_next(1000)") == 20
    rows = engine.connection.execute(
        "select queue, status, array_agg((now()::date - finished_at::date) order by finished_at desc)"
        " from public.jobs group by 1, 2 order by 1, 2"
    ).fetchall()
    assert rows == [
        ("brief", "failed", [1]),
        ("brief", "unconfirmed", [1]),
        ("work", "cancelled", [1, 3]),
        ("work", "completed", [1, 3]),
        ("work", "failed", [1, 3, 8]),
        ("work", "unconfirmed", [1, 3, 8]),
    ]


def test_what_is_not_over_is_never_pruned(engine: Engine) -> None:
    engine.enqueue(
        *[{"kind": "task"}] * 3,
        {"kind": "task", "group_key": "g"},
        {"kind": "task", "scheduled_at": "2999-01-01T00:00:00Z"},
    )
    engine.claim_one()
    engine.settle(engine.claim_one(), "snooze", after_seconds=10_000_000)
    before = left(engine)
    engine.step_clock(timedelta(days=100))
    assert engine.value("select filaviva.prune(100)") == 0
    assert left(engine) == before


def test_a_walk_takes_no_more_than_its_limit_and_goes_on_where_it_stopped(engine: Engine) -> None:
    old_jobs(engine, 2500, 10)
    assert engine.value("select filaviva.prune_next(1000)") == 1000
    [first_left] = engine.connection.execute("select min(seq) from public.jobs").fetchone() or (0,)
    assert engine.value("select after_seq from filaviva.prune_cursor") == first_left - 1
    assert [engine.value("select filaviva.prune_next(1000)") for _ in range(3)] == [1000, 500, 0]


def test_the_walk_reads_on_past_what_is_kept(engine: Engine) -> None:
    """Failed jobs of ten days ago are kept; behind them lies what must go."""
    old_jobs(engine, 3000, 10, "failed")
    old_jobs(engine, 5, 9)
    old_jobs(engine, 5, 0)
    assert engine.connection.execute("select * from filaviva.prune_walk(0, 2000, 100)").fetchone() == (
        0,
        engine.value("select seq from public.jobs order by seq offset 1999 limit 1"),
    )
    assert engine.value("select filaviva.prune_next(100)") == 5
    assert engine.value("select after_seq from filaviva.prune_cursor") == 0, "the young begin here"


def test_the_walk_stops_where_the_young_begin(engine: Engine) -> None:
    old_jobs(engine, 5, 10)
    old_jobs(engine, 5000, 0)
    walk = "select * from filaviva.prune_walk(0, 2000, 100)"
    assert engine.connection.execute(walk).fetchone() == (5, 0), "over after a slice of 1,000"


def test_the_walk_reads_jobs_in_order_and_never_all_of_them(engine: Engine) -> None:
    old_jobs(engine, 20_000, 0)
    engine.connection.execute("analyze public.jobs")
    with psycopg.connect(engine.connection.info.dsn, user="postgres", password="postgres", autocommit=True) as fresh:
        before = rows_scanned(fresh)
        fresh.execute("select filaviva.prune_next(5000)")
        assert rows_scanned(fresh) == before


def rows_scanned(connection: psycopg.Connection) -> object:
    """Rows of jobs that whole-table scans have read."""
    connection.execute("select pg_stat_force_next_flush()")
    return connection.execute("select seq_tup_read from pg_stat_user_tables where relname = 'jobs'").fetchone()


def test_pruning_on_demand_begins_with_the_oldest(engine: Engine) -> None:
    old_jobs(engine, 10, 10)
    engine.connection.execute("update filaviva.prune_cursor set after_seq = 9999999")
    assert engine.value("select filaviva.prune(4)") == 4
    assert engine.value("select filaviva.prune(100)") == 6


def test_two_walks_at_once_delete_nothing_twice(database: Database, engine: Engine) -> None:
    old_jobs(engine, 10, 10)
    with database.connect() as other, other.transaction():
        assert other.execute("select filaviva.prune_next(100)").fetchone() == (10,)
        assert engine.value("select filaviva.prune_next(100)") == 0
        assert engine.value("select filaviva.prune(100)") == 0, "what another one deletes is not waited for"
    assert left(engine) == {}


def test_a_job_takes_its_attempts_along_and_leaves_its_group_working(engine: Engine) -> None:
    grouped = {"kind": "task", "group_key": "g"}
    [gone] = end_all(engine, "reject", grouped)
    engine.step_clock(timedelta(days=31))
    following = engine.enqueue(grouped, grouped)
    assert engine.value("select filaviva.prune(10)") == 1
    assert engine.value("select count(*) from public.job_attempts where job_id = %s", gone) == 0
    for job_id in following:
        job = engine.claim_one()
        assert job["job_id"] == job_id
        engine.settle(job, "done")


def test_a_finished_head_that_still_holds_its_group_waits_for_the_sweep(engine: Engine) -> None:
    [head] = end_all(engine, "done", {"kind": "task", "group_key": "g"})
    engine.connection.execute("update filaviva.job_groups set active_job_id = %s", (head,))
    engine.step_clock(timedelta(days=8))
    assert engine.value("select filaviva.prune(10)") == 0
    engine.value("select filaviva.sweep(1000)")
    assert engine.value("select filaviva.prune(10)") == 1


def test_a_job_that_is_redriven_at_the_same_moment_stays(database: Database, engine: Engine) -> None:
    [job_id] = end_all(engine, "reject", {"kind": "task"})
    with database.connect() as other, other.transaction():
        Engine(other).call("redrive_jobs", {"ids": [job_id]}, False, 10)
        assert engine.call("prune_jobs", {"ids": [job_id]}, 10)["changed"] == 0
    assert engine.job(job_id)["status"] == "pending"
    assert engine.claim_one()["job_id"] == job_id


def test_history_is_bounded(engine: Engine) -> None:
    with psycopg.connect(engine.connection.info.dsn, user="supabase_admin", password="postgres") as admin:
        admin.execute(
            "insert into cron.job_run_details (username, command, status, start_time, end_time) values"
            " ('postgres', 'old', 'succeeded', now() - interval '8 days', now() - interval '8 days'),"
            " ('postgres', 'cut off', 'failed', now() - interval '8 days', null),"
            " ('postgres', 'went well', 'succeeded', now() - interval '2 days', now() - interval '2 days'),"
            " ('postgres', 'went wrong', 'failed', now() - interval '2 days', now() - interval '2 days'),"
            " ('postgres', 'new', 'succeeded', now(), now())"
        )
    engine.connection.execute(
        "insert into public.alerts (rule, kind, message, opened_at, resolved_at) values"
        " ('no_tick', 'no_tick', 'old', now(), now() - interval '31 days'),"
        " ('no_tick', 'no_tick', 'new', now(), now()), ('no_tick', 'no_tick', 'open', now(), null)"
    )
    engine.enqueue({"kind": "task"})
    engine.claim_one()
    engine.connection.execute("update filaviva.claim_requests set created_at = now() - interval '2 hours'")
    engine.value("select filaviva.prune_history()")
    assert engine.value("select array_agg(command order by command) from cron.job_run_details") == ["new", "went wrong"]
    assert engine.value("select array_agg(message order by id) from public.alerts") == ["new", "open"]
    assert engine.value("select count(*) from filaviva.claim_requests") == 0


# By hand -----------------------------------------------------------------------------------------


def test_an_operator_deletes_finished_jobs_that_match(engine: Engine) -> None:
    gone = end_all(engine, "reject", {"kind": "task"}, {"kind": "task"})
    end_all(engine, "done", {"kind": "task"})
    engine.enqueue({"kind": "task"})
    answer = engine.call("prune_jobs", {"queue": "work", "status": "failed"}, 10)
    assert answer == {"matched": 2, "changed": 2, "job_ids": gone, "cursor": None}
    assert left(engine) == {"completed": 1, "pending": 1}
    assert engine.call("prune_jobs", {"status": "pending"}, 10)["matched"] == 0


def test_more_than_the_limit_goes_in_several_calls(engine: Engine) -> None:
    old_jobs(engine, 2500, 0)
    answers = [engine.call("prune_jobs", {"queue": "work"}, 5000)]
    while answers[-1]["cursor"] is not None:
        answers.append(engine.call("prune_jobs", {"queue": "work"}, 5000))
    assert [answer["changed"] for answer in answers] == [1000, 1000, 500]
    assert len(answers[0]["job_ids"]) == 1000


@pytest.mark.parametrize(
    ("filter_", "code"),
    [({}, "empty_filter"), ({"colour": "red"}, "unknown_field"), ({"ids": ["x"]}, "invalid_field")],
)
def test_a_malformed_filter_deletes_nothing(engine: Engine, filter_: dict[str, Any], code: str) -> None:
    end_all(engine, "done", {"kind": "task"})
    with pytest.raises(psycopg.Error) as caught:
        engine.call("prune_jobs", filter_, 10)
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT400", code)
    assert left(engine) == {"completed": 1}


def test_owners_do_not_prune(engine: Engine, alice: uuid.UUID) -> None:
    with pytest.raises(psycopg.Error) as caught:
        engine.call_as(alice, "prune_jobs", {"user_id": str(alice)}, 10)
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT403", "operator_only")
