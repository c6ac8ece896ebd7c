"""Closed by default: who may call and see what, taken from the catalogue, so that nothing slips in."""

import json
import uuid

import psycopg
import pytest

from tests.sql.conftest import Engine

CALLABLE = {
    "anon": set(),
    "authenticated": {
        "cancel_jobs",
        "create_company",
        "disconnect_account",
        "enqueue_jobs",
        "limit_queue",
        "limpar_queue_jobs_antigos",
        "my_rate_limits",
        "pause_queue",
        "prune_jobs",
        "purge_queue",
        "queue_metrics",
        "queue_stats",
        "rate_limit_status",
        "redrive_jobs",
        "resolve_job",
        "resume_queue",
        "set_alert_rule",
        "set_company_member",
        "set_rate_limiter",
        "why_waiting",
    },
    "service_role": {
        "abandon_refresh",
        "account_credentials",
        "announce_worker",
        "begin_connection",
        "begin_refresh",
        "cancel_jobs",
        "check_alerts",
        "claim_job",
        "claim_jobs",
        "commit_job",
        "configure_drain",
        "connect_account",
        "cool_down",
        "count_due_jobs",
        "create_company",
        "create_queue",
        "diagnose",
        "disconnect_account",
        "dismiss_worker",
        "due_queues",
        "enqueue_jobs",
        "extend_leases",
        "get_next_queue_message",
        "kick_queue",
        "limit_queue",
        "limpar_queue_jobs_antigos",
        "mark_reconnect",
        "probe_answer",
        "probe_drain",
        "process_publication_jobs",
        "register_kind",
        "pause_queue",
        "prune_jobs",
        "purge_queue",
        "queue_metrics",
        "queue_stats",
        "rate_limit_status",
        "record_runs",
        "redrive_jobs",
        "rescue_jobs",
        "resolve_job",
        "resume_queue",
        "set_alert_rule",
        "set_company_member",
        "set_rate_limiter",
        "settle_and_claim",
        "settle_jobs",
        "store_refreshed",
        "take_connection",
        "tick",
        "usual_run_seconds",
        "why_waiting",
    },
}
READABLE = {
    "alert_rules",
    "alerts",
    "companies",
    "company_members",
    "job_attempts",
    "jobs",
    "kinds",
    "queue_limits",
    "queues",
    "rate_limiters",
    "social_accounts",
}
SEED_VIEWS = {"failed_messages", "message_queue", "message_queue_items", "publication_jobs", "queue_jobs"}
WRITABLE = {
    "anon": set(),
    "authenticated": {("public", "publication_jobs", "insert")},
    "service_role": {
        ("public", "failed_messages", "insert"),
        ("public", "message_queue", "update"),
        ("public", "publication_jobs", "insert"),
    },
}
"""Views whose triggers turn what is written into calls of the engine."""


@pytest.mark.parametrize("role", list(CALLABLE))
def test_the_functions_a_role_may_call_are_these(engine: Engine, role: str) -> None:
    rows = engine.connection.execute(
        "select p.proname from pg_proc p where p.pronamespace = 'public'::regnamespace"
        " and has_function_privilege(%s, p.oid, 'execute')",
        (role,),
    )
    assert {row[0] for row in rows} == CALLABLE[role]


def test_no_api_role_may_run_an_engine_function_that_has_no_wrapper(engine: Engine) -> None:
    rows = engine.connection.execute(
        "select distinct p.proname from pg_proc p, unnest(array['anon', 'authenticated', 'service_role']) as r(role)"
        " where p.pronamespace = 'filaviva'::regnamespace and has_schema_privilege(r.role, 'filaviva', 'usage')"
        " and has_function_privilege(r.role, p.oid, 'execute')"
        " and not exists (select from pg_proc w"
        "   where w.pronamespace = 'public'::regnamespace and w.proname = p.proname)"
    )
    assert {row[0] for row in rows} == {"fail", "is_operator", "is_trusted", "may_use_topic", "my_companies"}, (
        "policies and invoker code call these"
    )


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_tables_are_read_only_for_every_api_role(engine: Engine, role: str) -> None:
    rows = engine.connection.execute(
        "select n.nspname, c.relname, p.privilege from pg_class c join pg_namespace n on n.oid = c.relnamespace,"
        " unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as p(privilege)"
        " where n.nspname in ('public', 'filaviva', 'pgmq') and c.relkind in ('r', 'p', 'v', 'm')"
        " and has_table_privilege(%s, c.oid, p.privilege)",
        (role,),
    ).fetchall()
    readable = set() if role == "anon" else {("public", table, "select") for table in READABLE | SEED_VIEWS}
    assert set(rows) == readable | WRITABLE[role]


def test_every_table_has_row_level_security(engine: Engine) -> None:
    rows = engine.connection.execute(
        "select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'p') and not c.relrowsecurity"
        " and c.relnamespace in ('public'::regnamespace, 'filaviva'::regnamespace)"
    ).fetchall()
    assert rows == []


def test_every_function_has_an_empty_search_path(engine: Engine) -> None:
    rows = engine.connection.execute(
        "select p.oid::regprocedure::text from pg_proc p"
        " where p.pronamespace in ('public'::regnamespace, 'filaviva'::regnamespace)"
        " and not coalesce('search_path=\"\"' = any (p.proconfig), false)"
    ).fetchall()
    assert rows == []


def test_definer_code_lives_in_the_private_schema_alone(engine: Engine) -> None:
    rows = engine.connection.execute(
        "select p.proname from pg_proc p where p.pronamespace = 'public'::regnamespace and p.prosecdef"
    ).fetchall()
    assert rows == []


def test_users_see_their_own_jobs_and_attempts_only(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    [made] = engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    engine.settle(engine.claim_one(), "retry", error={"code": "x", "message": "y"})
    for user, seen in ((alice, 1), (bob, 0)):
        with engine.as_role("authenticated", {"role": "authenticated", "sub": str(user)}):
            assert engine.value("select count(*) from public.jobs") == seen
            attempts = "select count(*) from public.job_attempts where job_id = %s"
            assert engine.value(attempts, made["job_id"]) == seen


def test_operators_see_every_owners_jobs(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    claims = {"role": "authenticated", "sub": str(bob), "app_metadata": {"filaviva_role": "operator"}}
    with engine.as_role("authenticated", claims):
        assert engine.value("select count(*) from public.jobs") == 1
        seen = engine.value("select count(*) from public.queues")
    assert seen == engine.value("select count(*) from public.queues")


def test_user_metadata_makes_nobody_an_operator(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    claims = {"role": "authenticated", "sub": str(bob), "user_metadata": {"filaviva_role": "operator"}}
    with engine.as_role("authenticated", claims):
        assert engine.value("select count(*) from public.jobs") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "update public.jobs set user_id = auth.uid()",
        "delete from public.jobs",
        "insert into public.jobs (queue, kind, max_attempts, timeout_seconds) values ('work', 'task', 3, 60)",
        "select * from vault.decrypted_secrets",
        "select * from filaviva.job_checkpoints",
        "select filaviva.secret('filaviva_drain_token')",
        "select pgmq.send('work', '{}')",
    ],
)
def test_a_user_changes_nothing_but_through_the_functions(engine: Engine, alice: uuid.UUID, statement: str) -> None:
    claims = {"role": "authenticated", "sub": str(alice)}
    with pytest.raises(psycopg.errors.InsufficientPrivilege), engine.as_role("authenticated", claims):
        engine.connection.execute(statement)


def test_accounts_are_connected_without_showing_their_tokens(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    engine.call("connect_account", alice, "tiktok", "open-1", "Alice", {"access_token": "canary-1"})
    engine.call("connect_account", alice, "tiktok", "open-2", "Alice", {"access_token": "canary-2"})
    credentials = engine.call("account_credentials", alice, "tiktok")
    assert (credentials["external_id"], credentials["access_token"]) == ("open-2", "canary-2")
    assert engine.call("account_credentials", bob, "tiktok") is None
    for user, seen in ((alice, 1), (bob, 0)):
        with engine.as_role("authenticated", {"role": "authenticated", "sub": str(user)}):
            rows = engine.connection.execute("select to_jsonb(a) from public.social_accounts a").fetchall()
        assert len(rows) == seen
        assert "canary" not in json.dumps(rows)
    assert engine.value("select count(*) from vault.secrets where secret like '%%canary%%'") == 0


def test_an_account_that_goes_takes_its_secret_along(engine: Engine, alice: uuid.UUID) -> None:
    engine.call("connect_account", alice, "tiktok", "open-1", "Alice", {"access_token": "canary"})
    engine.connection.execute("delete from public.social_accounts")
    assert engine.value("select count(*) from vault.secrets where name like 'social_account:%%'") == 0
