"""The two cases that are held against each other, on one server in one run: the engine, and a bare reference.

The bare case (bare.sql) keeps one status row and one pgmq message a job and nothing else.
"""

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import orjson
import psycopg
from psycopg.types.json import set_json_loads

Jobs = list[dict[str, Any]]


set_json_loads(orjson.loads)  # what the worker reads answers with


class Case(Protocol):
    """What a measurement does to a queue."""

    name: str

    def enqueue(self, count: int) -> None:
        """Enqueue so many jobs in one call."""

    def settle_and_claim(self, jobs: Jobs, limit: int) -> Jobs:
        """Complete the jobs of the last claim and claim the next, in one call."""


class Bare:
    """A status row and a message, set-based functions, no promises."""

    name = "bare"

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        connection.execute((Path(__file__).parent / "bare.sql").read_bytes())

    def enqueue(self, count: int) -> None:
        """See Case."""
        self._connection.execute("select bare.enqueue(%s)", (json.dumps([{"n": 1}] * count),))

    def settle_and_claim(self, jobs: Jobs, limit: int) -> Jobs:
        """See Case."""
        results = json.dumps([{"job_id": job["job_id"], "msg_id": job["msg_id"]} for job in jobs])
        answer: Jobs = one(self._connection, "select bare.settle_and_claim(%s, %s)", results, limit)
        return answer


class Engine:
    """Owners, leases, fencing, groups, keys, fair turns and row-level security in place.

    Args:
        connection: as postgres, autocommit.
        owner: whose jobs they are; None for nobody's.
        fields: more fields of every job, such as a group or a key; called for each job.
    """

    name = "engine"

    def __init__(
        self,
        connection: psycopg.Connection,
        owner: str | None = None,
        fields: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._connection = connection
        self._owner = owner
        self._fields = fields
        connection.execute("select public.create_queue('bench')")
        connection.execute("""select public.register_kind('bench', '{"queue": "bench"}')""")

    def enqueue(self, count: int) -> None:
        """See Case."""
        job = {"kind": "bench", "payload": {"n": 1}} | ({"user_id": self._owner} if self._owner else {})
        batch = json.dumps([job | self._fields() for _ in range(count)])
        self._connection.execute("select public.enqueue_jobs(%s)", (batch,))

    def settle_and_claim(self, jobs: Jobs, limit: int) -> Jobs:
        """See Case."""
        results = json.dumps([{"job_id": j["job_id"], "claim_id": j["claim_id"], "outcome": "done"} for j in jobs])
        statement = "select public.settle_and_claim(%s, 'bench', %s, 'bench', %s)"
        answer: Jobs = one(self._connection, statement, results, limit, uuid.uuid4())["claimed"]["jobs"]
        return answer


def one(connection: psycopg.Connection, statement: str, *arguments: object) -> Any:
    """First column of the first row."""
    row = connection.execute(statement, arguments).fetchone()
    return row[0] if row else None


def seconds(work: Callable[[], object]) -> float:
    """How long some work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def drain(case: Case, limit: int) -> int:
    """Empty a case's queue; how many jobs it held."""
    jobs: Jobs = []
    drained = 0
    while jobs := case.settle_and_claim(jobs, limit):
        drained += len(jobs)
    return drained


def make_owner(superuser: psycopg.Connection) -> str:
    """A user to own jobs."""
    user = str(uuid.uuid4())
    superuser.execute(
        "insert into auth.users (id, email, aud, role) values (%s, %s, 'authenticated', 'authenticated')",
        (user, f"{user}@example.com"),
    )
    return user
