"""What a claim of 100 costs as the backlog grows: a thousand waiting jobs beside a million, in one run.

Three backlogs of the same size behind it: due jobs in the line, jobs scheduled for later, and jobs
parked under a limit. Each is measured by the median of several claims, and by the buffers one touches.
"""

import json
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any
from uuid import uuid4

import psycopg

from benchmarks.cases import one, seconds
from devstack.cluster import Cluster

SIZES = (1_000, 1_000_000)
CLAIMS = 15
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
    """A row for each backlog and size; each starts from an empty database of its own."""
    figures = []
    for backlog, more in (("due", {}), ("scheduled", {"scheduled_at": "2099-01-01T00:00:00Z"})):
        for size in sizes:
            cluster.clone("postgres", "growth")
            try:
                with cluster.connect("growth", "postgres") as connection:
                    _fill(connection, size, more)
                    figures.append(_cost(connection, backlog, size))
            finally:
                cluster.drop("growth")
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


def _fill(connection: psycopg.Connection, size: int, more: dict[str, Any]) -> None:
    connection.execute("select public.create_queue('bench')")
    connection.execute("""select public.register_kind('bench', '{"queue": "bench"}')""")
    ready = CLAIMS * BATCH * 2  # what the claims take, beside the backlog
    for count, fields in ((size, more), (ready, {})):
        for begin in range(0, count, PER_CALL):
            jobs = [{"kind": "bench", "payload": {"n": 1}, **fields}] * min(PER_CALL, count - begin)
            connection.execute("select public.enqueue_jobs(%s)", (json.dumps(jobs),))
    connection.execute("vacuum analyze")


def _cost(connection: psycopg.Connection, backlog: str, size: int) -> Growth:
    def claim() -> Any:
        return one(connection, "select public.claim_jobs('bench', %s, 'bench', %s)", BATCH, uuid4())

    for _ in range(3):  # plans are made, pages are read
        claim()
    times = [seconds(claim) for _ in range(CLAIMS)]
    plan = one(
        connection,
        "explain (analyze, buffers, format json) select filaviva.claim_jobs('bench', %s, 'bench', gen_random_uuid())",
        BATCH,
    )
    top = plan[0]["Plan"]
    return Growth(backlog, size, median(times) * 1000, top["Shared Hit Blocks"] + top["Shared Read Blocks"])
