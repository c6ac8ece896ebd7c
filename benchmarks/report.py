"""Write docs/results/engine.md from what the benchmarks and proofs left in build/: `python -m benchmarks.report`."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BENCH, PROOFS, REPORT = Path("build/bench"), Path("build/proofs"), Path("docs/results/engine.md")

Rows = Sequence[Sequence[str]]

PREFACE = """# What was measured and proved

Made by `python -m benchmarks.report` from `build/bench` (`make bench`) and `build/proofs` (`make test` for tier Q,
`make faults` for tier N). {date}, commit {commit}, {machine}, {cores} cores; PostgreSQL 17, durable in the benchmarks.

A rate depends on the machine and on what else runs on it; a ratio within one run does not. The bare case is
[benchmarks/bare.sql](../../benchmarks/bare.sql): one status row and one pgmq message a job, and no owner, lease,
fencing, group, key, fairness or row-level security.
"""


def main() -> None:
    """Read what there is, and write the page."""
    sections = [
        PREFACE.format(
            date=datetime.now(UTC).date(),
            commit=_commit(),
            machine=f"{platform.system()} {platform.machine()}",
            cores=os.cpu_count(),
        ),
        *_benchmarks(),
        *_proofs(),
    ]
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("\n".join(sections))


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _benchmarks() -> Iterator[str]:
    rows: Rows
    if found := _read("throughput"):
        rows = [(f["what"], f"{f['bare']:,.0f}", f"{f['engine']:,.0f}", f"{f['ratio']:.2f}") for f in found]
        yield _section("Throughput in SQL, jobs a second", ("", "bare", "engine", "ratio"), rows)
    if found := _read("growth"):
        rows = [
            (c["backlog"], f"{c['waiting']:,}", f"{c['milliseconds']:.2f}", f"{c['buffers']:,}")
            for c in found["claims"]
        ]
        yield _section("A claim of 100 as the backlog grows", ("backlog", "waiting", "ms", "buffers"), rows)
        yield "Large over small: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in found["ratios"].items()) + ".\n"
    if found := _read("worker"):
        rows = [
            ("pick-up of an idle worker, p50", f"{found['pickup_p50_ms']:.2f} ms", "3 ms"),
            ("pick-up of an idle worker, p99", f"{found['pickup_p99_ms']:.2f} ms", "8 ms"),
            ("no-op jobs through handlers", f"{found['noop_per_second']:,.0f} a second", ""),
            ("memory of the process", f"{found['memory_mb']:.0f} MB", "80 MB"),
        ]
        yield _section("`filaviva worker` on direct PostgreSQL", ("", "reached", "to reach"), rows)
    if found := _read("rest"):
        rows = [(f["what"], f"{f['per_second']:,.0f}") for f in found]
        yield _section("Through devstack's REST, jobs a second", ("", "reached"), rows)
    if found := _read("live"):
        rows = [(f["name"], f"{f['value']:,.1f} {f['unit']}", f"≤ {f['limit']:g} {f['unit']}") for f in found]
        yield _section("Live views at the client, on devstack", ("", "reached", "to reach"), rows)
    if found := _read("devstack"):
        figures = found.values()
        rows = [
            (f["name"], f"{f['value']:,.2f} {f['unit']}", f"{'≥' if f['least'] else '≤'} {f['limit']:g}")
            for f in figures
        ]
        yield _section("What devstack costs", ("", "reached", "to reach"), rows)


def _read(name: str) -> Any:
    path = BENCH / f"{name}.json"
    return json.loads(path.read_text())["figures"] if path.exists() else None


def _proofs() -> Iterator[str]:
    lines = [json.loads(line) for path in PROOFS.glob("*.json") for line in path.read_text().splitlines()]
    lines.sort(key=lambda line: (line["proof"], line["name"], line["tier"] == "N"))
    rows = [
        (f"#{line['proof']} {line['name']}", line["tier"], line["reached"], line["target"], str(line["seed"]))
        for line in lines
    ]
    if rows:
        yield _section("Proofs", ("proof", "tier", "reached", "to reach", "seed"), rows)


def _section(title: str, columns: Sequence[str], rows: Rows) -> str:
    table = [columns, ["---"] * len(columns), *rows]
    return f"## {title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in table) + "\n"


if __name__ == "__main__":
    main()
