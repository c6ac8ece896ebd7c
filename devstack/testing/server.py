"""What runs below the fixtures: one database server a run, and one set of services a test, in a thread of their own.

The services have an event loop apart from the test's, so that a test may block (the official sync client does).
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devstack.cluster import Cluster, free_port, remove_cluster, start_cluster
from devstack.cron import Cron
from devstack.cron_runs import RunResult
from devstack.doctor_system import folders_of_dead_tests
from devstack.gateway import listen
from devstack.keys import local_keys
from devstack.migrations import apply_migrations, apply_seed, find_migrations
from devstack.services import Site, serving_project
from devstack.testing.project import Project

TEMPLATE = "template_app"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Tests do not wait for the disk."""

START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Server:
    """The database server of a run, and the loop in which services work."""

    cluster: Cluster
    loop: asyncio.AbstractEventLoop
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


@contextlib.contextmanager
def running_server(folder: Path, migrations: Path, postgres_bin: Path | None) -> Iterator[Server]:
    """A server with a template that holds `migrations`, and a loop, while the context lasts."""
    folder = _folder_in_memory(otherwise=folder)
    cluster = start_cluster(folder, settings=FAST, postgres_bin=postgres_bin)
    try:
        cluster.clone("postgres", TEMPLATE)
        apply_migrations(cluster.dsn(TEMPLATE), find_migrations(migrations))
        apply_seed(cluster.dsn(TEMPLATE), migrations.parent / "seed.sql")
        with _loop_in_a_thread() as loop:
            yield Server(cluster, loop)
    finally:
        cluster.stop(immediate=True)
        remove_cluster(folder)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def serving_clone(server: Server, media: Path) -> Iterator[Project]:
    """A project on a new copy of the template while the context lasts; then the copy is dropped."""
    name = f"project_{next(server.numbers)}"
    cluster, keys = server.cluster, local_keys()
    cluster.clone(TEMPLATE, name)
    try:
        _bring_jobs_home(cluster, name)
        with contextlib.closing(listen(0)) as listener:
            site = Site(lambda role: cluster.dsn(name, role), listener, media, keys, f"http://127.0.0.1:{free_port()}")
            with _living(server.loop, site) as cron:
                project = Project(site, _runner(server.loop, cron))
                try:
                    yield project
                finally:
                    project.close()
    finally:
        cluster.drop(name)


def _bring_jobs_home(cluster: Cluster, database: str) -> None:
    """Let the jobs of the migrations run in the copy: pg_cron noted the database in which they were scheduled."""
    with cluster.connect(database) as connection:
        if connection.execute("select to_regclass('cron.job')").fetchone() != (None,):
            connection.execute("update cron.job set database = %s where database = %s", (database, TEMPLATE))


def _folder_in_memory(otherwise: Path) -> Path:
    """A folder in shared memory, where copying a database takes a tenth of the time; else `otherwise`."""
    memory = Path("/dev/shm")  # noqa: S108 - the system's own
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 2 << 30:
        return otherwise
    for left in folders_of_dead_tests():
        shutil.rmtree(left, ignore_errors=True)
    return memory / f"filaviva-tests-app-{os.getpid()}"


@contextlib.contextmanager
def _loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="devstack services", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def _living(loop: asyncio.AbstractEventLoop, site: Site) -> Iterator[Cron]:
    """The services in `loop`, begun and ended by one task of it."""
    ready: Future[Cron] = Future()
    enough = asyncio.Event()

    async def live() -> None:
        async with serving_project(site) as cron:
            ready.set_result(cron)
            await enough.wait()

    life = asyncio.run_coroutine_threadsafe(live(), loop)
    either: list[Future[Any]] = [life, ready]
    wait(either, timeout=START_SECONDS, return_when=FIRST_COMPLETED)
    if life.done():
        life.result()  # raises what kept the services from starting
    try:
        yield ready.result(timeout=0)
    finally:
        loop.call_soon_threadsafe(enough.set)
        life.result(timeout=START_SECONDS)


def _runner(loop: asyncio.AbstractEventLoop, cron: Cron) -> Callable[[str], RunResult]:
    def run(jobname: str) -> RunResult:
        return asyncio.run_coroutine_threadsafe(cron.run_now(jobname), loop).result(timeout=START_SECONDS)

    return run
