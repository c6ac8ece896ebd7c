"""Cron and its watchdog: a silent tick is noticed, and one statement puts every entry back."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import psycopg
import pytest

from devstack.cron import Cron
from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue


@pytest.fixture(autouse=True)
def ticking(engine: Engine) -> None:
    """The last tick was just now, however old the template of the database is."""
    engine.call("tick")


def fires(engine: Engine) -> str | None:
    """What the watchdog says; None when all is well."""
    engine.connection.execute("update public.alert_rules set enabled = name = 'no_tick'")
    assert engine.call("check_alerts")["broken"] == 0
    message: str | None = engine.value("select message from public.alerts where resolved_at is null")
    return message


def repair(engine: Engine) -> dict[str, object]:
    """The statement of the runbook, run as postgres."""
    answer: dict[str, object] = engine.value("select filaviva.schedule_all()")
    return answer


# The watchdog ------------------------------------------------------------------------------------


def test_a_tick_that_is_silent_for_three_periods_is_an_alert(engine: Engine) -> None:
    engine.step_clock(timedelta(seconds=20))
    assert fires(engine) is None
    engine.step_clock(timedelta(seconds=12))
    assert re.search(r"the tick has not run for 3\d seconds", fires(engine) or "")
    engine.call("tick")
    assert fires(engine) is None


@pytest.mark.parametrize(
    "broken",
    [
        "select cron.alter_job(jobid, active := false) from cron.job where jobname = 'filaviva_prune'",
        "select cron.unschedule('filaviva_prune')",
    ],
)
def test_an_entry_that_does_not_run_is_an_alert_until_it_is_repaired(engine: Engine, broken: str) -> None:
    engine.connection.execute(broken.encode())
    assert fires(engine) == "The engine does not run as it should: cron lacks filaviva_prune."
    repair(engine)
    assert fires(engine) is None


def test_every_entry_of_ours_can_be_put_back(engine: Engine) -> None:
    entries = "select jobname, schedule, command, active from cron.job where jobname like 'filaviva%%' order by 1"
    before = engine.connection.execute(entries.encode()).fetchall()
    engine.connection.execute("select cron.unschedule(jobid) from cron.job")
    assert repair(engine)["scheduled"] == len(before)
    assert engine.connection.execute(entries.encode()).fetchall() == before
    repair(engine)
    assert engine.connection.execute(entries.encode()).fetchall() == before, "it may be repeated"


def test_no_api_role_can_repair_or_break_the_schedule(engine: Engine) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), engine.as_role("service_role"):
        engine.connection.execute("select filaviva.schedule_all()")


# The tick ----------------------------------------------------------------------------------------


def test_a_queue_that_is_broken_stops_no_other_and_is_told(engine: Engine) -> None:
    make_queue(engine, "a_broken_one")
    engine.connection.execute("alter table pgmq.q_a_broken_one rename to was_broken")
    engine.call("configure_drain", "http://127.0.0.1:9/", "token", 200)
    engine.enqueue({"kind": "task"})
    assert engine.call("tick")["kicked"] == 1
    assert "the tick met a problem with queue a_broken_one" in (fires(engine) or "")


# Repair, against a scheduler that really runs ------------------------------------------------------


@pytest.fixture
def ticks(engine: Engine) -> Iterator[Callable[[], int]]:
    """An entry that is due every second; the function answers how often it has run."""
    engine.connection.execute(
        "insert into filaviva.schedules values ('filaviva_test', '1 second', 'insert into public.ticks default values')"
    )
    engine.connection.execute("create table public.ticks (at timestamptz default clock_timestamp())")
    engine.connection.execute("select filaviva.schedule_all()")
    yield lambda: engine.value("select count(*) from public.ticks")


@pytest.fixture
async def cron(database: Database, ticks: Callable[[], int]) -> AsyncIterator[Cron]:
    scheduler = Cron(database.dsn("supabase_admin"), database.dsn)
    await scheduler.start()
    yield scheduler
    await scheduler.stop()


async def grows(ticks: Callable[[], int]) -> None:
    """Returns when another run has come."""
    before, deadline = ticks(), time.monotonic() + 10
    while ticks() == before:
        assert time.monotonic() < deadline, "cron does not run"
        await asyncio.sleep(0.02)


async def test_cron_that_a_dropped_role_has_stopped_runs_again(
    cron: Cron, database: Database, engine: Engine, ticks: Callable[[], int]
) -> None:
    role = f"gone_{database.name}"
    with database.connect("supabase_admin") as admin:
        admin.execute(f"create role {role} login".encode())
        for name in ("doomed", "lost"):
            admin.execute("select cron.schedule_in_database(%s, '@yearly', '', current_database(), %s)", (name, role))
        admin.execute(f"drop role {role}".encode())
    with pytest.raises((RuntimeError, psycopg.Error)):
        await cron.run_now("filaviva_test")
    assert f"cron has entries of dropped roles: {role}" in (fires(engine) or "")
    assert repair(engine)["orphans_dropped"] == 2
    assert engine.value("select count(*) from pg_roles where rolname = %s", role) == 0
    assert fires(engine) is None
    await grows(ticks)


async def test_cron_that_a_repeated_run_number_has_stopped_runs_again(
    cron: Cron, database: Database, engine: Engine, ticks: Callable[[], int]
) -> None:
    await grows(ticks)
    with database.connect("supabase_admin") as admin:
        admin.execute(
            "insert into cron.job_run_details (runid) select g from generate_series(1, 1000) g on conflict do nothing"
        )
        admin.execute("select setval('cron.runid_seq', 1, false)")
    with pytest.raises((RuntimeError, psycopg.Error)):
        await cron.run_now("filaviva_test")
    engine.step_clock(timedelta(seconds=31))
    assert "the tick has not run" in (fires(engine) or "")
    assert repair(engine)["history_emptied"] is True
    await grows(ticks)


async def test_cron_whose_entry_was_disabled_runs_again(cron: Cron, engine: Engine, ticks: Callable[[], int]) -> None:
    await grows(ticks)
    engine.connection.execute("select cron.alter_job(jobid, active := false) from cron.job")
    assert "cron lacks" in (fires(engine) or "")
    assert repair(engine)["history_emptied"] is False
    await grows(ticks)
