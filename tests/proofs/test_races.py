"""Two calls meet on one job or one group: whoever comes second waits or steps aside, and the end is a legal one.

One session makes its call in a transaction that stays open; the other makes its own at the same moment. PostgreSQL
says whether the second waits. Then the first commits. Every pair is tried in both orders.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Database
from tests.proofs.oracle import broken
from tests.sql.conftest import Engine, Json

ERROR = {"code": "boom", "message": "It broke."}
WAITS = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
Act = Callable[[Engine], Any]


@dataclass
class Meeting:
    """What came of two calls; an error is in the place of its answer, as the engine's code."""

    held: Any
    met: Any
    waited: bool


@dataclass
class Race:
    """Two sessions, and a third that looks on."""

    holder: Engine
    other: Engine
    engine: Engine

    def run(self, hold: Act, meet: Act) -> Meeting:
        """`hold` in a transaction that commits only when `meet` waits for it or has its answer."""
        answers: list[Any] = []
        with self.holder.connection.transaction():
            held = answer_of(hold, self.holder)
            meeting = threading.Thread(target=lambda: answers.append(answer_of(meet, self.other)))
            meeting.start()
            waited = self._waits(meeting)
        meeting.join(20)
        assert answers, "the second call never came back"
        wrong = broken(self.engine)
        assert not wrong, wrong
        return Meeting(held, answers[0], waited)

    def _waits(self, meeting: threading.Thread) -> bool:
        pid = self.other.connection.info.backend_pid
        deadline = time.monotonic() + 20
        while meeting.is_alive():
            assert time.monotonic() < deadline
            if self.engine.value(WAITS, pid):
                return True
            meeting.join(0.002)
        return False


def answer_of(act: Act, engine: Engine) -> Any:
    try:
        return act(engine)
    except psycopg.Error as error:
        return error.diag.message_detail or error.sqlstate


@pytest.fixture
def race(engine: Engine, database: Database) -> Iterator[Race]:
    with database.connect() as first, database.connect() as second:
        yield Race(Engine(first), Engine(second), engine)


def claim(engine: Engine) -> list[str]:
    return [job["job_id"] for job in engine.claim()["jobs"]]


def cancel(job_id: str) -> Act:
    return lambda engine: engine.call("cancel_jobs", {"ids": [job_id]}, 10)["changed"]


def settle(job: Json, outcome: str = "done") -> Act:
    return lambda engine: engine.settle(job, outcome, error=ERROR)["applied"]


def rescue(engine: Engine) -> Any:
    return engine.call("rescue_jobs", 100)


def enqueue(**job: object) -> Act:
    return lambda engine: engine.call("enqueue_jobs", [{"kind": "task", **job}])[0]


def status(race: Race, job_id: str) -> str:
    found: str = race.engine.job(job_id)["status"]
    return found


def lapse(race: Race) -> None:
    race.engine.step_clock(timedelta(seconds=60))


# claim and cancel ----------------------------------------------------------------------------------


@pytest.mark.parametrize("job", [{}, {"priority": 5}, {"group_key": "g"}], ids=["in pgmq", "in the table", "a head"])
def test_a_claim_steps_around_a_job_that_is_being_cancelled(race: Race, job: Json) -> None:
    [job_id] = race.engine.enqueue({"kind": "task", **job})
    meeting = race.run(cancel(job_id), claim)
    assert (meeting.held, meeting.met, meeting.waited) == (1, [], False)
    assert status(race, job_id) == "cancelled"
    assert claim(race.engine) == []


@pytest.mark.parametrize("job", [{}, {"priority": 5}, {"group_key": "g"}], ids=["in pgmq", "in the table", "a head"])
def test_a_cancel_waits_for_a_claim_and_then_asks_the_handler_to_stop(race: Race, job: Json) -> None:
    [job_id] = race.engine.enqueue({"kind": "task", **job})
    meeting = race.run(claim, cancel(job_id))
    assert (meeting.held, meeting.met, meeting.waited) == ([job_id], 1, True)
    row = race.engine.job(job_id)
    assert (row["status"], row["cancel_requested_at"] is not None) == ("processing", True)


# settle and cancel ---------------------------------------------------------------------------------


def test_a_cancel_after_a_settle_finds_nothing_to_cancel(race: Race) -> None:
    [job_id] = race.engine.enqueue({"kind": "task"})
    meeting = race.run(settle(race.engine.claim_one()), cancel(job_id))
    assert (meeting.held, meeting.met, meeting.waited) == ("ok", 0, True)
    assert status(race, job_id) == "completed"


def test_a_result_that_arrives_during_a_cancel_wins(race: Race) -> None:
    [job_id] = race.engine.enqueue({"kind": "task"})
    job = race.engine.claim_one()
    meeting = race.run(cancel(job_id), settle(job))
    assert (meeting.held, meeting.met, meeting.waited) == (1, "ok", True)
    assert status(race, job_id) == "completed"


def test_a_retry_that_arrives_during_a_cancel_is_cancelled(race: Race) -> None:
    [job_id] = race.engine.enqueue({"kind": "task"})
    meeting = race.run(cancel(job_id), settle(race.engine.claim_one(), "retry"))
    assert (meeting.met, meeting.waited) == ("ok", True)
    assert status(race, job_id) == "cancelled"


# settle and rescue ---------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [{}, {"group_key": "g"}], ids=["alone", "in a group"])
def test_a_rescue_steps_around_a_job_that_is_being_settled(race: Race, group: Json) -> None:
    [job_id] = race.engine.enqueue({"kind": "task", **group})
    job = race.engine.claim_one()
    lapse(race)
    meeting = race.run(settle(job), rescue)
    assert (meeting.held, meeting.met, meeting.waited) == ("ok", 0, False)
    assert status(race, job_id) == "completed"


@pytest.mark.parametrize("group", [{}, {"group_key": "g"}], ids=["alone", "in a group"])
def test_a_settle_that_meets_a_rescue_is_stale(race: Race, group: Json) -> None:
    [job_id] = race.engine.enqueue({"kind": "task", **group})
    job = race.engine.claim_one()
    lapse(race)
    meeting = race.run(rescue, settle(job))
    assert (meeting.held, meeting.met, meeting.waited) == (1, "stale", True)
    assert status(race, job_id) == "retrying"
    assert claim(race.engine) == [job_id]


# settle and redrive --------------------------------------------------------------------------------


def redrive(job_id: str) -> Act:
    return lambda engine: engine.call("redrive_jobs", {"ids": [job_id]}, False, 10)["changed"]


@pytest.mark.parametrize("group", [{}, {"group_key": "g"}], ids=["alone", "in a group"])
def test_a_late_settle_does_not_touch_a_job_that_is_being_redriven(race: Race, group: Json) -> None:
    [job_id] = race.engine.enqueue({"kind": "task", "max_attempts": 1, **group})
    job = race.engine.claim_one()
    assert settle(job, "retry")(race.engine) == "ok"
    assert status(race, job_id) == "failed"
    meeting = race.run(redrive(job_id), settle(job))
    assert meeting.held == 1
    assert meeting.met in {"stale", "already"}
    assert (status(race, job_id), claim(race.engine)) == ("pending", [job_id])


@pytest.mark.parametrize("group", [{}, {"group_key": "g"}], ids=["alone", "in a group"])
def test_a_redrive_during_the_settle_that_fails_a_job_finds_no_dead_letter_yet(race: Race, group: Json) -> None:
    [job_id] = race.engine.enqueue({"kind": "task", "max_attempts": 1, **group})
    meeting = race.run(settle(race.engine.claim_one(), "retry"), redrive(job_id))
    assert (meeting.held, meeting.met, meeting.waited) == ("ok", 0, False)
    assert status(race, job_id) == "failed"


def test_two_redrives_of_one_job_start_it_once(race: Race) -> None:
    [job_id] = race.engine.enqueue({"kind": "task", "max_attempts": 1, "group_key": "g"})
    settle(race.engine.claim_one(), "retry")(race.engine)
    meeting = race.run(redrive(job_id), redrive(job_id))
    assert (meeting.held, meeting.met, meeting.waited) == (1, 0, True)
    assert claim(race.engine) == [job_id]


# enqueue and settle of one group -------------------------------------------------------------------


def test_a_job_that_joins_while_the_last_of_its_group_ends_is_not_forgotten(race: Race) -> None:
    race.engine.enqueue({"kind": "task", "group_key": "g"})
    meeting = race.run(settle(race.engine.claim_one()), enqueue(group_key="g"))
    assert (meeting.held, meeting.waited) == ("ok", True)
    assert claim(race.engine) == [meeting.met["job_id"]]


def test_a_settle_waits_for_a_job_that_joins_its_group(race: Race) -> None:
    race.engine.enqueue({"kind": "task", "group_key": "g"})
    meeting = race.run(enqueue(group_key="g"), settle(race.engine.claim_one()))
    assert (meeting.met, meeting.waited) == ("ok", True)
    assert claim(race.engine) == [meeting.held["job_id"]]


def test_a_claim_and_the_first_job_of_a_group_do_not_wait_for_each_other(race: Race) -> None:
    meeting = race.run(enqueue(group_key="g"), claim)
    assert (meeting.met, meeting.waited) == ([], False)
    assert claim(race.engine) == [meeting.held["job_id"]]


# enqueue and enqueue -------------------------------------------------------------------------------


def test_two_enqueues_with_one_key_make_one_job(race: Race) -> None:
    meeting = race.run(enqueue(idempotency_key="k"), enqueue(idempotency_key="k"))
    assert meeting.waited
    assert meeting.held["job_id"] == meeting.met["job_id"]
    assert (meeting.held["duplicate"], meeting.met["duplicate"]) == (False, True)
    assert len(claim(race.engine)) == 1


def test_of_two_enqueues_with_one_key_and_two_bodies_the_second_is_a_conflict(race: Race) -> None:
    meeting = race.run(enqueue(idempotency_key="k", payload={"n": 1}), enqueue(idempotency_key="k", payload={"n": 2}))
    assert (meeting.met, meeting.waited) == ("idempotency_conflict", True)
    assert len(claim(race.engine)) == 1


def test_a_key_whose_first_enqueue_was_undone_is_free_again(race: Race) -> None:
    with race.holder.connection.transaction(force_rollback=True):
        enqueue(idempotency_key="k")(race.holder)
    meeting = race.run(enqueue(idempotency_key="k"), enqueue(idempotency_key="k"))
    assert (meeting.held["duplicate"], meeting.met["duplicate"]) == (False, True)


# pause and claim -----------------------------------------------------------------------------------


def pause(engine: Engine) -> Any:
    return engine.call("pause_queue", "work")


def test_a_claim_that_began_before_a_pause_keeps_its_jobs(race: Race) -> None:
    [job_id] = race.engine.enqueue({"kind": "task"})
    meeting = race.run(claim, pause)
    assert meeting.held == [job_id]
    assert race.engine.claim()["state"] == "paused"


def test_a_claim_during_a_pause_that_is_not_yet_committed_does_not_wait(race: Race) -> None:
    [job_id] = race.engine.enqueue({"kind": "task"})
    meeting = race.run(pause, claim)
    assert (meeting.met, meeting.waited) == ([job_id], False)
    assert race.engine.claim()["state"] == "paused"


# prune and settle ----------------------------------------------------------------------------------


def prune(engine: Engine) -> int:
    removed: int = engine.value("select filaviva.prune(1000)")
    return removed


def old_and_running(race: Race) -> Json:
    """A job that ended long ago and was redriven: it runs again, older than every retention."""
    [job_id] = race.engine.enqueue({"kind": "task", "max_attempts": 1})
    settle(race.engine.claim_one(), "retry")(race.engine)
    race.engine.step_clock(timedelta(days=400))
    redrive(job_id)(race.engine)
    job: Json = race.engine.claim_one()
    return job


def test_a_prune_leaves_alone_what_is_being_settled(race: Race) -> None:
    job = old_and_running(race)
    meeting = race.run(settle(job), prune)
    assert (meeting.held, meeting.met) == ("ok", 0)
    assert status(race, job["job_id"]) == "completed"


def test_a_settle_that_meets_the_pruning_of_its_job_changes_nothing(race: Race) -> None:
    race.engine.enqueue({"kind": "task"})
    job = race.engine.claim_one()
    settle(job)(race.engine)
    race.engine.step_clock(timedelta(days=400))
    meeting = race.run(prune, settle(job))
    assert meeting.held == 1
    assert meeting.met in {"gone", "already"}
    assert settle(job)(race.engine) == "gone"
