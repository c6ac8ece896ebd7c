"""Who is woken for new work: the workers that listen, or else the drain that is called."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from tests.functions.conftest import Project


@pytest.fixture
def listener(project: Project) -> Iterator[psycopg.Connection]:
    """A session that listens as a worker does; the project has a drain to call beside it."""
    project.call("create_queue", "work", {})
    project.call("create_queue", "other", {})
    project.call("register_kind", "task", {"queue": "work"})
    project.call("configure_drain", "http://127.0.0.1:9/", "t", 200)
    with project.database.connect() as connection:
        connection.execute("listen filaviva_wake")
        yield connection


def heard(listener: psycopg.Connection) -> list[str]:
    listener.execute("select 1")  # brings whatever is under way
    return [notify.payload for notify in listener.notifies(timeout=0)]


def called(project: Project) -> int:
    """How often pg_net was asked to call the drain; asked once, it is forgotten."""
    return project.connection.execute("delete from net.http_request_queue").rowcount


def step(project: Project, seconds: float) -> None:
    with project.database.connect("supabase_admin") as admin:
        admin.execute("delete from filaviva.clock_shift")
        admin.execute("insert into filaviva.clock_shift (shift) values (%s)", (timedelta(seconds=seconds),))


def test_a_worker_is_told_once_a_call_and_nobody_is_called(project: Project, listener: psycopg.Connection) -> None:
    project.call("announce_worker", "w", ["work"])
    project.enqueue(*[{"kind": "task"}] * 50)
    assert (heard(listener), called(project)) == (["work"], 0)


def test_without_a_worker_the_drain_is_called_and_nobody_told(project: Project, listener: psycopg.Connection) -> None:
    project.enqueue({"kind": "task"})
    assert (heard(listener), called(project)) == ([], 1)


def test_a_worker_for_other_queues_does_not_count(project: Project, listener: psycopg.Connection) -> None:
    project.call("announce_worker", "w", ["other"])
    project.enqueue({"kind": "task"})
    assert (heard(listener), called(project)) == ([], 1)


@pytest.mark.parametrize("end", ["dies", "stops", "leaves"])
def test_a_worker_that_is_no_more_does_not_count(project: Project, listener: psycopg.Connection, end: str) -> None:
    project.call("announce_worker", "w", None)
    match end:
        case "dies":
            step(project, 16)
        case "stops":
            project.connection.execute("select public.announce_worker('w', null, true)")
        case _:
            project.call("dismiss_worker", "w")
    project.enqueue({"kind": "task"})
    assert (heard(listener), called(project)) == ([], 1)


def test_the_dead_are_forgotten(project: Project, listener: psycopg.Connection) -> None:
    project.call("announce_worker", "dead", None)
    step(project, 61)
    project.call("announce_worker", "alive", None)
    with project.database.connect("supabase_admin") as admin:
        assert admin.execute("select worker_id from filaviva.workers").fetchall() == [("alive",)]


def test_a_worker_that_leaves_work_behind_has_others_woken(project: Project, listener: psycopg.Connection) -> None:
    project.call("announce_worker", "one", None)
    project.call("announce_worker", "two", ["work"])
    project.enqueue({"kind": "task"})
    assert heard(listener) == ["work"]
    project.call("dismiss_worker", "one")
    assert (heard(listener), called(project)) == (["work"], 0)
    project.call("dismiss_worker", "two")
    assert (heard(listener), called(project)) == ([], 1)


def test_what_is_rolled_back_wakes_nobody(project: Project, listener: psycopg.Connection) -> None:
    project.call("announce_worker", "w", None)
    with pytest.raises(ZeroDivisionError), project.connection.transaction():
        project.enqueue({"kind": "task"})
        raise ZeroDivisionError
    assert heard(listener) == []


def test_the_tick_calls_the_drain_for_what_a_worker_leaves_lying(
    project: Project, listener: psycopg.Connection
) -> None:
    project.call("announce_worker", "w", None)
    project.enqueue({"kind": "task"})
    assert called(project) == 0
    project.call("tick")
    assert called(project) == 1


def test_a_paused_queue_wakes_its_worker_when_it_is_resumed(project: Project, listener: psycopg.Connection) -> None:
    project.call("announce_worker", "w", None)
    project.call("pause_queue", "work")
    project.call("resume_queue", "work")
    assert heard(listener) == ["work"]


def test_a_kick_tells_the_worker(project: Project, listener: psycopg.Connection) -> None:
    project.call("announce_worker", "w", None)
    assert project.call("kick_queue", "work") is True
    assert (heard(listener), called(project)) == (["work"], 0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("announce_worker('w', '{}')", "must be an array"),
        ("announce_worker('w', '\"work\"')", "must be an array"),
        ("announce_worker('w', '[null]')", "There is no queue NULL"),
        ("announce_worker('', null)", "1 to 200 characters"),
        ("announce_worker(null, null)", "1 to 200 characters"),
        ("announce_worker(repeat('w', 201), null)", "1 to 200 characters"),
        ("count_due_jobs(null)", "must be an array"),
        ("count_due_jobs('5')", "must be an array"),
        ("record_runs(null)", "must be an object"),
        ("record_runs('[]')", "must be an object"),
        ("""record_runs('{"task": 5}')""", "cannot be read"),
        ("""record_runs('{"task": ["NaN"]}')""", "cannot be read"),
    ],
)
def test_what_a_worker_may_not_say_is_refused_with_the_reason(project: Project, call: str, words: str) -> None:
    with pytest.raises(psycopg.Error, match=words) as refused:
        project.connection.execute(f"select public.{call}")
    assert str(refused.value.sqlstate).startswith("PT40")
    assert refused.value.diag.message_hint
