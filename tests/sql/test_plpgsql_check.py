"""What PL/pgSQL itself looks at only when a line runs: names, types, columns of every function, by plpgsql_check."""

import pytest

from tests.conftest import Database

SCHEMAS = ["filaviva", "public"]


def test_every_function_passes_plpgsql_check(database: Database) -> None:
    with database.connect("supabase_admin") as admin:
        if not admin.execute("select 1 from pg_available_extensions where name = 'plpgsql_check'").fetchone():
            pytest.skip(
                "plpgsql_check is not installed (Debian: postgresql-15-plpgsql-check, and DEVSTACK_POSTGRES_BIN)"
            )
        admin.execute("create extension plpgsql_check with schema extensions")
        checked = admin.execute(
            "select p.oid::regprocedure::text, coalesce(t.tgrelid, 0)::int, p.oid::int,"
            "  p.prorettype = 'trigger'::regtype and t.oid is null as unused"
            " from pg_proc p join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'"
            " left join pg_trigger t on t.tgfoid = p.oid and not t.tgisinternal"
            " where p.pronamespace::regnamespace::text = any (%s)",
            (SCHEMAS,),
        ).fetchall()
        assert len(checked) > 20
        assert [name for name, _, _, unused in checked if unused] == [], "trigger functions of no table"
        errors = [
            f"{name}, line {row[0]}: {row[1]} ({row[2]})"
            for name, relation, oid, _ in checked
            for row in admin.execute(
                "select lineno, message, statement from extensions.plpgsql_check_function_tb(%s::oid, %s::oid)"
                " where level = 'error'",
                (oid, relation),
            )
        ]
    assert errors == []
