"""Enqueue and drain through SQL, the engine beside the bare reference, on one server in one run."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from devstack.cluster import Cluster

JOBS = 20_000
ENQUEUE_BATCH = 1_000
DRAIN_BATCH = 100


@dataclass(frozen=True, slots=True)
class Rates:
    """Jobs a second."""

    enqueue: float
    drain: float


def measure_bare(cluster: Cluster) -> Rates:
    """The bare case: see bare.sql."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute((Path(__file__).parent / "bare.sql").read_bytes())
        batch = json.dumps([{"n": 1}] * ENQUEUE_BATCH)
        enqueue = _rate(lambda: _fill(connection, "select bare.enqueue(%s)", batch))

        def drain() -> None:
            results: list[dict[str, Any]] = []
            while jobs := _value(connection, "select bare.settle_and_claim(%s, %s)", json.dumps(results), DRAIN_BATCH):
                results = [{"job_id": job["job_id"], "msg_id": job["msg_id"]} for job in jobs]

        return Rates(enqueue, _rate(drain))


def measure_engine(cluster: Cluster) -> Rates:
    """The engine: owners, leases, fencing, groups, keys and RLS in place."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("select public.create_queue('bench')")
        connection.execute("""select public.register_kind('bench', '{"queue": "bench"}')""")
        batch = json.dumps([{"kind": "bench", "payload": {"n": 1}}] * ENQUEUE_BATCH)
        enqueue = _rate(lambda: _fill(connection, "select public.enqueue_jobs(%s)", batch))

        def drain() -> None:
            results: list[dict[str, Any]] = []
            while True:
                statement = "select public.settle_and_claim(%s, 'bench', %s, 'w', %s)"
                answer = _value(connection, statement, json.dumps(results), DRAIN_BATCH, uuid.uuid4())
                jobs = answer["claimed"]["jobs"]
                if not jobs:
                    return
                results = [{"job_id": j["job_id"], "claim_id": j["claim_id"], "outcome": "done"} for j in jobs]

        return Rates(enqueue, _rate(drain))


def _fill(connection: psycopg.Connection, statement: str, batch: str) -> None:
    for _ in range(JOBS // ENQUEUE_BATCH):
        connection.execute(statement, (batch,))


def _rate(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return JOBS / (time.perf_counter() - began)


def _value(connection: psycopg.Connection, statement: str, *arguments: object) -> Any:
    row = connection.execute(statement, arguments).fetchone()
    return row[0] if row else None
