from datetime import timedelta

import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue


def posted(engine: Engine) -> list[str]:
    """The queues for which pg_net was asked to call the drain, in order."""
    return [
        row[0]
        for row in engine.connection.execute(
            "select convert_from(body, 'UTF8')::jsonb -> 'queues' ->> 0 from net.http_request_queue order by id"
        )
    ]


@pytest.fixture(autouse=True)
def drain(engine: Engine) -> None:
    engine.call("configure_drain", "http://127.0.0.1:9/api/queue/process", "the-token", 200)
    engine.connection.execute("delete from net.http_request_queue")


def test_an_enqueue_wakes_the_drain_once_a_second(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    engine.enqueue({"kind": "task"})
    assert posted(engine) == ["work"]
    engine.step_clock(timedelta(seconds=1.1))
    engine.enqueue({"kind": "task"})
    assert posted(engine) == ["work", "work"]


def test_the_call_carries_the_token_and_the_short_timeout(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    row = engine.connection.execute(
        "select url, headers ->> 'Authorization', timeout_milliseconds from net.http_request_queue"
    ).fetchone()
    assert row == ("http://127.0.0.1:9/api/queue/process", "Bearer the-token", 200)


def test_a_rolled_back_enqueue_wakes_nobody(engine: Engine) -> None:
    class UndoError(Exception):
        pass

    with pytest.raises(UndoError), engine.connection.transaction():
        engine.enqueue({"kind": "task"})
        raise UndoError
    assert posted(engine) == []


def test_a_kick_that_another_transaction_is_making_does_not_swallow_ours(database: Database, engine: Engine) -> None:
    with database.connect() as other, other.transaction():
        other.execute("select filaviva.kick_queue('work')")
        engine.enqueue({"kind": "task"})
        assert posted(engine) == ["work"]


def test_a_scheduled_job_wakes_nobody_yet(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "scheduled_at": "2999-01-01T00:00:00Z"})
    assert posted(engine) == []


@pytest.mark.parametrize(
    "broken", ["delete from vault.secrets", "update filaviva.drain_settings set call_timeout_ms = 1"]
)
def test_a_broken_kick_never_breaks_an_enqueue(engine: Engine, broken: str) -> None:
    if "vault" in broken:
        engine.connection.execute(broken)
    else:
        engine.call("configure_drain", "http://no host/", "t", 200)
    assert len(engine.enqueue({"kind": "task"})) == 1
    assert posted(engine) == []


def test_the_tick_finds_work_whose_kick_was_lost(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    engine.connection.execute("delete from net.http_request_queue")
    assert engine.call("tick")["kicked"] == 1
    assert posted(engine) == ["work"]


def test_the_tick_calls_nobody_when_nothing_is_due(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "scheduled_at": "2999-01-01T00:00:00Z"})
    assert engine.call("tick") == {"released": 0, "rescued": 0, "kicked": 0}


def test_the_tick_releases_rescues_and_wakes(engine: Engine) -> None:
    make_queue(engine, "other")
    engine.enqueue({"kind": "task"})
    engine.claim_one()
    engine.enqueue({"kind": "task_other", "scheduled_at": "2999-01-01T00:00:00Z"})
    engine.connection.execute("delete from net.http_request_queue")
    engine.connection.execute(
        "update public.jobs set next_run_at = now() - interval '1 second' where next_run_at is not null"
    )
    engine.step_clock(timedelta(seconds=31))
    answer = engine.call("tick")
    assert (answer["rescued"], answer["kicked"]) == (1, 1)
    assert posted(engine) == ["other"]


def test_a_full_queue_is_not_woken(engine: Engine) -> None:
    make_queue(engine, "single", concurrency=1)
    engine.enqueue({"kind": "task_single"}, {"kind": "task_single"})
    engine.claim_one("single")
    engine.connection.execute("delete from net.http_request_queue")
    assert engine.call("tick")["kicked"] == 0


def test_two_ticks_do_not_run_at_once(database: Database, engine: Engine) -> None:
    with database.connect() as other, other.transaction():
        other.execute("select filaviva.tick()")
        assert "skipped" in engine.call("tick")


def test_the_migrations_schedule_the_engine(engine: Engine) -> None:
    rows = engine.connection.execute("select jobname, schedule, username from cron.job order by jobname").fetchall()
    assert rows == [
        ("filaviva_alerts", "30 seconds", "postgres"),
        ("filaviva_prune", "0 2 * * *", "postgres"),
        ("filaviva_prune_messages", "0 */6 * * *", "postgres"),
        ("filaviva_rescue", "4 seconds", "postgres"),
        ("filaviva_retention", "10 seconds", "postgres"),
        ("filaviva_sample", "* * * * *", "postgres"),
        ("filaviva_sweep", "*/5 * * * *", "postgres"),
        ("filaviva_tick", "10 seconds", "postgres"),
    ]


def test_no_secret_stands_in_a_cron_command(engine: Engine) -> None:
    assert engine.value("select count(*) from cron.job where command ~* 'bearer|the-token|http'") == 0
