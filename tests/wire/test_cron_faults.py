"""Faults thrown into pg_cron's scheduler, and steps of its clock."""

from datetime import UTC, datetime

import psycopg
import pytest

from devstack.cron import Cron
from devstack.faults import Faults
from tests.wire.sql_support import call, runs, until

EXTENSION = "pg_cron"


def outcomes(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return [(run["status"], run["return_message"]) for run in runs(connection)]


async def test_a_refused_run_fails_and_the_next_one_does_not(
    cron: Cron, postgres: psycopg.Connection, faults: Faults
) -> None:
    faults.cron.refuse()
    call(postgres, "cron.schedule('x', '1 second', 'select 1')")
    await until(lambda: outcomes(postgres)[:2] == [("failed", "connection failed"), ("succeeded", "1 row")])
    assert runs(postgres)[0]["start_time"] is None


async def test_a_skipped_run_leaves_no_trace(cron: Cron, postgres: psycopg.Connection, faults: Faults) -> None:
    faults.cron.skip()
    call(postgres, "cron.schedule('x', '@yearly', 'select 1')")
    assert (await cron.run_now("x")).status == "skipped"
    assert runs(postgres) == []
    assert (await cron.run_now("x")).status == "succeeded"


@pytest.mark.usefixtures("cron")
async def test_no_job_runs_while_the_launcher_is_dead(
    postgres: psycopg.Connection, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    call(postgres, "cron.schedule('x', '1 second', 'select pg_sleep(60)')")
    await until(lambda: [run["status"] for run in runs(postgres)] == ["running"])
    faults.cron.kill_launcher()
    await until(lambda: caplog.text.count("fault: dead") >= 2)
    assert [run["status"] for run in runs(postgres)] == ["running"]
    call(postgres, "cron.alter_job(1, command := 'select 1')")
    faults.cron.revive_launcher()
    await until(lambda: ("succeeded", "1 row") in outcomes(postgres))
    assert outcomes(postgres)[0] == ("failed", "server restarted")


@pytest.mark.usefixtures("cron")
async def test_a_clock_stepped_back_silences_an_interval_until_it_has_caught_up(
    postgres: psycopg.Connection, faults: Faults
) -> None:
    call(postgres, "cron.schedule('x', '1 second', 'select 1')")
    await until(lambda: runs(postgres))
    faults.cron.step_clock(-60)
    call(postgres, "cron.schedule('witness', '1 second', 'select 2')")  # planned by the new clock, so it runs
    before = sum(run["command"] == "select 1" for run in runs(postgres))
    await until(lambda: sum(run["command"] == "select 2" for run in runs(postgres)) >= 2)
    assert sum(run["command"] == "select 1" for run in runs(postgres)) <= before + 1
    faults.cron.step_clock(+60)
    silent = len(runs(postgres))
    await until(lambda: any(run["command"] == "select 1" for run in runs(postgres)[silent:]))


async def test_a_clock_stepped_forward_makes_one_run_and_no_burst(
    cron: Cron, postgres: psycopg.Connection, faults: Faults
) -> None:
    call(postgres, "cron.schedule('interval', '59 seconds', 'select 1')")
    call(postgres, "cron.schedule('minutes', '* * * * *', 'select 2')")
    await cron.run_now("interval")
    faults.cron.step_clock(480)
    await until(lambda: [run["command"] for run in runs(postgres)].count("select 1") == 2)
    await until(lambda: "select 2" in [run["command"] for run in runs(postgres)])
    await cron.run_now("minutes")  # by now whatever was due at once has been started
    commands = [run["command"] for run in runs(postgres)]
    assert commands.count("select 1") == 2
    assert commands.count("select 2") <= 3  # one for the step, one by name, one if a true minute turned just now


@pytest.mark.parametrize(
    ("schedule", "moment"),
    [
        ("0 0 * * *", datetime(2026, 12, 31, 23, 59, 58, 500_000, tzinfo=UTC)),
        ("0 0 1 1 *", datetime(2026, 12, 31, 23, 59, 58, 500_000, tzinfo=UTC)),
        ("0 0 $ * *", datetime(2028, 2, 28, 23, 59, 58, 500_000, tzinfo=UTC)),
        ("0 2 * * *", datetime(2027, 3, 28, 1, 59, 58, 500_000, tzinfo=UTC)),  # a night of the change to summer time
    ],
)
@pytest.mark.usefixtures("cron")
async def test_a_clock_can_be_set_before_midnight_or_a_change_of_time(
    postgres: psycopg.Connection, faults: Faults, schedule: str, moment: datetime
) -> None:
    call(postgres, "cron.schedule('night', %s, 'select 1')", schedule)
    faults.cron.set_clock(moment)
    await until(lambda: outcomes(postgres) == [("succeeded", "1 row")])


def test_a_moment_without_a_time_zone_is_refused(faults: Faults) -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        faults.cron.set_clock(datetime(2026, 1, 1))
