"""Run the benchmarks on a durable server of their own; a table for people, build/bench/engine.json for machines."""

import json
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.engine import DRAIN_BATCH, ENQUEUE_BATCH, JOBS, measure_bare, measure_engine
from devstack.cluster import remove_cluster, start_cluster
from devstack.migrations import apply_migrations, find_migrations

TARGET_DRAIN_RATIO = 0.7
"""Of the bare case, through direct PostgreSQL: the project's goal, not yet a gate."""


def main() -> None:
    """Measure, show, and write."""
    with tempfile.TemporaryDirectory() as scratch:
        cluster = start_cluster(Path(scratch))
        try:
            apply_migrations(cluster.dsn(), find_migrations(Path("supabase/migrations")))
            bare, engine = measure_bare(cluster), measure_engine(cluster)
        finally:
            cluster.stop(immediate=True)
            remove_cluster(Path(scratch))
    table = Table(
        title=f"{JOBS:,} no-op jobs, enqueue by {ENQUEUE_BATCH}, drain by {DRAIN_BATCH}", title_justify="left"
    )
    for column in ("jobs a second", "bare", "engine", "ratio"):
        table.add_column(column, justify="right")
    table.add_row("enqueue", f"{bare.enqueue:,.0f}", f"{engine.enqueue:,.0f}", f"{engine.enqueue / bare.enqueue:.2f}")
    table.add_row("drain", f"{bare.drain:,.0f}", f"{engine.drain:,.0f}", f"{engine.drain / bare.drain:.2f}")
    Console().print(table, f"The goal for the drain is a ratio of {TARGET_DRAIN_RATIO}.")
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "at": datetime.now(UTC).isoformat(),
        "machine": platform.platform(),
        "jobs": JOBS,
        "bare": {"enqueue": bare.enqueue, "drain": bare.drain},
        "engine": {"enqueue": engine.enqueue, "drain": engine.drain},
    }
    (folder / "engine.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
