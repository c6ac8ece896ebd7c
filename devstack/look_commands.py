"""`devstack logs` and `devstack doctor`: the commands that only look."""

import contextlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from devstack.doctor import Finding, examine, leftovers
from devstack.doctor_system import size_of
from devstack.logs import SERVICES, Entry, follow_logs, read_logs
from devstack.problems import DataDir, problems_in_words
from devstack.state import StackError, StackOptions

PostgresBin = Annotated[
    Path | None,
    typer.Option("--postgres-bin", envvar="DEVSTACK_POSTGRES_BIN", help="Programs of another PostgreSQL, 15 or newer."),
]
MARKS = {"ok": ("ok  ", "green"), "warning": ("warn", "yellow"), "problem": ("FAIL", "bold red")}


def logs(
    services: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(SERVICES)}; default: all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many entries to begin with.")] = 50,
    data_dir: DataDir = Path(".devstack"),
) -> None:
    """Show what the services logged, of all of them together in the order of time."""
    folder, chosen = data_dir.resolve(), services or list(SERVICES)
    with problems_in_words(), contextlib.suppress(KeyboardInterrupt):
        for name in chosen:
            if name not in SERVICES:
                raise StackError(f"no service is named {name!r}; the services are {', '.join(SERVICES)}")
        if not folder.is_dir():
            raise StackError(f"there is no folder {folder}; name that of your stack with --data-dir")
        for entries in follow_logs(folder, chosen, lines) if follow else [read_logs(folder, chosen, lines)]:
            _print(entries, chosen)


def doctor(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port that the API is to have.")] = 54321,
    db_port: Annotated[int, typer.Option(min=0, max=65535, help="Port that the database is to have.")] = 54322,
    data_dir: DataDir = Path(".devstack"),
    postgres_bin: PostgresBin = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Delete what killed stacks and test runs left, after asking.")
    ] = False,
) -> None:
    """See whether a stack can run here, and what earlier ones left behind. Code 1 if something stands in the way."""
    if clean and as_json:
        raise typer.BadParameter("--clean asks, and --json is for programs: use one of them")
    with problems_in_words():
        findings = list(examine(StackOptions(data_dir.resolve(), port, db_port, postgres_bin=postgres_bin)))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            _print_finding(finding)
    if clean:
        with problems_in_words():
            _clean()
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


def _clean() -> None:
    """Name what was left behind, and delete it if that is wanted."""
    left = leftovers()
    for one in left:
        typer.echo(f"{one.home}: {one.reason}, {size_of(one.home)} MB")
    if not left:
        typer.echo("Nothing was left behind.")
    elif typer.confirm(f"Delete these {len(left)} folders and all that is in them?"):
        for one in left:
            shutil.rmtree(one.home)
        typer.echo("Deleted.")


def _print_finding(finding: Finding) -> None:
    mark, style = MARKS[finding.level]
    out = Console(soft_wrap=True, highlight=False)
    out.print(Text(f"{mark} ", style), Text(f"{finding.subject}: ", "bold"), Text(finding.text), sep="")
    if finding.next_step:
        out.print(Text(f"     Next: {finding.next_step}"))


def _print(entries: Sequence[Entry], chosen: Sequence[str]) -> None:
    width = max(map(len, chosen)) if len(chosen) > 1 else 0
    for entry in entries:
        for line in entry.text.splitlines():
            typer.echo(f"{entry.service:<{width}}  {line}" if width else line)
