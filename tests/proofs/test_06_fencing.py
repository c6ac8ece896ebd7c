"""Proof 6: a slow worker comes back after another took its job over. It is not heard, and nothing happens twice."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.proofs.conftest import Proof
from tests.proofs.oracle import assert_drained
from tests.sql.conftest import Engine

LEASE_SECONDS = 5
ERROR = {"code": "boom", "message": "It broke."}
WRITES = ["done", "retry", "snooze", "release", "reject", "unconfirmed", "cancelled", "extend", "commit"]
TOGETHER = 50
"""Jobs whose interleavings share the steps of one clock."""


@dataclass
class Played:
    """One job between two workers."""

    job_id: str
    effects: int = 0
    refused: int = 0
    heard: list[str] = field(default_factory=list)


def test_nothing_that_a_worker_says_after_its_lease_is_heard(engine: Engine, proof: Proof) -> None:
    play(engine, proof, interleavings=1000)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_ten_thousand_interleavings_are_fenced(engine: Engine, proof: Proof) -> None:
    play(engine, proof, interleavings=10_000)


def play(engine: Engine, proof: Proof, *, interleavings: int) -> None:
    engine.call("create_queue", "work", {"lease_seconds": LEASE_SECONDS, "max_attempts": 100})
    played: list[Played] = []
    for _ in range(interleavings // TOGETHER):
        played += round_of(engine, proof)
    late = Counter(word for each in played for word in each.heard)
    assert late == {}, "a late write was accepted"
    assert max(each.effects for each in played) <= 1
    assert_drained(engine, [each.job_id for each in played])
    refused = sum(each.refused for each in played)
    assert refused >= interleavings
    proof.record(
        6, "fencing", target="1,000 interleavings: A's write refused 100 %, effects <= 1",
        reached=f"{len(played)} interleavings: {refused} of {refused} late writes refused, effects <= 1",
        interleavings=len(played), late_writes=refused, effects=sum(each.effects for each in played),
    )  # fmt: skip


def round_of(engine: Engine, proof: Proof) -> list[Played]:
    """A claims, some of it gets past the point of no return, time passes, B takes over, both go on in any order."""
    played = {job_id: Played(job_id) for job_id in engine.enqueue(*[{"kind": "task"}] * TOGETHER)}
    slow = {job["job_id"]: job for job in engine.claim(limit=TOGETHER, worker="A")["jobs"]}
    for job_id in proof.random.sample(sorted(slow), TOGETHER // 2):
        commit(engine, played[job_id], slow[job_id])
    for job_id in proof.random.sample(sorted(slow), TOGETHER // 4):
        say(engine, slow[job_id], "extend")
    engine.connection.execute("update filaviva.clock_shift set shift = shift + interval '60 s'")
    engine.connection.execute("insert into filaviva.clock_shift (shift) values ('60 s') on conflict do nothing")
    assert engine.call("rescue_jobs", 1000) == TOGETHER
    quick = {job["job_id"]: job for job in engine.claim(limit=TOGETHER, worker="B")["jobs"]}
    assert quick.keys() == slow.keys()
    lines = [(job_id, "A", word) for job_id in slow for word in proof.random.sample(WRITES, 2)]
    lines += [(job_id, "B", word) for job_id in quick for word in ("commit", "done")]
    for job_id, worker, word in in_some_order(lines, proof):
        if worker == "A":
            a_speaks(engine, played[job_id], slow[job_id], word)
        else:
            b_speaks(engine, played[job_id], quick[job_id], word)
    return list(played.values())


def in_some_order(lines: list[tuple[str, str, str]], proof: Proof) -> list[tuple[str, str, str]]:
    """Shuffled, but B commits before it is done."""
    order = proof.random.sample(lines, len(lines))
    seen: set[str] = set()
    fixed = []
    for job_id, worker, word in order:
        spoken = word
        if worker == "B":
            spoken = "done" if job_id in seen else "commit"
            seen.add(job_id)
        fixed.append((job_id, worker, spoken))
    return fixed


def a_speaks(engine: Engine, played: Played, job: dict[str, Any], word: str) -> None:
    answer = commit(engine, played, job) if word == "commit" else say(engine, job, word)
    if answer == "stale":
        played.refused += 1
    else:
        played.heard.append(f"{word}: {answer}")


def b_speaks(engine: Engine, played: Played, job: dict[str, Any], word: str) -> None:
    """B does what a handler does: a reconciling one knows whether A's call happened, a running one makes the call."""
    if job["mode"] == "run" and word == "commit":
        assert commit(engine, played, job) == "ok"
    elif word == "done":
        assert say(engine, job, "done") == "ok"


def commit(engine: Engine, played: Played, job: dict[str, Any]) -> str:
    """Ask for the point of no return, and make the irreversible call only when it was granted."""
    try:
        engine.call("commit_job", job["job_id"], job["claim_id"], {}, True, LEASE_SECONDS)
    except psycopg.Error as refused:
        assert refused.diag.message_detail == "stale_claim"
        return "stale"
    played.effects += 1
    return "ok"


def say(engine: Engine, job: dict[str, Any], word: str) -> str:
    """One write of a worker; what became of it."""
    token = {"job_id": job["job_id"], "claim_id": job["claim_id"]}
    if word == "extend":
        return "stale" if engine.call("extend_leases", [token])[0].get("stale") else "ok"
    applied: str = engine.settle(job, word, error=ERROR, after_seconds=0)["applied"]
    return applied


def test_the_first_of_two_late_answers_to_one_claim_wins(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task"})
    request = uuid4()
    first, again = (engine.claim(request=request)["jobs"][0] for _ in range(2))
    assert first["claim_id"] == again["claim_id"], "a repeated request is the same claim, not a second one"
    assert say(engine, first, "done") == "ok"
    assert say(engine, again, "retry") == "already"
    assert engine.job(job_id)["status"] == "completed"
