"""What a claim of 100 costs as the backlog grows: a thousand waiting jobs beside a million, in one run.

Two backlogs: due jobs, and jobs scheduled for later. Each is measured by the median of several claims,
small and large taking turns, and by the buffers that one claim touches.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any
from uuid import uuid4

import psycopg

from benchmarks.cases import one, seconds
from devstack.cluster import Cluster

SIZES = (1_000, 1_000_000)
CLAIMS = 25
WARM_UP = 10
"""Claims before the first that counts: plans are made, pages are read."""
BATCH = 100
PER_CALL = 10_000


@dataclass(frozen=True, slots=True)
class Growth:
    """The cost of one claim of 100 with so many jobs waiting."""

    backlog: str
    waiting: int
    milliseconds: float
    buffers: int


def measure(cluster: Cluster, sizes: tuple[int, ...] = SIZES) -> list[Growth]:
    """A row for each backlog and size. `cluster` has a migrated database `template_growth` that nobody uses."""
    figures = []
    for backlog, more in (("due", {}), ("scheduled", {"scheduled_at": "2099-01-01T00:00:00Z"})):
        with ExitStack() as stack:
            connections = [stack.enter_context(_filled(cluster, size, more)) for size in sizes]
            times: list[list[float]] = [[] for _ in sizes]
            for turn in range(WARM_UP + CLAIMS):
                for connection, measured in zip(connections, times, strict=True):
                    spent = seconds(partial(_claim, connection))
                    if turn >= WARM_UP:
                        measured.append(spent)
            for size, connection, measured in zip(sizes, connections, times, strict=True):
                figures.append(Growth(backlog, size, median(measured) * 1000, _buffers(connection)))
    return figures


def as_json(figures: list[Growth]) -> list[dict[str, Any]]:
    """For the results file."""
    return [asdict(figure) for figure in figures]


def ratios(figures: list[Growth]) -> dict[str, float]:
    """For each backlog: the cost at the largest size over that at the smallest."""
    grouped: dict[str, list[Growth]] = {}
    for figure in figures:
        grouped.setdefault(figure.backlog, []).append(figure)
    return {name: rows[-1].milliseconds / rows[0].milliseconds for name, rows in grouped.items()}


@contextmanager
def _filled(cluster: Cluster, size: int, more: dict[str, Any]) -> Iterator[psycopg.Connection]:
    """A database with so many jobs waiting and, beside them, what the claims take."""
    name = f"growth_{size}"
    cluster.clone("template_growth", name)
    try:
        with cluster.connect(name, "postgres") as connection:
            connection.execute("select public.create_queue('bench')")
            connection.execute("""select public.register_kind('bench', '{"queue": "bench"}')""")
            for count, fields in ((size, more), ((CLAIMS + WARM_UP + 1) * BATCH, {})):
                for begin in range(0, count, PER_CALL):
                    jobs = [{"kind": "bench", "payload": {"n": 1}, **fields}] * min(PER_CALL, count - begin)
                    connection.execute("select public.enqueue_jobs(%s)", (json.dumps(jobs),))
            connection.execute("vacuum analyze")
            yield connection
    finally:
        cluster.drop(name)


def _claim(connection: psycopg.Connection) -> Any:
    return one(connection, "select public.claim_jobs('bench', %s, 'bench', %s)", BATCH, uuid4())


def _buffers(connection: psycopg.Connection) -> int:
    plan = one(
        connection,
        "explain (analyze, buffers, format json) select filaviva.claim_jobs('bench', %s, 'bench', gen_random_uuid())",
        BATCH,
    )
    top = plan[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])
