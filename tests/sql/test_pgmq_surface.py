"""Hosted projects have pgmq 1.5.1, devstack has a newer one: the migrations may use only what both have."""

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from devstack.migrations import apply_migrations, find_migrations
from tests.conftest import MIGRATIONS, Database
from tests.sql.conftest import Engine, make_queue, make_user
from tests.sql.oldest_pgmq import COLUMNS, FUNCTIONS, HELPERS, functions, install_oldest_pgmq

DEFAULTS = {"read": 1, "read_with_poll": 3}
"""How many parameters at the end a call may leave out."""
RELATIONS = {"meta", "message_record", "metrics_result", "queue_record"}
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_USE = re.compile(r'\bpgmq\."?(\w+|%\w)"?\s*(\()?')


@pytest.fixture
def hosted(bare_database: Database) -> Iterator[Engine]:
    """The engine of `engine`, on pgmq 1.5.1."""
    with bare_database.connect("supabase_admin") as admin:
        install_oldest_pgmq(admin)
    apply_migrations(bare_database.dsn(), find_migrations(MIGRATIONS))
    with bare_database.connect() as connection:
        engine = Engine(connection)
        make_queue(engine, "work")
        yield engine


def test_the_stand_in_has_the_functions_and_columns_of_1_5_1_and_no_others(bare_database: Database) -> None:
    with bare_database.connect("supabase_admin") as admin:
        install_oldest_pgmq(admin)
        admin.execute("select pgmq.create('some')")
        found = {signature for name, signature in functions(admin) if name not in HELPERS}
        columns = {
            name: [
                row[0]
                for row in admin.execute(
                    "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
                    " order by attnum",
                    (f"pgmq.{'q_some' if name == 'q_' else name}",),
                )
            ]
            for name in COLUMNS
        }
    assert found == FUNCTIONS
    assert columns == COLUMNS


def test_a_job_goes_through_its_whole_life_on_the_oldest_pgmq(hosted: Engine) -> None:
    assert hosted.value("select extversion from pg_extension where extname = 'pgmq'") == "1.5.1"
    done, again = hosted.enqueue({"kind": "task", "priority": 9}, {"kind": "task"})
    for claimed in hosted.claim(limit=2)["jobs"]:
        hosted.settle(claimed, "done" if claimed["job_id"] == done else "retry", after_seconds=0)
    hosted.step_clock(timedelta(seconds=2))
    hosted.call("tick")
    assert hosted.claim_one()["job_id"] == again
    hosted.step_clock(timedelta(hours=1))
    hosted.call("rescue_jobs", 100)
    assert hosted.job(again)["status"] in {"retrying", "pending"}, "its worker was lost"
    hosted.call("cancel_jobs", {"ids": [again]}, 10)
    assert [hosted.job(job)["status"] for job in (done, again)] == ["completed", "cancelled"]
    assert hosted.messages() == []


def test_groups_snoozes_and_releases_work_on_the_oldest_pgmq(hosted: Engine) -> None:
    first, second = hosted.enqueue({"kind": "task", "group_key": "chat"}, {"kind": "task", "group_key": "chat"})
    hosted.settle(hosted.claim_one(), "release")
    hosted.step_clock(timedelta(minutes=1))
    hosted.call("tick")
    claimed = hosted.claim_one()
    assert claimed["job_id"] == first
    hosted.call("commit_job", first, claimed["claim_id"], {"at": 1}, True, 30)
    hosted.settle(claimed, "done", result={"ok": True})
    hosted.step_clock(timedelta(minutes=1))
    hosted.call("tick")
    claimed = hosted.claim_one()
    assert claimed["job_id"] == second
    hosted.settle(claimed, "reject", error={"code": "no", "message": "never"})
    assert hosted.call("redrive_jobs", {"ids": [second]}, False, 10)["changed"] == 1
    assert hosted.claim_one()["job_id"] == second


def test_a_paused_queue_and_a_users_job_work_on_the_oldest_pgmq(hosted: Engine) -> None:
    user = make_user(hosted)
    [made] = hosted.call_as(user, "enqueue_jobs", [{"kind": "task"}])
    hosted.call("pause_queue", "work")
    assert hosted.claim()["state"] == "paused"
    hosted.call("resume_queue", "work")
    answer = hosted.call("settle_and_claim", [], "work", 10, "w1", uuid.uuid4())
    assert [job["job_id"] for job in answer["claimed"]["jobs"]] == [made["job_id"]]
    assert hosted.call("queue_stats", {"queue": "work"})["processing"] == 1


def test_measuring_purging_and_pruning_work_on_the_oldest_pgmq(hosted: Engine) -> None:
    jobs = hosted.enqueue(*({"kind": "task", "priority": number} for number in range(3)))
    hosted.settle(hosted.claim_one(), "done")
    [measured] = [queue for queue in hosted.call("queue_metrics", None) if queue["queue"] == "work"]
    assert measured["size"] == 2
    assert hosted.call("purge_queue", "work", False)["changed"] == 2
    assert hosted.messages() == []
    assert hosted.call("prune_jobs", {"ids": jobs}, 10)["changed"] == 3
    assert hosted.value("select count(*) from public.jobs") == 0


@pytest.mark.parametrize("path", sorted(MIGRATIONS.glob("*.sql")), ids=lambda path: path.stem)
def test_a_migration_names_nothing_of_pgmq_that_1_5_1_has_not(path: Path) -> None:
    assert foreign_uses(path.read_text()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "select pgmq.send_topic('a', '{}')",
        "select pgmq.pop('q', 5)",
        "select pgmq.read_grouped('q', 1, 1)",
        "select pgmq._send_batch('q', null, null, null)",
        "select * from pgmq.topic_bindings",
        "select pgmq.set_vt('q', array[1], format('%s', array[2, 3]))::text, pgmq.validate_topic_pattern('x')",
    ],
)
def test_a_newer_function_would_be_noticed(statement: str) -> None:
    assert foreign_uses(statement)
    assert not foreign_uses(f"-- {statement}\nselect pgmq.read('q', 30, least(1, 2)), pgmq.delete('q', array[1, 2])")


def foreign_uses(sql: str) -> list[str]:
    """What `sql` names of schema pgmq that is not 1.5.1's, or calls with another number of arguments."""
    text = _COMMENT.sub("", sql)
    arities = {(name, count) for name, count in map(_arity, FUNCTIONS)}
    arities |= {(name, count - fewer) for name, count in set(arities) for fewer in range(1, DEFAULTS.get(name, 0) + 1)}
    names = RELATIONS | {"%I"} | {name for name, _ in arities}
    return [
        use[0]
        for use in _USE.finditer(text)
        if ((use[1], _arguments(text, use.end())) not in arities if use[2] else use[1] not in names)
    ]


def _arity(signature: str) -> tuple[str, int]:
    name, _, types = signature.rstrip(")").partition("(")
    return name, len(types.split(",")) if types else 0


def _arguments(text: str, start: int) -> int:
    """How many arguments a call has whose bracket opens just before `start`; strings hold no brackets here."""
    depth, commas, empty = 1, 0, True
    for character in text[start:]:
        depth += (character in "([") - (character in ")]")
        if depth == 0:
            break
        commas += character == "," and depth == 1
        empty = empty and character.isspace()
    return 0 if empty else commas + 1
