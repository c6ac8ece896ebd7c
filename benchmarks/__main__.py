"""Run the benchmarks: `python -m benchmarks [throughput growth worker rest live devstack]`, all of them by default.

Each shows a table and writes build/bench/<name>.json. Times of a busy machine mean little; ratios within one run hold.
"""

import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import devstack, growth, live, rest, throughput, worker
from devstack.cluster import Cluster, remove_cluster, start_cluster
from devstack.migrations import apply_migrations, find_migrations

RESULTS = Path("build/bench")


@contextmanager
def migrated_cluster() -> Iterator[Cluster]:
    """A durable server of its own, with the migrations, and a template of them that nobody uses."""
    with tempfile.TemporaryDirectory() as scratch:
        cluster = start_cluster(Path(scratch))
        try:
            apply_migrations(cluster.dsn(), find_migrations(Path("supabase/migrations")))
            cluster.clone("postgres", "template_growth")
            yield cluster
        finally:
            cluster.stop(immediate=True)
            remove_cluster(Path(scratch))


def run_throughput() -> Any:
    """The engine beside the bare reference, in SQL."""
    with migrated_cluster() as cluster:
        figures = throughput.measure(cluster)
    rows = [(f.what, f"{f.bare:,.0f}", f"{f.engine:,.0f}", f"{f.ratio:.2f}") for f in figures]
    show("Jobs a second in SQL, rounds taking turns", ("", "bare", "engine", "ratio"), rows)
    return throughput.as_json(figures)


def run_growth() -> Any:
    """A claim as the backlog grows."""
    with migrated_cluster() as cluster:
        figures = growth.measure(cluster)
    rows = [(f.backlog, f"{f.waiting:,}", f"{f.milliseconds:.2f}", f"{f.buffers:,}") for f in figures]
    show("A claim of 100", ("backlog", "waiting", "ms", "buffers"), rows)
    ratios = growth.ratios(figures)
    Console().print("Large over small: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    return {"claims": growth.as_json(figures), "ratios": ratios}


def run_worker() -> Any:
    """The long-running worker."""
    with migrated_cluster() as cluster:
        figures = worker.measure(cluster)
    rows = [
        ("pick-up p50", f"{figures.pickup_p50_ms:.2f} ms"),
        ("pick-up p99", f"{figures.pickup_p99_ms:.2f} ms"),
        ("no-op jobs", f"{figures.noop_per_second:,.0f} a second"),
        ("memory of the process", f"{figures.memory_mb:.0f} MB"),
    ]
    show("filaviva worker on direct PostgreSQL", ("", ""), rows)
    return worker.as_json(figures)


def run_rest() -> Any:
    """The engine through devstack's REST."""
    figures = rest.measure()
    show("Jobs a second through REST", ("", ""), [(f.what, f"{f.per_second:,.0f}") for f in figures])
    return rest.as_json(figures)


def run_live() -> Any:
    """Live views at the client."""
    figures = live.measure()
    rows = [(f.name, f"{f.value:,.1f} {f.unit}", f"≤ {f.limit:g} {f.unit}") for f in figures]
    show("Live views", ("", "reached", "to reach"), rows)
    return live.as_json(figures)


BENCHMARKS: dict[str, Callable[[], Any]] = {
    "throughput": run_throughput,
    "growth": run_growth,
    "worker": run_worker,
    "rest": run_rest,
    "live": run_live,
    "devstack": devstack.run,
}


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One table."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in {"", "backlog"} else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Which ones: {', '.join(BENCHMARKS)}.")] = None,
) -> None:
    """Measure, show, and write."""
    unknown = set(names or []) - set(BENCHMARKS)
    if unknown:
        raise typer.BadParameter(
            f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}."
        )
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in names or BENCHMARKS:
        load = os.getloadavg()[0]
        result = {
            "at": datetime.now(UTC).isoformat(),
            "machine": f"{platform.platform()}, {os.cpu_count()} cores",
            "load_before": load,
            "figures": BENCHMARKS[name](),
        }
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
