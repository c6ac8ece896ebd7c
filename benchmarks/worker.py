"""The long-running worker on a real server: how soon an idle one starts a job, and how many no-ops it runs a second.

Worker, enqueuer and database share the machine, as everything here does.
"""

import asyncio
import contextlib
import resource
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import psycopg
import structlog
from pydantic import BaseModel, ConfigDict

from devstack.cluster import Cluster
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from functions.jobs.registry import handler
from functions.settings import Settings
from functions.worker.postgres_ledger import PostgresLedger
from functions.worker.process import WorkerProcess

PICKUPS = 300
JOBS = 20_000
PER_CALL = 1_000
CONCURRENCY = 500
KIND = "bench_worker"


class NoOp(BaseModel):
    """Whatever the job carries."""

    model_config = ConfigDict(extra="allow")


@dataclass(slots=True)
class _Watch:
    """When jobs start; set by the handler, read by the measurement."""

    started: asyncio.Event
    reached: asyncio.Event
    count: int = 0
    goal: int = 0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """Milliseconds from an enqueue's commit to the handler's start; jobs a second; memory of this process."""

    pickup_p50_ms: float
    pickup_p99_ms: float
    noop_per_second: float
    memory_mb: float


def measure(cluster: Cluster) -> WorkerFigures:
    """All figures, on a migrated database of the cluster's own."""
    return asyncio.run(_measure(cluster))


def as_json(figures: WorkerFigures) -> dict[str, Any]:
    """For the results file."""
    return asdict(figures)


async def _measure(cluster: Cluster) -> WorkerFigures:
    watch = _Watch(asyncio.Event(), asyncio.Event())

    @handler(KIND, payload=NoOp)
    async def run(job: ClaimedJob, payload: NoOp, ctx: Context) -> Outcome:
        watch.at = time.perf_counter()
        watch.count += 1
        watch.started.set()
        if watch.count == watch.goal:
            watch.reached.set()
        return Done()

    async with await psycopg.AsyncConnection.connect(cluster.dsn(), autocommit=True) as connection:
        await connection.execute("select public.create_queue('bench_worker')")
        await connection.execute("""select public.register_kind('bench_worker', '{"queue": "bench_worker"}')""")
        async with _working(cluster):
            pickups = [await _pickup(connection, watch) for _ in range(PICKUPS + 20)][20:]
            rate = await _rate(connection, watch)
    quantiles = statistics.quantiles(pickups, n=100)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return WorkerFigures(statistics.median(pickups) * 1000, quantiles[98] * 1000, rate, memory)


async def _pickup(connection: psycopg.AsyncConnection, watch: _Watch) -> float:
    watch.started.clear()
    await connection.execute("""select public.enqueue_jobs('[{"kind": "bench_worker"}]')""")
    committed = time.perf_counter()
    await watch.started.wait()
    await asyncio.sleep(0.02)  # the worker settles and is idle again: what is measured is an idle worker
    return max(watch.at - committed, 0.0)


async def _rate(connection: psycopg.AsyncConnection, watch: _Watch) -> float:
    jobs = "[" + ",".join(['{"kind": "bench_worker"}'] * PER_CALL) + "]"
    await connection.execute("select public.pause_queue('bench_worker')")
    for _ in range(JOBS // PER_CALL):
        await connection.execute("select public.enqueue_jobs(%s)", (jobs,))
    await connection.execute("vacuum analyze")
    watch.goal = watch.count + JOBS
    began = time.perf_counter()
    await connection.execute("select public.resume_queue('bench_worker')")
    await watch.reached.wait()
    return JOBS / (time.perf_counter() - began)


@contextlib.asynccontextmanager
async def _working(cluster: Cluster) -> AsyncIterator[None]:
    url, stopping = cluster.dsn(user="postgres"), asyncio.Event()
    quiet = structlog.make_filtering_bound_logger(50)
    log = structlog.wrap_logger(structlog.PrintLogger(), wrapper_class=quiet)
    settings = Settings.from_environ(
        {
            "SUPABASE_URL": "http://127.0.0.1:1",  # asked for by every part of the functions, used by none here
            "SUPABASE_ANON_KEY": "unused",
            "SUPABASE_SERVICE_ROLE_KEY": "unused",
            "CRON_SECRET": "unused",
            "SUPABASE_DB_URL": url,
        }
    )
    async with httpx.AsyncClient() as http, PostgresLedger(url) as ledger:
        process = WorkerProcess(
            settings, ledger, http, queues=["bench_worker"], concurrency=CONCURRENCY, log=log, stopping=stopping
        )
        running = asyncio.create_task(process.run())
        await asyncio.sleep(1.0)  # it connects and listens
        try:
            yield
        finally:
            stopping.set()
            await running
