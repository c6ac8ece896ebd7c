"""The engine as its callers meet it: SQL functions, under the role of whoever calls."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.conftest import Database

Json = dict[str, Any]


@dataclass(slots=True)
class Engine:
    """Calls the public functions on one connection, as the service role unless told otherwise."""

    connection: psycopg.Connection

    def call(self, function: str, *arguments: object) -> Any:
        """`public.<function>` as the service role."""
        with self.as_role("service_role"):
            return self.value(
                f"select public.{function}({', '.join(['%s'] * len(arguments))})", *map(_adapt, arguments)
            )

    def call_as(self, user: uuid.UUID | None, function: str, *arguments: object) -> Any:
        """`public.<function>` as a signed-in user (None: signed in as nobody)."""
        claims = {"role": "authenticated"} | ({"sub": str(user)} if user else {})
        with self.as_role("authenticated", claims):
            return self.value(
                f"select public.{function}({', '.join(['%s'] * len(arguments))})", *map(_adapt, arguments)
            )

    @contextmanager
    def as_role(self, role: str, claims: Json | None = None) -> Iterator[None]:
        """Statements in this block run as an API role, in one transaction."""
        with self.connection.transaction():
            self.connection.execute("select set_config('role', %s, true)", (role,))
            self.connection.execute(
                "select set_config('request.jwt.claims', %s, true)", (json.dumps(claims or {"role": role}),)
            )
            yield

    def value(self, statement: str, *arguments: object) -> Any:
        """First column of the first row."""
        row = self.connection.execute(statement, arguments).fetchone()
        return row[0] if row else None

    def job(self, job_id: str) -> Json:
        """The whole row."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute("select * from public.jobs where id = %s", (job_id,)).fetchone()
        assert row is not None, f"no job {job_id}"
        return row

    def enqueue(self, *jobs: Json) -> list[str]:
        """Enqueue as the service role; the ids."""
        return [result["job_id"] for result in self.call("enqueue_jobs", list(jobs))]

    def claim(self, queue: str = "work", limit: int = 10, worker: str = "w1", request: uuid.UUID | None = None) -> Json:
        """One claim call."""
        answer: Json = self.call("claim_jobs", queue, limit, worker, request or uuid.uuid4())
        return answer

    def claim_one(self, queue: str = "work") -> Json:
        """The single job of a claim of one."""
        jobs = self.claim(queue, 1)["jobs"]
        assert len(jobs) == 1
        job: Json = jobs[0]
        return job

    def settle(self, job: Json, outcome: str, **more: object) -> Json:
        """Settle one claimed job; its element of the answer."""
        element = {"job_id": job["job_id"], "claim_id": job["claim_id"], "outcome": outcome, **more}
        answer: Json = self.call("settle_jobs", [element])[0]
        return answer

    def step_clock(self, by: timedelta) -> None:
        """Move the engine's clock for every session."""
        self.connection.execute(
            "insert into filaviva.clock_shift (shift) values (%s)"
            " on conflict (only_row) do update set shift = clock_shift.shift + excluded.shift",
            (by,),
        )

    def messages(self, queue: str = "work") -> list[tuple[str, bool]]:
        """(job id, hidden) of every pgmq message."""
        return [
            (str(row[0]), row[1])
            for row in self.connection.execute(
                "select job_id, hidden from filaviva.deliveries(%s) order by msg_id", (queue,)
            )
        ]


def _adapt(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict) else value


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    """A migrated database with a queue `work`, a kind `task`, and no jobs."""
    with database.connect() as connection:
        engine = Engine(connection)
        make_queue(engine, "work")
        yield engine


def make_queue(engine: Engine, name: str, **settings: object) -> None:
    """A queue and a kind that users may enqueue, called task (or task_<queue>)."""
    engine.call("create_queue", name, settings)
    kind = "task" if name == "work" else f"task_{name}"
    engine.call("register_kind", kind, {"queue": name, "user_may_enqueue": True})


@pytest.fixture
def alice(engine: Engine) -> uuid.UUID:
    """A user."""
    return make_user(engine)


@pytest.fixture
def bob(engine: Engine) -> uuid.UUID:
    """Another user."""
    return make_user(engine)


def make_user(engine: Engine) -> uuid.UUID:
    """A row in auth.users."""
    user = uuid.uuid4()
    with psycopg.connect(
        engine.connection.info.dsn, user="supabase_admin", password="postgres", autocommit=True
    ) as admin:
        admin.execute(
            "insert into auth.users (id, email, aud, role) values (%s, %s, 'authenticated', 'authenticated')",
            (user, f"{user}@example.com"),
        )
    return user
