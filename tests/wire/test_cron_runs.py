"""The scheduler of pg_cron's jobs, at work on a real database."""

from datetime import datetime

import psycopg
import pytest

from devstack.cron import Cron
from tests.conftest import Database
from tests.wire.sql_support import call, runs, until

EXTENSION = "pg_cron"

OUTCOMES = [
    ("select 1", "succeeded", "1 row"),
    ("select 1 where false", "succeeded", "0 rows"),
    ("create table made (n int)", "succeeded", "CREATE TABLE"),
    ("create table two (n int); insert into two select generate_series(1, 2); table two", "succeeded", "2 rows"),
    ("do $$ begin end $$", "succeeded", "DO"),
    ("", "succeeded", "0 rows"),
    ("select 1/0", "failed", "ERROR:  division by zero\n"),
    ("copy (select 1) to stdout", "failed", "COPY not supported"),
]


async def test_a_run_is_recorded_with_its_outcome(cron: Cron, postgres: psycopg.Connection) -> None:
    for command, *outcome in OUTCOMES:
        jobid = call(postgres, "cron.schedule('x', '@yearly', %s)", command)
        result = await cron.run_now("x")
        assert [result.status, result.message] == outcome
        run = runs(postgres)[-1]
        assert (run["jobid"], run["command"], run["username"]) == (jobid, command, "postgres")
        assert [run["status"], run["return_message"]] == outcome
        assert run["job_pid"] > 0
        assert run["end_time"] >= run["start_time"]


async def test_a_run_logs_in_as_the_job_s_owner_and_is_one_transaction(
    cron: Cron, postgres: psycopg.Connection
) -> None:
    postgres.execute("create table seen (session_user_name text, current_user_name text)")
    call(
        postgres, "cron.schedule('x', '@yearly', %s)",
        "insert into seen values (session_user, current_user); select 1/0",
    )  # fmt: skip
    await cron.run_now("x")
    assert postgres.execute("select * from seen").fetchall() == []
    call(postgres, "cron.schedule('x', '@yearly', 'insert into seen values (session_user, current_user)')")
    await cron.run_now("x")
    assert postgres.execute("select * from seen").fetchall() == [("postgres", "postgres")]


async def test_a_job_whose_role_cannot_log_in_fails(cron: Cron, postgres: psycopg.Connection) -> None:
    postgres.execute("grant usage on schema cron to service_role; set role service_role")
    call(postgres, "cron.schedule('x', '@yearly', 'select 1')")
    postgres.execute("reset role")
    await cron.run_now("x")
    (run,) = runs(postgres)
    assert (run["status"], run["return_message"], run["start_time"]) == ("failed", "connection failed", None)


async def test_only_active_jobs_are_run_by_name(cron: Cron, postgres: psycopg.Connection) -> None:
    jobid = call(postgres, "cron.schedule('x', '1 second', 'select 1')")
    call(postgres, "cron.alter_job(%s, active := false)", jobid)
    with pytest.raises(LookupError, match="no active job is named 'x'"):
        await cron.run_now("x")


async def test_a_job_of_one_second_runs_every_second(cron: Cron, postgres: psycopg.Connection) -> None:
    scheduled_at: datetime = call(postgres, "clock_timestamp()")
    call(postgres, "cron.schedule('x', '1 second', 'select 1')")
    await until(lambda: len(runs(postgres)) >= 2 and runs(postgres)[1]["end_time"])
    first, second = runs(postgres)[:2]
    assert (first["start_time"] - scheduled_at).total_seconds() >= 1
    assert (second["start_time"] - first["start_time"]).total_seconds() == pytest.approx(1, abs=0.5)


async def test_a_job_never_overlaps_itself_and_one_missed_run_follows_at_once(
    cron: Cron, postgres: psycopg.Connection
) -> None:
    call(postgres, "cron.schedule('x', '1 second', 'select pg_sleep(2.5)')")
    await until(lambda: len(runs(postgres)) >= 2 and runs(postgres)[1]["start_time"])
    first, second = runs(postgres)
    assert first["status"] == "succeeded"
    assert 0 <= (second["start_time"] - first["end_time"]).total_seconds() < 0.5


async def test_unscheduling_cuts_off_the_run(cron: Cron, postgres: psycopg.Connection) -> None:
    call(postgres, "cron.schedule('x', '1 second', 'select pg_sleep(60)')")
    await until(lambda: any(run["status"] == "running" for run in runs(postgres)))
    call(postgres, "cron.unschedule('x')")
    await until(lambda: runs(postgres)[0]["status"] == "failed")
    (run,) = runs(postgres)
    assert (run["return_message"], run["end_time"]) == ("job canceled", None)
    assert not call(
        postgres, "exists (select from pg_stat_activity where query like '%pg_sleep(60)' and pid <> pg_backend_pid())"
    )


async def test_a_run_that_a_restart_cut_off_is_recorded_and_not_run_again(
    bare_database: Database, postgres: psycopg.Connection
) -> None:
    call(postgres, "cron.schedule('x', '1 second', 'select pg_sleep(60)')")
    first = Cron(bare_database.dsn("supabase_admin"), bare_database.dsn)
    await first.start()
    await until(lambda: any(run["status"] == "running" for run in runs(postgres)))
    await first.stop()
    second = Cron(bare_database.dsn("supabase_admin"), bare_database.dsn)
    await second.start()
    (run,) = runs(postgres)
    assert (run["status"], run["return_message"], run["end_time"]) == ("failed", "server restarted", None)
    await second.stop()


async def test_a_reboot_job_runs_once_at_the_start(bare_database: Database, postgres: psycopg.Connection) -> None:
    call(postgres, "cron.schedule('@reboot', 'select 1')")
    scheduler = Cron(bare_database.dsn("supabase_admin"), bare_database.dsn)
    await scheduler.start()
    await until(lambda: [run["status"] for run in runs(postgres)] == ["succeeded"])
    await scheduler.stop()


async def test_the_extension_may_come_after_the_scheduler(bare_database: Database) -> None:
    scheduler = Cron(bare_database.dsn("supabase_admin"), bare_database.dsn)
    await scheduler.start()
    with bare_database.connect() as connection:
        connection.execute("create extension pg_cron")
        call(connection, "cron.schedule('x', '1 second', 'select 1')")
        await until(lambda: runs(connection))
    await scheduler.stop()


async def test_a_lost_connection_is_survived(cron: Cron, bare_database: Database, postgres: psycopg.Connection) -> None:
    with bare_database.connect("supabase_admin") as admin:
        lost = admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'pg_cron scheduler' and datname = current_database()"
        ).fetchall()
    assert len(lost) == 2
    call(postgres, "cron.schedule('x', '1 second', 'select 1')")
    await until(lambda: runs(postgres))


async def test_a_job_of_a_dropped_role_stops_all_jobs_until_it_is_deleted(
    cron: Cron, bare_database: Database, postgres: psycopg.Connection
) -> None:
    role = f"gone_{bare_database.name}"
    with bare_database.connect("supabase_admin") as admin:
        admin.execute(f"create role {role} login password 'postgres'".encode())
        call(admin, "cron.schedule_in_database('doomed', '@yearly', '', current_database(), %s)", role)
        admin.execute(f"drop role {role}".encode())
        call(postgres, "cron.schedule('x', '1 second', 'select 1')")
        with pytest.raises((RuntimeError, psycopg.Error)):
            await cron.run_now("x")
        admin.execute("delete from cron.job where jobname = 'doomed'")
    await until(lambda: runs(postgres))


async def test_a_run_number_used_twice_stops_all_jobs_until_the_history_is_emptied(
    cron: Cron, bare_database: Database, postgres: psycopg.Connection
) -> None:
    call(postgres, "cron.schedule('x', '@yearly', 'select 1')")
    await cron.run_now("x")
    with bare_database.connect("supabase_admin") as admin:
        call(admin, "setval('cron.runid_seq', 1, false)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            await cron.run_now("x")
        admin.execute("truncate cron.job_run_details")
    call(postgres, "cron.schedule('y', '1 second', 'select 1')")
    await until(lambda: runs(postgres))


async def test_no_more_runs_go_on_at_once_than_allowed(bare_database: Database, postgres: psycopg.Connection) -> None:
    for name in ("x", "y"):
        call(postgres, "cron.schedule(%s, '1 second', 'select pg_sleep(0.4)')", name)
    scheduler = Cron(bare_database.dsn("supabase_admin"), bare_database.dsn, max_running=1)
    await scheduler.start()
    await until(lambda: len(runs(postgres)) > 2 and runs(postgres)[2]["end_time"])
    await scheduler.stop()
    first, second, third = runs(postgres)[:3]
    assert first["end_time"] <= second["start_time"] < second["end_time"] <= third["start_time"]
    assert {first["jobid"], second["jobid"]} == {1, 2}
