import uuid
from typing import Any

import psycopg
import pytest

from tests.sql.conftest import Engine, make_queue

ZERO = dict.fromkeys(
    ("pending", "processing", "retrying", "completed", "failed", "cancelled", "unconfirmed", "total"), 0
)


def test_every_status_is_there_even_when_nothing_is(engine: Engine) -> None:
    assert engine.call("queue_stats", {"queue": "work"}) == ZERO


def test_every_condition_narrows_the_count(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    make_queue(engine, "other")
    company = str(engine.call("create_company", "Acme", alice))
    engine.enqueue(
        {"kind": "task", "user_id": str(alice), "company_id": company, "instance_id": "i1"},
        {"kind": "task", "user_id": str(bob), "group_key": "g"},
        {"kind": "task_other", "user_id": str(bob), "instance_id": "i1"},
    )
    for condition, count in {
        ("queue", "work"): 2,
        ("kind", "task_other"): 1,
        ("user_id", str(bob)): 2,
        ("company_id", company): 1,
        ("instance_id", "i1"): 2,
        ("group_key", "g"): 1,
        ("created_after", "2000-01-01"): 3,
        ("created_before", "2000-01-01"): 0,
    }.items():
        assert engine.call("queue_stats", dict([condition])) == ZERO | {"pending": count, "total": count}, condition
    assert engine.call("queue_stats", {"user_id": str(bob), "instance_id": "i1"})["total"] == 1


def test_a_colleague_counts_the_companys_jobs_and_a_stranger_none(
    engine: Engine, alice: uuid.UUID, bob: uuid.UUID
) -> None:
    company = str(engine.call("create_company", "Acme", alice))
    engine.enqueue({"kind": "task", "company_id": company})
    assert engine.call_as(alice, "queue_stats", {"company_id": company})["total"] == 1
    assert engine.call_as(alice, "queue_stats")["total"] == 0, "without it, their own"
    assert engine.call_as(bob, "queue_stats", {"company_id": company})["total"] == 0


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"user_id": "bob"}, "invalid_field", "uuid"),
        ({"created_after": "soon"}, "invalid_field", "soon"),
        ({"queue": None}, "invalid_field", "'queue' is null"),
        ({"colour": "red"}, "unknown_field", "'colour'"),
        (["work"], "invalid_field", "object"),
        ("work", "invalid_field", "object"),
        (None, "invalid_field", "object"),
    ],
)
def test_a_malformed_filter_says_what_is_wrong(engine: Engine, wrong: Any, code: str, words: str) -> None:
    if isinstance(wrong, str):
        wrong = f'"{wrong}"'
    with pytest.raises(psycopg.Error, match=words) as caught:
        engine.call("queue_stats", wrong)
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT400", code)
