"""The doctor's eye on a database: break one thing, see the finding, run its printed next step, see it gone."""

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from filaviva.cli.doctor.drain import examine_secrets
from filaviva.cli.doctor.findings import Facts, Finding, Level
from filaviva.cli.doctor.needs import FUNCTIONS, LIVE_TABLES, NEEDS, TABLES
from filaviva.cli.doctor.schedules import examine_schedules, period_seconds
from filaviva.cli.doctor.structure import examine_structure
from filaviva.cli.doctor.work import examine_work
from tests.conftest import REPOSITORY, Database

HEALTHY = """
select configure_drain('https://functions.example/api/queue/process', 'secret-of-the-drain');
select public.tick();
"""
A_JOB = 'select enqueue_jobs(\'[{"kind": "canary"}]\');'
LONG_AGO = """
insert into cron.job_run_details (jobid, runid, status, start_time, end_time, return_message)
select jobid, %s, %s, now() - %s::interval, now() - %s::interval, %s from cron.job where jobname = 'filaviva_tick'
"""


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    """Of role postgres, to a project that is well."""
    with database.connect() as open_connection:
        open_connection.execute(HEALTHY.encode())
        yield open_connection


def diagnose(connection: psycopg.Connection) -> Facts:
    """The facts as the service role is told them."""
    with connection.transaction():
        connection.execute("set local role service_role")
        [facts] = connection.execute("select public.diagnose(%s)", (json.dumps(NEEDS),)).fetchone() or [None]
    assert isinstance(facts, dict)
    return facts


def examine(connection: psycopg.Connection) -> list[Finding]:
    """Everything that the facts show."""
    facts = diagnose(connection)
    examinations = (examine_structure, examine_schedules, examine_secrets, examine_work)
    return [finding for examination in examinations for finding in examination(facts)]


def bad(connection: psycopg.Connection) -> list[Finding]:
    """What is not well."""
    return [finding for finding in examine(connection) if finding.level is not Level.OK]


def test_a_healthy_project_is_all_ok(connection: psycopg.Connection) -> None:
    findings = examine(connection)
    assert [finding for finding in findings if finding.level is not Level.OK] == []
    assert {finding.subject for finding in findings} == {
        "migrations", "extensions", "row security", "publication", "private topics", "tick", "schedules", "secrets",
        "pg_net", "queues", "leases", "workers", "accounts", "alerts", "connections", "transactions",
    }  # fmt: skip


BROKEN = {
    "publication": ("alter publication supabase_realtime drop table public.jobs", "problem", "public.jobs is not in"),
    "no publication": ("drop publication supabase_realtime", "problem", "there is no publication"),
    "events": ("alter publication supabase_realtime set (publish = 'insert')", "problem", "leaves out"),
    "identity": ("alter table public.alerts replica identity nothing", "problem", "no replica identity"),
    "hear": (
        'drop policy "users hear topics that are theirs" on realtime.messages',
        "problem",
        "no policy lets users hear them",
    ),
    "speak": (
        'drop policy "users speak on topics that are theirs" on realtime.messages',
        "problem",
        "no policy lets users speak",
    ),
    "rls": ("alter table public.queues disable row level security", "problem", "public.queues has no row level"),
    "unscheduled": ("select cron.unschedule('filaviva_prune')", "problem", "no entry filaviva_prune"),
    "inactive": (
        "select cron.alter_job(jobid, active := false) from cron.job where jobname = 'filaviva_sweep'",
        "problem",
        "filaviva_sweep is switched off",
    ),
    "changed": (
        "select cron.alter_job(jobid, schedule := '1 hour') from cron.job where jobname = 'filaviva_sample'"
        .replace("1 hour", "0 * * * *"),
        "warning",
        "filaviva_sample has another schedule",
    ),
    "silent tick": ("update filaviva.heartbeats set at = at - interval '5 minutes'", "problem", "silent for"),
    "tick": ("update filaviva.heartbeats set problem = 'queue x: lock'", "problem", "it met: queue x: lock"),
    "secret": ("delete from vault.secrets where name = 'filaviva_drain_token'", "problem", "lacks filaviva_drain_t"),
    "paused": (f"{A_JOB} select pause_queue('canary')", "warning", "canary has been paused for"),
    "lease": (
        f"{A_JOB} select claim_jobs('canary', 1, 'w', gen_random_uuid());"
        " update public.jobs set lease_expires_at = now() - interval '1 minute'",
        "problem",
        "1 in canary",
    ),
    "worker": (
        "select announce_worker('it''s', null, false); update filaviva.workers set seen_at = now() - interval '20 s'",
        "warning",
        "it's has been silent for",
    ),
    "rule": ("update public.alert_rules set problem = 'no such table' where name = 'no_tick'", "warning", "no such"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found_and_its_next_step_mends_it(connection: psycopg.Connection, name: str) -> None:
    statement, level, words = BROKEN[name]
    connection.execute(statement.encode())
    [finding] = bad(connection)
    assert (finding.level, words in finding.english) == (level, True), finding
    assert finding.portuguese != finding.english
    step = finding.step.replace("<functions>", "functions.example").replace("<CRON_SECRET>", "secret")
    assert ";" in step
    connection.execute(step.encode())
    if name == "silent tick":
        connection.execute("select public.tick()")  # cron does, now that it has its entry again
    assert bad(connection) == []


@pytest.mark.parametrize(
    ("statement", "level", "words"),
    [
        ("drop policy \"operators read alerts\" on public.alerts", "problem", "public.alerts has no policy"),
        ("drop function public.why_waiting(uuid)", "problem", "missing in schema public: why_waiting()"),
        ("drop table public.companies cascade", "problem", "missing in schema public: companies"),
        ("drop extension pg_net cascade", "problem", "pg_net is not there"),
        ("insert into public.alerts (rule, kind, message, opened_at) values ('no_tick', 'no_tick', 'Oh.', now())",
         "warning", "no_tick: Oh."),
        ("insert into auth.users (id, email) values ('00000000-0000-0000-0000-000000000001', 'a@b.example');"
         " select connect_account('00000000-0000-0000-0000-000000000001', 'tiktok', 'x', 'X',"
         " '{\"access_token\": \"t\"}');"
         " update public.social_accounts set status = 'reconnect', reconnect_reason = 'token_revoked'",
         "warning", "1 tiktok (token_revoked)"),
        (f"{A_JOB} update public.jobs set updated_at = now() - interval '2 minutes'", "problem", "nobody asks for it"),
    ],
)  # fmt: skip
def test_what_no_statement_mends_is_found_as_well(
    connection: psycopg.Connection, statement: str, level: str, words: str
) -> None:
    connection.execute(statement.encode())
    [finding] = [one for one in bad(connection) if words in one.english]
    assert finding.level == level
    assert finding.step


def test_a_subject_that_cannot_be_looked_at_hides_no_other(connection: psycopg.Connection) -> None:
    connection.execute("drop table filaviva.heartbeats cascade")
    unknown = {one.subject: one.english for one in bad(connection)}
    assert list(unknown) == ["schedules"]
    assert "heartbeats" in unknown["schedules"]


def run_of_tick(connection: psycopg.Connection, number: int, status: str, ago: str, message: str = "") -> None:
    connection.execute(LONG_AGO, (number, status, ago, ago, message))


def test_a_schedule_that_fails_is_named_with_its_message(database: Database, connection: psycopg.Connection) -> None:
    with database.connect("supabase_admin") as admin:
        run_of_tick(admin, 900_001, "succeeded", "20 s", "1 row")
        run_of_tick(admin, 900_002, "failed", "10 s", "ERROR: out of luck")
        [finding] = bad(connection)
        assert (finding.level, "failed 1 times" in finding.english) == (Level.PROBLEM, True)
        assert "out of luck" in finding.english
        assert connection.execute(finding.step.encode()).fetchall()
        run_of_tick(admin, 900_003, "succeeded", "1 s", "1 row")
    [later] = bad(connection)
    assert later.level is Level.WARNING


def test_a_schedule_without_success_for_three_periods_is_a_problem(
    database: Database, connection: psycopg.Connection
) -> None:
    with database.connect("supabase_admin") as admin:
        run_of_tick(admin, 900_001, "succeeded", "40 s", "1 row")
    silent = [one.english for one in bad(connection)]
    assert any(re.match(r"filaviva_tick \(10 seconds\) has not succeeded for 4\d s", text) for text in silent)


def test_a_living_worker_needs_no_drain(connection: psycopg.Connection) -> None:
    connection.execute("delete from vault.secrets")
    connection.execute("select announce_worker('w', null, false)")
    assert bad(connection) == []


def test_an_old_transaction_comes_with_the_statement_that_ends_it(
    database: Database, connection: psycopg.Connection
) -> None:
    facts = diagnose(connection)
    assert facts["server"]["old_transaction"] is None
    facts["server"]["old_transaction"] = {"message": "Old.", "details": {"pid": 17, "prepared": None}}
    [finding] = [one for one in examine_work(facts) if one.level is not Level.OK]
    assert finding.step == "select pg_terminate_backend(17);"
    facts["server"] |= {"old_transaction": None, "connections": 196}
    [finding] = [one for one in examine_work(facts) if one.level is not Level.OK]
    assert (finding.level, finding.english) == (Level.PROBLEM, "196 of 200 connections are taken")


def test_no_secret_is_told(connection: psycopg.Connection) -> None:
    told = json.dumps(diagnose(connection))
    assert "secret-of-the-drain" not in told
    assert "functions.example" not in told


def test_the_probe_calls_the_drain_for_no_queue(connection: psycopg.Connection) -> None:
    [request] = connection.execute("select public.probe_drain()").fetchone() or [None]
    with_queue = "select convert_from(body, 'UTF8')::jsonb, url from net.http_request_queue where id = %s"
    assert connection.execute(with_queue, (request,)).fetchone() == (
        {"queues": []},
        "https://functions.example/api/queue/process",
    )
    connection.execute("delete from vault.secrets")
    assert connection.execute("select public.probe_drain()").fetchone() == (None,)


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [("4 seconds", 4), ("*/5 * * * *", 300), ("0 */6 * * *", 21_600), ("0 2 * * *", 86_400), ("* * * * *", 60)],
)
def test_the_length_of_a_period_is_read_from_the_schedule(schedule: str, seconds: float) -> None:
    assert period_seconds(schedule) == seconds


def test_what_is_needed_is_what_the_library_and_the_worker_name(connection: psycopg.Connection) -> None:
    called: set[str] = set()
    for file in ("client/filaviva/rpc.py", "functions/worker/ledger.py"):
        called |= set(re.findall(r"call\(\s*\"(\w+)\"", (REPOSITORY / file).read_text()))
    assert len(called) > 20
    assert called - FUNCTIONS == set(), "enter them in client/filaviva/cli/doctor/needs.py"
    statement = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
    rows: list[Any] = connection.execute(statement).fetchall()
    assert {row[0] for row in rows} == TABLES, "enter them in client/filaviva/cli/doctor/needs.py"
    published = (
        "select tablename from pg_publication_tables where pubname = 'supabase_realtime' and schemaname = 'public'"
    )
    assert {row[0] for row in connection.execute(published.encode()).fetchall()} == LIVE_TABLES
