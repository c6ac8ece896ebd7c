"""pg_cron's tables, functions, messages and rights."""

import random

import psycopg
import pytest

from devstack.cron_schedule import parse_schedule
from tests.conftest import Database
from tests.unit.test_cron_schedule import ACCEPTED, REJECTED
from tests.wire.sql_support import call

EXTENSION = "pg_cron"

HINT = "Use cron format (e.g. 5 4 * * *), or interval format '[1-59] seconds'"


# The extension -----------------------------------------------------------------------------------


def test_it_lands_in_pg_catalog_and_nowhere_else(bare_database: Database) -> None:
    with bare_database.connect() as connection:
        with pytest.raises(psycopg.errors.FeatureNotSupported, match='must be installed in schema "pg_catalog"'):
            connection.execute("create extension pg_cron with schema extensions")
        connection.execute("create extension if not exists pg_cron with schema pg_catalog")
        connection.execute("create extension if not exists pg_cron")
        assert call(connection, "extversion from pg_extension where extname = 'pg_cron'") == "1.6.4"


def test_a_named_job_is_replaced_and_an_anonymous_one_is_not(postgres: psycopg.Connection) -> None:
    first = call(postgres, "cron.schedule('tick', '10 seconds', 'select 1')")
    assert call(postgres, "cron.schedule('tick', '20 seconds', 'select 2')") == first
    assert call(postgres, "cron.schedule('@hourly', '')") != call(postgres, "cron.schedule('@hourly', '')")
    rows = postgres.execute(
        "select jobname, schedule, command, nodename, nodeport, database = current_database(), username, active"
        " from cron.job order by jobid"
    ).fetchall()
    port = postgres.info.port
    anonymous = (None, "@hourly", "", "localhost", port, True, "postgres", True)
    assert rows == [("tick", "20 seconds", "select 2", "localhost", port, True, "postgres", True), anonymous, anonymous]


def test_the_anonymous_form_is_strict(postgres: psycopg.Connection) -> None:
    assert call(postgres, "cron.schedule(null, 'select 1')") is None


PIECES = [
    "*", "*", "*", "*", "*", "*/5", "*/5", "1-5", "1-5", "7", "7", "1,2",
    "mon", "JAN-mar", "0", "*/0", "1/2", "31", "60", "$", ",", "5", "seconds", "x",
]  # fmt: skip

REFUSALS = [
    ("cron.schedule('x', 'often', 'select 1')", "22023", "invalid schedule: often", HINT),
    ("cron.schedule('often', 'select 1')", "22023", "invalid schedule: often", HINT),
    ("cron.schedule(null, '@hourly', 'select 1')", "XX000", "job_name can not be NULL", None),
    ("cron.schedule('x', null, 'select 1')", "XX000", "schedule can not be NULL", None),
    ("cron.schedule('x', '@hourly', null)", "XX000", "command can not be NULL", None),
    ("cron.unschedule('x')", "XX000", "could not find valid entry for job 'x'", None),
    ("cron.unschedule(99)", "XX000", "could not find valid entry for job 99", None),
    ("cron.alter_job(99, active := false)", "XX000", "Job 99 does not exist or you don't own it", None),
    ("cron.alter_job(null)", "XX000", "job_id can not be NULL", None),
    (
        "cron.alter_job(99)", "XX000", "no updates specified",
        "You must specify at least one job attribute to change when calling alter_job",
    ),
    ("cron.alter_job(99, schedule := 'often')", "22023", "invalid schedule: often", HINT),
    ("cron.alter_job(99, username := 'anon')", "XX000", "must be superuser to alter username", None),
    (
        "cron.schedule_in_database('x', '@hourly', '', 'nowhere')", "3D000",
        'database "nowhere" does not exist', None,
    ),
    (
        "cron.schedule_in_database('x', '@hourly', '', 'postgres', 'anon')", "XX000",
        "must be superuser to create a job for another role", None,
    ),
]  # fmt: skip


def test_every_refusal_says_what_pg_cron_says(postgres: psycopg.Connection) -> None:
    for statement, *said in REFUSALS:
        with pytest.raises(psycopg.Error) as refused:
            call(postgres, str(statement))
        diag = refused.value.diag
        assert [diag.sqlstate, diag.message_primary, diag.message_hint] == said, statement


def test_a_superuser_schedules_for_roles_that_exist_and_may_log_in(
    bare_database: Database, postgres: psycopg.Connection
) -> None:
    schedule = "cron.schedule_in_database('x', '@hourly', '', current_database(), %s)"
    with bare_database.connect("supabase_admin") as admin:
        with pytest.raises(psycopg.errors.InternalError_, match='role "nobody_here" does not exist'):
            call(admin, schedule, "nobody_here")
        with pytest.raises(psycopg.errors.InternalError_, match='role "anon" can not log in'):
            call(admin, schedule, "anon")
        call(admin, schedule, "postgres")
    assert call(postgres, "username from cron.job") == "postgres"


def test_sql_and_the_scheduler_read_schedules_by_the_same_rules(postgres: psycopg.Connection) -> None:
    noise = random.Random(1)
    made = ["".join(noise.choices("0123456789*/-, $@aAnuMmo\n;sec", k=noise.randint(1, 14))) for _ in range(1000)]
    made += [" ".join(noise.choices(PIECES, k=5)) for _ in range(1000)]
    texts = [*ACCEPTED, *REJECTED, *made]
    rows = postgres.execute("select s, cron._is_schedule(s) from unnest(%s::text[]) s", (texts,)).fetchall()
    told: dict[str, bool] = dict(rows)
    assert told == {text: accepts(text) for text in texts}
    assert 20 < sum(told[text] for text in made) < 1900


def accepts(text: str) -> bool:
    try:
        parse_schedule(text)
    except ValueError:
        return False
    return True


# Whose jobs they are -----------------------------------------------------------------------------


def test_postgres_changes_jobs_by_the_functions_alone(postgres: psycopg.Connection) -> None:
    call(postgres, "cron.schedule('x', '@hourly', '')")
    for statement in (
        "insert into cron.job (schedule, command) values ('@hourly', '')",
        "update cron.job set active = false",
        "delete from cron.job",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table job"):
            postgres.execute(statement.encode())
    assert postgres.execute("delete from cron.job_run_details").rowcount == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.execute(
            "create trigger t after insert on cron.job_run_details execute function cron.job_cache_invalidate()"
        )


def test_api_roles_are_kept_out_of_the_schema(postgres: psycopg.Connection) -> None:
    for role in ("anon", "authenticated", "service_role"):
        postgres.execute(f"set role {role}".encode())
        for statement in ("select * from cron.job", "select cron.schedule('@hourly', 'select 1')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for schema cron"):
                postgres.execute(statement.encode())


def test_each_role_has_jobs_of_its_own_by_the_same_name(postgres: psycopg.Connection) -> None:
    postgres.execute("grant usage on schema cron to authenticated")
    foreign = call(postgres, "cron.schedule('x', '@hourly', 'select 1')")
    postgres.execute("set role authenticated")
    own = call(postgres, "cron.schedule('x', '@daily', 'select 2')")
    assert postgres.execute("select jobid, username from cron.job").fetchall() == [(own, "authenticated")]
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table job"):
        call(postgres, "cron.unschedule(%s::bigint)", foreign)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for function alter_job"):
        call(postgres, "cron.alter_job(%s, active := false)", own)
    assert call(postgres, "cron.unschedule('x')") is True
    postgres.execute("reset role")
    with pytest.raises(psycopg.errors.InternalError_, match="does not exist or you don't own it"):
        call(postgres, "cron.alter_job(%s, active := false)", own)
    call(postgres, "cron.alter_job(%s, schedule := '5 seconds', active := false)", foreign)
    assert postgres.execute("select jobid, schedule, active from cron.job").fetchall() == [
        (foreign, "5 seconds", False)
    ]


def test_definer_code_schedules_as_its_owner(postgres: psycopg.Connection) -> None:
    postgres.execute(
        "create function public.plan() returns bigint language sql security definer"
        " as $$ select cron.schedule('x', '@hourly', '') $$; grant execute on function public.plan() to authenticated"
    )
    postgres.execute("set role authenticated")
    call(postgres, "public.plan()")
    postgres.execute("reset role")
    assert call(postgres, "username from cron.job") == "postgres"
