"""The engine against a model of it: random sequences of calls, every claim about states held after each.

The model is docs/states.md written as Python. What it cannot know (which of several due jobs a claim
takes) it learns from the answer, after checking that the answer was allowed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue, make_user

FINAL = {"completed", "failed", "cancelled", "unconfirmed"}
CAP, MAX_SNOOZES, LEASE_SECONDS = 4, 2, 31  # odd: no sum of the waits below meets it exactly
MAX_HITS, HIT_SECONDS = 2, 31 + 2
"""A limit on the jobs of an instance: a hit counts for its window and the two seconds of a late start."""
STATES = "select id::text, status, mode, attempt, committed_at is not null from public.jobs"
DELIVERED = "select id::text, status = 'processing' from public.jobs where msg_id is not null and finished_at is null"
BUSIEST_GROUP = """
select coalesce(max(n), 0) from (
  select count(*) as n from public.jobs where group_key is not null and status = 'processing' group by group_key
) g
"""
ERROR = {"code": "boom", "message": "It broke."}
OUTCOMES = ["done", "done", "retry", "retry", "snooze", "release", "reject", "unconfirmed", "cancelled"]


def _new_job(
    group: str | None, priority: int, max_attempts: int, key: str | None, owner: int, instance: str | None
) -> dict[str, Any]:
    job: dict[str, Any] = {"kind": "task", "priority": priority, "max_attempts": max_attempts, "owner": owner}
    job |= {"group_key": group} if group else {}
    job |= {"instance_id": instance} if instance else {}
    return job | ({"idempotency_key": f"{key}-{group}-{priority}-{max_attempts}-{owner}-{instance}"} if key else {})


NEW_JOBS = st.builds(
    _new_job,
    group=st.sampled_from([None, None, "a", "b"]),
    priority=st.sampled_from([0, 0, 3, 10]),
    max_attempts=st.integers(1, 3),
    key=st.sampled_from([None, None, None, "k"]),
    owner=st.integers(0, 2),
    instance=st.sampled_from([None, None, None, "i"]),
)


@dataclass(slots=True)
class Model:
    """What we believe of one job."""

    group: str | None
    priority: int
    max_attempts: int
    order: int
    owner: int = 0
    limited: bool = False
    status: str = "pending"
    mode: str = "run"
    attempt: int = 0
    snoozes: int = 0
    claim: int | None = None
    committed: bool = False
    reconcilable: bool = False
    cancel_wanted: bool = False
    wakes_at: float = 0.0
    lease_until: float = 0.0
    hit_at: float = 0.0
    lost: bool = False

    @property
    def is_suspect(self) -> bool:
        """Whether its worker was lost and its next attempt is the last: it may have to wait for another such job."""
        return self.lost and self.attempt + 1 >= self.max_attempts

    def settle(self, outcome: str, now: float, delay: float = 0.0) -> None:
        """The rule of docs/states.md."""
        back = {"snooze", "release"}
        if outcome in back and self.mode == "run":
            self.attempt -= 1
        status = {"done": "completed", "reject": "failed", "cancelled": "cancelled"}.get(outcome)
        if status is None and outcome in {"release", "retry", "snooze"} and self.cancel_wanted:
            status = "cancelled"
        elif outcome == "release":
            status = "retrying" if self.attempt or self.snoozes or self.mode == "reconcile" else "pending"
        elif outcome == "retry":
            status = "retrying" if self.attempt < self.max_attempts else "failed"
        elif outcome == "snooze":
            status = "retrying"
            if self.snoozes >= MAX_SNOOZES:
                status = "unconfirmed" if self.committed else "failed"
            self.snoozes += 1
        elif outcome == "unconfirmed":
            asks = self.mode == "run" and self.committed and self.reconcilable
            status = "retrying" if asks else "unconfirmed"
        assert status is not None
        if outcome == "unconfirmed" and status == "retrying":
            self.mode = "reconcile"
        if outcome == "retry":
            self.mode, self.committed = "run", False
        self.status, self.wakes_at = status, now + (0.0 if outcome == "release" else delay)


class EngineMachine(RuleBasedStateMachine):
    """Calls in any order, on one database, with the engine's clock in our hands."""

    engine: Engine
    owners: list[str | None]
    limits: bool

    @initialize()
    def empty(self) -> None:
        connection = self.engine.connection
        connection.execute("delete from public.jobs")
        for table in ("due_jobs", "parked_keys", "rate_limit_hits", "job_groups"):
            connection.execute(f"delete from filaviva.{table}")
        connection.execute("delete from filaviva.clock_shift")
        connection.execute("select pgmq.purge_queue('work')")
        self.jobs: dict[str, Model] = {}
        self.keys: dict[str, str] = {}
        self.claims: list[dict[str, Any]] = []
        self.hits: list[float] = []
        self.now = 0.0

    # What callers do -------------------------------------------------------------------------------

    @rule(jobs=st.lists(NEW_JOBS, min_size=1, max_size=6))
    def enqueue(self, jobs: list[dict[str, Any]]) -> None:
        owned = [{"user_id": self.owners[job["owner"]], **job} for job in jobs]
        requests = [{k: v for k, v in job.items() if k != "owner" and v is not None} for job in owned]
        for job, answer in zip(jobs, self.engine.call("enqueue_jobs", requests), strict=True):
            known = self.keys.get(job.get("idempotency_key", ""))
            assert answer["duplicate"] == (known is not None)
            if known is not None:
                assert answer["job_id"] == known
                continue
            limited = "instance_id" in job
            model = Model(
                job.get("group_key"), job["priority"], job["max_attempts"], len(self.jobs), job["owner"], limited
            )
            self.jobs[answer["job_id"]] = model
            if "idempotency_key" in job:
                self.keys[job["idempotency_key"]] = answer["job_id"]

    @precondition(lambda self: self.jobs)
    @rule(limit=st.integers(1, 6))
    def claim(self, limit: int) -> None:
        due = self.due()
        running = sum(job.status == "processing" for job in self.jobs.values())
        answer = self.engine.claim(limit=limit)
        taken = [job["job_id"] for job in answer["jobs"]]
        room = min(limit, max(CAP - running, 0))
        free = [i for i in due if not self.jobs[i].limited and not self.jobs[i].is_suspect]
        self.hits = [at for at in self.hits if at + HIT_SECONDS > self.now]
        if self.limits:
            assert sum(self.jobs[i].limited for i in taken) <= MAX_HITS - len(self.hits)
        else:
            free = [i for i in due if not self.jobs[i].is_suspect]
        assert sum(self.jobs[i].is_suspect for i in taken) <= 1, "of those that lost their worker, one at a time"
        assert min(room, len(free)) <= len(taken) <= min(room, len(due))
        self.check_order([i for i in taken if i in free], free)
        for claimed in answer["jobs"]:
            model = self.jobs[claimed["job_id"]]
            model.attempt += model.mode == "run"
            model.status, model.claim = "processing", claimed["claim_id"]
            model.lease_until, model.hit_at = self.now + LEASE_SECONDS, self.now
            self.hits += [self.now] if model.limited else []
            seen = (claimed["attempt"], claimed["mode"], claimed["committed"])
            assert seen == (model.attempt, model.mode, model.committed)
        self.claims = [*self.claims, *answer["jobs"]][-8:]

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES), delay=st.sampled_from([0, 5, 60]))
    def settle(self, data: st.DataObject, outcome: str, delay: int) -> None:
        job = self.claims[data.draw(st.integers(0, len(self.claims) - 1))]
        model = self.jobs[job["job_id"]]
        holds = self.holds(job)
        answer = self.engine.settle(job, outcome, error=ERROR, after_seconds=delay)
        if holds:
            model.settle(outcome, self.now, delay)
            model.lost = False  # the error that is given takes the place of worker_lost
            if outcome == "release" and model.limited and model.hit_at in self.hits:
                self.hits.remove(model.hit_at)
        repeated = "already" if model.claim == job["claim_id"] else "stale"
        assert answer["applied"] == ("ok" if holds else repeated)
        assert answer["status"] == model.status

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), reconcilable=st.booleans())
    def commit(self, data: st.DataObject, reconcilable: bool) -> None:
        job = self.claims[data.draw(st.integers(0, len(self.claims) - 1))]
        model = self.jobs[job["job_id"]]
        arguments: tuple[object, ...] = (job["job_id"], job["claim_id"], {}, reconcilable, LEASE_SECONDS)
        in_time = self.holds(job) and model.lease_until >= self.now
        if in_time and not model.cancel_wanted:
            self.engine.call("commit_job", *arguments)
            model.committed, model.reconcilable = True, reconcilable
            model.lease_until = max(model.lease_until, self.now + LEASE_SECONDS)
        else:
            with pytest.raises(psycopg.Error) as refused:
                self.engine.call("commit_job", *arguments)
            reason = "cancel_requested" if in_time else "stale_claim"
            assert refused.value.diag.message_detail == reason

    @precondition(lambda self: self.claims)
    @rule()
    def extend(self) -> None:
        leases = [{"job_id": job["job_id"], "claim_id": job["claim_id"]} for job in self.claims]
        for job, answer in zip(self.claims, self.engine.call("extend_leases", leases), strict=True):
            model = self.jobs[job["job_id"]]
            assert answer.get("stale", False) is not self.holds(job)
            if self.holds(job):
                assert answer["cancel_requested"] == model.cancel_wanted
                model.lease_until = self.now + LEASE_SECONDS

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = list(self.jobs)[data.draw(st.integers(0, len(self.jobs) - 1))]
        model = self.jobs[job_id]
        matches = model.status not in FINAL and not (model.status == "processing" and model.cancel_wanted)
        if matches and model.committed:
            with pytest.raises(psycopg.Error, match="point of no return"):
                self.engine.call("cancel_jobs", {"ids": [job_id]}, 10)
            return
        assert self.engine.call("cancel_jobs", {"ids": [job_id]}, 10)["changed"] == int(matches)
        if matches:
            model.cancel_wanted = True
            model.status = model.status if model.status == "processing" else "cancelled"

    # What the world does ---------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([2, 20, 62]))
    def wait(self, seconds: int) -> None:
        self.engine.step_clock(timedelta(seconds=seconds))
        self.now += seconds

    @rule()
    def rescue(self) -> None:
        lost = [job for job in self.jobs.values() if job.status == "processing" and job.lease_until < self.now]
        assert self.engine.call("rescue_jobs", 100) == len(lost)
        for model in lost:
            after_commit = "snooze" if model.mode == "reconcile" else "unconfirmed"
            model.settle(after_commit if model.committed else "retry", self.now, 0)
            model.claim, model.lost = None, True
        if lost:  # the backoff is drawn by the engine: let it pass
            self.wait(62)

    @rule()
    def sweep(self) -> None:
        assert self.engine.value("select filaviva.sweep(1000)") == 0, "nothing is broken, nothing is mended"

    # What must always hold -------------------------------------------------------------------------

    def due(self) -> list[str]:
        """The jobs a claim may take now, best first: at most one of each group, none whose group is held."""
        held = {job.group for job in self.jobs.values() if job.group and self.holds_group(job)}
        best: dict[str, str] = {}
        ready = []
        for job_id, job in sorted(self.jobs.items(), key=lambda item: (-item[1].priority, item[1].order)):
            if job.status not in {"pending", "retrying"}:
                continue
            if job.group is None or self.holds_group(job):
                if job.wakes_at <= self.now:
                    ready.append(job_id)
            elif job.group not in held and job.group not in best:
                best[job.group] = job_id
                ready.append(job_id)
        return sorted(ready, key=lambda job_id: (-self.jobs[job_id].priority, self.jobs[job_id].order))

    def check_order(self, taken: list[str], due: list[str]) -> None:
        """Highest priority first; of equal priority, an owner's jobs that nothing ever held up come in their order."""
        assert set(taken) <= set(due)
        assert [self.jobs[i].priority for i in taken] == [self.jobs[i].priority for i in due[: len(taken)]]
        for line in {(self.jobs[i].priority, self.jobs[i].owner) for i in taken}:
            fresh = [i for i in due if self.is_fresh(self.jobs[i], *line)]
            first = [i for i in taken if self.is_fresh(self.jobs[i], *line)]
            assert first == fresh[: len(first)]

    @staticmethod
    def is_fresh(job: Model, priority: int, owner: int) -> bool:
        """Whether a job of this priority and owner waits for the first time, and for no other job."""
        waits = job.group is None and job.status == "pending" and job.claim is None
        return waits and (job.priority, job.owner) == (priority, owner)

    def holds(self, claimed: dict[str, Any]) -> bool:
        """Whether a claim is still the right to settle its job."""
        model = self.jobs[claimed["job_id"]]
        return model.status == "processing" and model.claim == claimed["claim_id"]

    @staticmethod
    def holds_group(job: Model) -> bool:
        """A job that was ever claimed is its group's head until it is over."""
        return job.status not in FINAL and (job.status != "pending" or job.claim is not None)

    @invariant()
    def every_status_is_as_believed(self) -> None:
        rows = self.engine.connection.execute(STATES)
        found = {row[0]: row[1:] for row in rows}
        assert found == {i: (j.status, j.mode, j.attempt, j.committed) for i, j in getattr(self, "jobs", {}).items()}

    @invariant()
    def there_is_one_message_for_each_delivered_job_and_no_other(self) -> None:
        rows = self.engine.connection.execute(DELIVERED).fetchall()
        assert sorted(self.engine.messages()) == sorted(rows)

    @invariant()
    def a_group_has_at_most_one_job_in_flight(self) -> None:
        busiest = self.engine.value(BUSIEST_GROUP)
        assert busiest <= 1


@pytest.fixture(params=["with limits", "without limits"])
def machine(database: Database, request: pytest.FixtureRequest) -> Iterator[type[EngineMachine]]:
    with database.connect() as connection:
        engine = Engine(connection)
        make_queue(
            engine, "work", concurrency=CAP, max_snoozes=MAX_SNOOZES, lease_seconds=LEASE_SECONDS, window_size=3,
            backoff_base_seconds=60, backoff_factor=1,
        )  # fmt: skip
        engine.call("set_rate_limiter", "per_instance", MAX_HITS, HIT_SECONDS - 2)
        limits = request.param == "with limits"
        if limits:
            engine.call("limit_queue", "work", "per_instance", "instance_id")
        owners = [None, str(make_user(engine)), str(make_user(engine))]
        yield type("EngineMachine", (EngineMachine,), {"engine": engine, "owners": owners, "limits": limits})


def budget(examples: int, steps: int, *, repeatable: bool = False) -> settings:
    """So many sequences of so many calls; only divergence fails, not slowness."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=repeatable,
        deadline=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    )


@pytest.mark.timeout(300)
def test_the_engine_does_as_the_model_says(machine: type[EngineMachine]) -> None:
    run_machine(machine, settings=budget(40, 40, repeatable=True))


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_two_thousand_sequences_do_as_the_model_says(machine: type[EngineMachine]) -> None:
    run_machine(machine, settings=budget(2000, 50))
