import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue

BOOM = {"code": "boom", "message": "It broke."}


def metrics(engine: Engine, queue: str = "work") -> dict[str, Any]:
    [answer] = engine.call("queue_metrics", queue)
    assert answer["queue"] == queue
    return dict(answer)


def settled(engine: Engine, seconds_ago: float, **counts: int) -> None:
    """As if a settle call had ended claims of `work` some seconds ago."""
    columns = {"completed": 0, "failed": 0, "cancelled": 0, "unconfirmed": 0, "again": 0} | counts
    engine.connection.execute(
        "insert into filaviva.settle_counts (queue, at, completed, failed, cancelled, unconfirmed, again) values"
        " ('work', filaviva.now() - %(ago)s, %(completed)s, %(failed)s, %(cancelled)s, %(unconfirmed)s, %(again)s)",
        columns | {"ago": timedelta(seconds=seconds_ago)},
    )


def test_an_empty_queue_is_all_zeros(engine: Engine) -> None:
    assert metrics(engine) == {
        "queue": "work",
        "paused": False,
        "size": 0,
        "due": 0,
        "later": 0,
        "blocked": 0,
        "processing": 0,
        "oldest_seconds": 0,
        "processing_rate": 0,
        "error_rate": 0,
        "queue_trend": None,
        "processing_trend": 0,
        "error_trend": 0,
    }


def test_every_queue_is_told_unless_one_is_named(engine: Engine) -> None:
    make_queue(engine, "other")
    names = [row["queue"] for row in engine.call("queue_metrics", None)]
    assert names == sorted(names)
    assert {"other", "work"} <= set(names)
    with pytest.raises(psycopg.Error, match="no queue 'nowhere'") as caught:
        engine.call("queue_metrics", "nowhere")
    assert caught.value.sqlstate == "PT404"


def test_the_size_counts_every_place_where_a_job_waits(engine: Engine) -> None:
    engine.enqueue(
        *[{"kind": "task"}] * 3,
        {"kind": "task", "priority": 5},
        *[{"kind": "task", "group_key": "g"}] * 2,
        {"kind": "task", "scheduled_at": "2999-01-01T00:00:00Z"},
    )
    engine.claim_one()
    row = metrics(engine)
    assert (row["size"], row["processing"], row["later"]) == (6, 1, 1)
    assert row["due"] + row["blocked"] == 5


def test_a_job_that_backs_off_is_waiting(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    engine.settle(engine.claim_one(), "retry", error=BOOM, after_seconds=60)
    assert (metrics(engine)["size"], metrics(engine)["later"]) == (1, 1)


def test_the_oldest_age_is_that_of_what_is_due(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "scheduled_at": "2999-01-01T00:00:00Z"})
    engine.step_clock(timedelta(minutes=5))
    assert metrics(engine)["oldest_seconds"] == 0
    engine.enqueue({"kind": "task"})
    engine.step_clock(timedelta(seconds=90))
    engine.enqueue({"kind": "task", "priority": 9})
    assert metrics(engine)["oldest_seconds"] == pytest.approx(90, abs=5)


@pytest.mark.parametrize("waiting", [{"group_key": "g"}, {"priority": 3}, {"scheduled_in": 10}])
def test_work_that_nobody_releases_ages_all_the_same(engine: Engine, waiting: dict[str, Any]) -> None:
    if seconds := waiting.pop("scheduled_in", None):
        waiting["scheduled_at"] = engine.value("select filaviva.now() + %s", timedelta(seconds=seconds)).isoformat()
    engine.enqueue({"kind": "task", **waiting})
    engine.step_clock(timedelta(seconds=100))
    assert metrics(engine)["oldest_seconds"] == pytest.approx(100 - (seconds or 0), abs=5)


def test_a_job_behind_a_running_head_is_not_due(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task", "group_key": "g"}] * 2)
    engine.claim_one()
    engine.step_clock(timedelta(seconds=20))
    assert (metrics(engine)["oldest_seconds"], metrics(engine)["blocked"]) == (0, 1)


def test_a_job_under_a_spent_limit_is_due_when_the_limit_allows_it_again(engine: Engine) -> None:
    engine.call("set_rate_limiter", "one_a_minute", 1, 60)
    engine.call("limit_queue", "work", "one_a_minute", "instance_id")
    engine.enqueue(*[{"kind": "task", "instance_id": "i"}] * 2)
    engine.claim()
    engine.step_clock(timedelta(seconds=50))
    assert (metrics(engine)["oldest_seconds"], metrics(engine)["blocked"]) == (0, 1)
    engine.step_clock(timedelta(seconds=50))
    assert metrics(engine)["oldest_seconds"] == pytest.approx(38, abs=5)


def test_a_settle_moves_the_rates(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task"}] * 5)
    for job, outcome in zip(engine.claim()["jobs"], ["done", "done", "done", "reject", "retry"], strict=True):
        engine.settle(job, outcome, **({} if outcome == "done" else {"error": BOOM}))
    row = metrics(engine)
    assert (row["processing_rate"], row["error_rate"]) == (0.8, 25.0), "4 ended within 5 minutes, 1 of them badly"


def test_rates_and_trends_compare_two_windows_of_five_minutes(engine: Engine) -> None:
    settled(engine, 30, completed=40, failed=10, cancelled=5, again=100)
    settled(engine, 290, completed=40, unconfirmed=10)
    settled(engine, 310, completed=45, failed=5)
    settled(engine, 620, completed=1000)
    row = metrics(engine)
    assert (row["processing_rate"], row["processing_trend"]) == (21.0, 11.0)
    assert (row["error_rate"], row["error_trend"]) == (20.0, 10.0)


def test_folding_the_counts_changes_no_figure_and_bounds_the_table(engine: Engine) -> None:
    for ago in (20, 70, 71, 200, 400):
        settled(engine, ago, completed=10, failed=1)
    before = metrics(engine)
    assert engine.value("select filaviva.sample_queues()") == 4
    assert engine.value("select count(*) from filaviva.settle_counts") == 1
    assert {**metrics(engine), "queue_trend": None} == before
    settled(engine, 70, completed=7)
    engine.value("select filaviva.sample_queues()")
    assert engine.value("select sum(completed) from filaviva.queue_samples") == 47
    engine.step_clock(timedelta(days=1, minutes=1))
    engine.value("select filaviva.sample_queues()")
    assert engine.value("select count(*) from filaviva.settle_counts") == 0
    assert engine.value("select count(*) from filaviva.queue_samples where size is null") == 0


def test_the_queue_trend_is_the_change_of_its_size(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task"}] * 3)
    engine.value("select filaviva.sample_queues()")
    engine.enqueue(*[{"kind": "task"}] * 4)
    assert metrics(engine)["queue_trend"] is None, "no sample is five minutes old"
    engine.step_clock(timedelta(minutes=5, seconds=11))
    assert metrics(engine)["queue_trend"] == 4
    engine.step_clock(timedelta(minutes=6))
    assert metrics(engine)["queue_trend"] is None, "the sample is too old to speak of these minutes"


def test_two_samplers_fold_each_count_once(database: Database, engine: Engine) -> None:
    settled(engine, 70, completed=10)
    with database.connect() as other, other.transaction():
        other.execute("select filaviva.sample_queues()")
        assert engine.value("select filaviva.sample_queues()") == 0
    assert engine.value("select sum(completed) from filaviva.settled") == 10


def test_a_count_that_comes_late_is_added_to_its_bucket(engine: Engine) -> None:
    settled(engine, 70, completed=1)
    engine.value("select filaviva.sample_queues()")
    engine.connection.execute(
        "insert into filaviva.settle_counts"
        " select queue, at, 5, 0, 0, 0, 0 from filaviva.queue_samples where completed = 1"
    )
    engine.value("select filaviva.sample_queues()")
    assert engine.value("select max(completed) from filaviva.queue_samples") == 6


def test_metrics_are_for_operators(engine: Engine, alice: uuid.UUID) -> None:
    with pytest.raises(psycopg.Error) as caught:
        engine.call_as(alice, "queue_metrics", None)
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT403", "operator_only")
    claims = {"role": "authenticated", "sub": str(alice), "app_metadata": {"filaviva_role": "operator"}}
    with engine.as_role("authenticated", claims):
        assert engine.value("select jsonb_array_length(public.queue_metrics())") >= 1


def test_metrics_read_no_finished_job(engine: Engine) -> None:
    engine.connection.execute(
        "insert into public.jobs (queue, kind, max_attempts, timeout_seconds, status, finished_at)"
        " select 'work', 'task', 3, 60, 'completed', now() from generate_series(1, 5000)"
    )
    engine.connection.execute("analyze public.jobs")
    with psycopg.connect(engine.connection.info.dsn, user="postgres", password="postgres", autocommit=True) as fresh:
        fresh.execute("select public.queue_metrics()")
        fresh.execute("select pg_stat_force_next_flush()")
        before = fresh.execute("select seq_tup_read from pg_stat_user_tables where relname = 'jobs'").fetchone()
        fresh.execute("select public.queue_metrics()")
        fresh.execute("select pg_stat_force_next_flush()")
        after = fresh.execute("select seq_tup_read from pg_stat_user_tables where relname = 'jobs'").fetchone()
    assert after == before
