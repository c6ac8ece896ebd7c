"""The runbook of alerts: every kind has its line, and its statements run as they stand there."""

import re

import pytest

from tests.conftest import REPOSITORY, Database

PAGE = (REPOSITORY / "docs" / "alerts.md").read_text()
STATEMENTS = sorted(set(re.findall(r"(?:select|delete|rollback) [^`]*?;", PAGE)))


def test_every_kind_of_rule_has_its_line(database: Database) -> None:
    with database.connect() as connection:
        kinds = {row[0] for row in connection.execute("select kind from public.alert_rules")}
    assert len(kinds) == 7
    assert {kind for kind in kinds if f"| `{kind}` |" not in PAGE} == set()


@pytest.mark.parametrize("statement", [s for s in STATEMENTS if not s.startswith("rollback")])
def test_every_statement_of_the_page_runs(database: Database, statement: str) -> None:
    with database.connect() as connection:
        connection.execute("select public.create_queue('work'), public.create_queue('messages')")
        connection.execute("select public.register_kind('task', '{\"queue\": \"work\"}')")
        [[job]] = connection.execute(
            "select public.enqueue_jobs('[{\"kind\": \"task\"}]') -> 0 ->> 'job_id'"
        ).fetchall()
        connection.execute("update public.jobs set status = 'unconfirmed', finished_at = now()")
        connection.execute(statement.replace("<id>", job).replace("<pid>", "0").replace("…", "x").encode())
