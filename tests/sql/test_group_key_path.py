"""Group keys that a kind takes from its jobs: by one path or several, unless the caller names one."""

import uuid
from typing import Any

import psycopg
import pytest

from tests.sql.conftest import Engine


@pytest.fixture
def chats(engine: Engine) -> Engine:
    """Kind `chat`: one group an instance and conversation."""
    settings = {"queue": "work", "group_key_path": "instance_id:payload.chat.id", "user_may_enqueue": True}
    engine.call("register_kind", "chat", settings)
    return engine


def chat(chat_id: object, **more: object) -> dict[str, Any]:
    return {"kind": "chat", "instance_id": "i", "payload": {"chat": {"id": chat_id}}, **more}


def keys(engine: Engine, ids: list[str]) -> list[str | None]:
    return [engine.job(job_id)["group_key"] for job_id in ids]


def test_the_group_is_taken_from_the_job(chats: Engine) -> None:
    ids = chats.enqueue(chat("c"), {"kind": "task", "payload": {"chat": {"id": "c"}}}, chat(7))
    assert keys(chats, ids) == ["i:c", None, "i:7"]


def test_jobs_of_one_taken_group_run_one_at_a_time(chats: Engine) -> None:
    first, second, other = chats.enqueue(chat("c"), chat("c"), chat("d"))
    assert {job["job_id"] for job in chats.claim()["jobs"]} == {first, other}
    assert chats.job(second)["blocked_by"] == "group:i:c"


def test_a_key_that_the_caller_names_goes_before_the_path(chats: Engine) -> None:
    ids = chats.enqueue(chat("c", group_key="mine"), {"kind": "chat", "group_key": "mine"}, chat("c", group_key=None))
    assert keys(chats, ids) == ["mine", "mine", "i:c"]


def test_the_owner_in_a_path_is_who_enqueues(engine: Engine, alice: uuid.UUID) -> None:
    settings = {"queue": "work", "group_key_path": "user_id", "user_may_enqueue": True}
    engine.call("register_kind", "mine", settings)
    [answer] = engine.call_as(alice, "enqueue_jobs", [{"kind": "mine"}])
    assert keys(engine, [answer["job_id"]]) == [str(alice)]


@pytest.mark.parametrize("value", [None, "", {"x": 1}, ["c"], True], ids=str)
def test_a_job_without_the_value_is_refused_by_position_and_nothing_is_enqueued(chats: Engine, value: object) -> None:
    with pytest.raises(psycopg.Error, match=r"payload\.chat\.id of job 1 must be a text") as refused:
        chats.enqueue(chat("c"), chat(value))
    assert (refused.value.sqlstate, refused.value.diag.message_detail) == ("PT400", "invalid_field")
    assert chats.value("select count(*) from public.jobs") == 0


def test_a_long_key_is_folded_and_still_tells_apart(chats: Engine) -> None:
    first, second, third = keys(chats, chats.enqueue(chat("x" * 300), chat("x" * 300), chat("x" * 300 + "y")))
    assert first is not None
    assert len(first) <= 200
    assert first == second != third


def test_a_repeated_idempotency_key_is_a_repeat_with_a_taken_group_too(chats: Engine) -> None:
    [first] = chats.enqueue(chat("c", idempotency_key="k"))
    assert chats.enqueue(chat("c", idempotency_key="k")) == [first]


def test_the_path_of_a_kind_can_be_changed_and_taken_away(chats: Engine) -> None:
    chats.call("register_kind", "chat", {"group_key_path": "instance_id"})
    before = chats.enqueue(chat("c"))
    chats.call("register_kind", "chat", {"group_key_path": None})
    assert keys(chats, [*before, *chats.enqueue(chat("c"))]) == ["i", None]


@pytest.mark.parametrize("path", ["", "payload", "payload.", "status", "payload.a::kind", "payload.a b", 7, ":kind"])
def test_a_path_that_leads_nowhere_is_refused(engine: Engine, path: object) -> None:
    with pytest.raises(psycopg.Error, match=r"A setting cannot be taken.*group_key_path_is_paths") as refused:
        engine.call("register_kind", "task", {"group_key_path": path})
    assert refused.value.sqlstate == "PT400"
