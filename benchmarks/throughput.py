"""Enqueue and drain through SQL, the engine beside the bare reference, in alternating rounds of one run.

Rounds alternate because a shared machine's speed drifts within seconds; the ratio of each round is what counts.
"""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.cases import Bare, Engine, drain, make_owner, seconds
from devstack.cluster import Cluster

ROUNDS = 9
JOBS_A_ROUND = 5_000
ENQUEUE_BATCH = 1_000
DRAIN_BATCHES = (100, 500)


@dataclass(frozen=True, slots=True)
class Figure:
    """Jobs a second: the median of the rounds, and of their ratios."""

    what: str
    bare: float
    engine: float
    ratio: float


def measure(cluster: Cluster, rounds: int = ROUNDS) -> list[Figure]:
    """Figures for the enqueue and for the drain at each batch."""
    with cluster.connect() as ours, cluster.connect() as theirs, cluster.connect(user="supabase_admin") as admin:
        bare, engine = Bare(theirs), Engine(ours, owner=make_owner(admin))
        enqueues: list[tuple[float, float]] = []
        drains: dict[int, list[tuple[float, float]]] = {batch: [] for batch in DRAIN_BATCHES}
        for batch in DRAIN_BATCHES:
            for _ in range(rounds):
                enqueues.append((_enqueue(bare), _enqueue(engine)))
                drains[batch].append((_drain(bare, batch), _drain(engine, batch)))
                admin.execute("vacuum analyze public.jobs, filaviva.due_jobs, pgmq.q_bench, pgmq.q_bare, bare.jobs")
    figures = [_figure(f"enqueue by {ENQUEUE_BATCH}", enqueues)]
    return figures + [_figure(f"drain by {batch}", rates) for batch, rates in drains.items()]


def as_json(figures: list[Figure]) -> list[dict[str, Any]]:
    """For the results file."""
    return [asdict(figure) for figure in figures]


def _enqueue(case: Bare | Engine) -> float:
    def work() -> None:
        for _ in range(JOBS_A_ROUND // ENQUEUE_BATCH):
            case.enqueue(ENQUEUE_BATCH)

    return JOBS_A_ROUND / seconds(work)


def _drain(case: Bare | Engine, batch: int) -> float:
    return JOBS_A_ROUND / seconds(lambda: drain(case, batch))


def _figure(what: str, rates: list[tuple[float, float]]) -> Figure:
    return Figure(
        what,
        median(bare for bare, _ in rates),
        median(engine for _, engine in rates),
        median(engine / bare for bare, engine in rates),
    )
