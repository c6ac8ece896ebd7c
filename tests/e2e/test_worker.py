"""`filaviva worker` as a process: how it starts, stops, dies, and outlives the database."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devstack.cluster import free_port, remove_cluster, start_cluster
from devstack.migrations import apply_migrations, find_migrations
from tests.conftest import MIGRATIONS, REPOSITORY, Database

HANDLERS = textwrap.dedent(
    """
    import asyncio
    from pydantic import BaseModel
    from functions.jobs.outcomes import Done
    from functions.jobs.registry import handler

    class Seconds(BaseModel):
        seconds: float = 0

    @handler("task", payload=Seconds)
    async def task(job, payload, ctx):
        if job.attempt == 1:
            await asyncio.sleep(payload.seconds)
        return Done({"attempt": job.attempt})

    from filaviva.cli import main
    main()
    """
)
ENVIRONMENT = {
    "SUPABASE_URL": "http://127.0.0.1:1",
    "SUPABASE_ANON_KEY": "anon",
    "SUPABASE_SERVICE_ROLE_KEY": "service",
    "CRON_SECRET": "secret",
}


@dataclass(frozen=True, slots=True)
class Worker:
    """One process and what it logged."""

    process: subprocess.Popen[str]
    log: Path

    def said(self, event: str) -> bool:
        """Whether it has logged `event`."""
        return any(json.loads(line)["event"] == event for line in self.log.read_text().splitlines())

    def leave(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextmanager
def worker(folder: Path, dsn: str, *arguments: str, **environment: str) -> Iterator[Worker]:
    """A worker that knows the kind `task`, when it serves."""
    script = folder / "serve.py"
    script.write_text(HANDLERS)
    log = folder / f"worker-{time.monotonic_ns()}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, str(script), "worker", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(REPOSITORY), "SUPABASE_DB_URL": dsn, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    running = Worker(process, log)
    try:
        until(lambda: running.said("worker started"))
        yield running
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for `condition`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue `work` of one database."""

    connection: psycopg.Connection

    def make(self, **settings: Any) -> None:
        self.call("create_queue", "work", {"backoff_base_seconds": 0, **settings})
        self.call("register_kind", "task", {"queue": "work"})

    def call(self, function: str, *arguments: Any) -> Any:
        values = [json.dumps(value) if isinstance(value, dict | list) else value for value in arguments]
        row = self.connection.execute(f"select public.{function}({', '.join(['%s'] * len(values))})", values).fetchone()
        return row[0] if row else None

    def enqueue(self, *seconds: float) -> None:
        self.call("enqueue_jobs", [{"kind": "task", "payload": {"seconds": number}} for number in seconds])

    @property
    def statuses(self) -> list[str]:
        return [row[0] for row in self.connection.execute("select status from public.jobs order by seq")]

    @property
    def attempts(self) -> list[int]:
        return [row[0] for row in self.connection.execute("select attempt from public.jobs order by seq")]


@pytest.fixture
def queue(database: Database) -> Iterator[Queue]:
    with database.connect() as connection:
        queue = Queue(connection)
        queue.make(lease_seconds=5)
        yield queue


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_lets_short_jobs_finish_and_hands_back_long_ones(
    queue: Queue, database: Database, tmp_path: Path, number: int
) -> None:
    with worker(tmp_path, database.dsn(), FILAVIVA_SHUTDOWN_GRACE_SECONDS="4") as running:
        queue.enqueue(60, 60)
        until(lambda: queue.statuses == ["processing", "processing"])
        queue.enqueue(0)
        until(lambda: queue.statuses[-1] == "completed")  # so the others run, too
        queue.enqueue(0.7)
        until(lambda: queue.statuses[-1] == "processing")
        assert running.leave(number) == 0
        assert running.said("worker stopped")
    assert queue.statuses == ["pending", "pending", "completed", "completed"]
    assert queue.attempts == [0, 0, 1, 1]


def test_a_second_signal_ends_it_at_once(queue: Queue, database: Database, tmp_path: Path) -> None:
    with worker(tmp_path, database.dsn(), FILAVIVA_SHUTDOWN_GRACE_SECONDS="60") as running:
        queue.enqueue(60)
        until(lambda: queue.statuses == ["processing"])
        running.process.send_signal(signal.SIGTERM)
        until(lambda: running.said("worker stopping"))
        assert running.leave(seconds=5) == -signal.SIGTERM
    assert queue.statuses == ["processing"]  # its lease ends by itself


def test_what_a_killed_worker_had_is_run_by_the_one_beside_it(queue: Queue, database: Database, tmp_path: Path) -> None:
    with worker(tmp_path, database.dsn(), "--queue", "work", "--concurrency", "3") as first:
        queue.enqueue(60, 60, 60)
        until(lambda: queue.statuses == ["processing"] * 3)
        with worker(tmp_path, database.dsn(), "--queue", "work"):
            first.leave(signal.SIGKILL)
            with database.connect("supabase_admin") as admin:
                admin.execute("insert into filaviva.clock_shift (shift) values (%s)", (timedelta(seconds=6),))
            assert queue.call("rescue_jobs", 10) == 3
            until(lambda: queue.statuses == ["completed"] * 3)
    assert queue.attempts == [2, 2, 2]


def test_a_job_that_runs_while_the_database_restarts_completes_and_work_goes_on(tmp_path: Path) -> None:
    port = free_port()
    cluster = start_cluster(tmp_path / "cluster", port=port, settings={"fsync": "off"})
    try:
        apply_migrations(cluster.dsn(), find_migrations(MIGRATIONS))
        with cluster.connect(user="postgres") as connection:
            Queue(connection).make(lease_seconds=30)
            with worker(tmp_path, cluster.dsn()) as running:
                Queue(connection).enqueue(2)
                until(lambda: Queue(connection).statuses == ["processing"])
                cluster.stop(immediate=True)
                until(lambda: running.said("the database cannot be listened to; polling until it can"))
                cluster = start_cluster(tmp_path / "cluster", port=port, settings={"fsync": "off"})
                with cluster.connect(user="postgres") as again:
                    queue = Queue(again)
                    until(lambda: queue.statuses == ["completed"])
                    queue.enqueue(0)
                    until(lambda: queue.statuses == ["completed", "completed"])
                    assert queue.attempts == [1, 1]
                assert running.leave() == 0
    finally:
        cluster.stop(immediate=True)
        remove_cluster(tmp_path / "cluster")


# How it refuses to start ----------------------------------------------------------------------------


def refusal(dsn: str | None, *arguments: str) -> tuple[int, str]:
    """Exit code and words of a worker that does not start."""
    environment = {**os.environ, **ENVIRONMENT, **({} if dsn is None else {"SUPABASE_DB_URL": dsn})}
    result = subprocess.run(
        [sys.executable, "-c", "from filaviva.cli import main; main()", "worker", *arguments],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in result.stderr
    return result.returncode, result.stderr


async def test_what_it_cannot_work_with_is_named_with_the_remedy(queue: Queue, database: Database) -> None:
    dsn = database.dsn()
    cases: list[tuple[tuple[Any, ...], int, str]] = [
        ((None,), 2, "SUPABASE_DB_URL: is not set. Set it to the database's address, such as postgresql://"),
        (("https://abc.supabase.co",), 2, "must be an address that starts with postgresql://"),
        ((dsn.replace(":postgres@", ":wrong@"),), 2, "Check user, password and database in SUPABASE_DB_URL"),
        ((f"postgresql://postgres:x@127.0.0.1:{free_port()}/x",), 3, "The database cannot be reached"),
        ((database.cluster.dsn("postgres"),), 2, "Apply the migrations."),
        ((dsn, "--queue", "nobody"), 2, "There is no queue 'nobody'. Make it with create_queue()"),
        ((dsn, "--concurrency", "0"), 2, "Invalid value for '--concurrency'"),
    ]
    answers = await asyncio.gather(*(asyncio.to_thread(refusal, *arguments) for arguments, _, _ in cases))
    for (_, code, words), (status, said) in zip(cases, answers, strict=True):
        assert status == code, said
        assert words in " ".join(said.split())
