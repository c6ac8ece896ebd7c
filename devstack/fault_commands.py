"""`devstack fault …`: throw faults into the running stack from the command line."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from devstack.cluster import SUPERUSER
from devstack.faults import Faults
from devstack.problems import DataDir, not_running, problems_in_words
from devstack.state import StackError, read_state

app = typer.Typer(help="Throw faults into the running stack, to see what your app makes of them.", no_args_is_help=True)


@app.command()
def net(
    drop: Annotated[int | None, typer.Option(min=1, help="Lose the next N requests.")] = None,
    resend: Annotated[int | None, typer.Option(min=1, help="Deliver each of the next N requests repeatedly.")] = None,
    arrivals: Annotated[
        int | None, typer.Option(min=2, max=6, help="How many times, for --resend; if not given, 2.")
    ] = None,
    delay: Annotated[int | None, typer.Option(min=1, help="Send each of the next N requests late.")] = None,
    milliseconds: Annotated[int | None, typer.Option(min=1, help="How late, for --delay; if not given, 1000.")] = None,
    lose_wakes: Annotated[int | None, typer.Option(min=1, help="Let the worker miss the next N wakes.")] = None,
    cancel_batches: Annotated[
        int | None, typer.Option(min=1, help="Cancel the next N batches after they were sent: each is sent again.")
    ] = None,
    lose_queue: Annotated[bool, typer.Option("--lose-queue", help="Empty the queue, as a crash does.")] = False,
    data_dir: DataDir = Path(".devstack"),
) -> None:
    """Faults of pg_net's requests."""
    if milliseconds is not None and delay is None:
        raise typer.BadParameter("--milliseconds says how late: add --delay N for how many requests")
    if arrivals is not None and resend is None:
        raise typer.BadParameter("--arrivals says how often each arrives: add --resend N for how many requests")
    with _faults(data_dir) as faults:
        if drop:
            faults.net.drop(drop)
        if resend:
            faults.net.resend(resend, arrivals or 2)
        if delay:
            faults.net.delay(milliseconds or 1000, delay)
        if lose_wakes:
            faults.net.lose_wakes(lose_wakes)
        if cancel_batches:
            faults.net.cancel_batches(cancel_batches)
        if lose_queue:
            faults.net.lose_queue()
        _show(faults)


@app.command()
def cron(
    skip: Annotated[int | None, typer.Option(min=1, help="Let the next N runs not happen.")] = None,
    refuse: Annotated[int | None, typer.Option(min=1, help="Let the next N runs find no connection.")] = None,
    kill_launcher: Annotated[bool, typer.Option("--kill-launcher", help="Let no job run any more.")] = False,
    revive_launcher: Annotated[bool, typer.Option("--revive-launcher", help="Let jobs run again.")] = False,
    step_clock: Annotated[float | None, typer.Option(help="Step cron's clock by so many seconds, also back.")] = None,
    set_clock: Annotated[
        datetime | None,
        typer.Option(help="Set cron's clock, as in 2026-12-31T23:59:50+0000.", formats=["%Y-%m-%dT%H:%M:%S%z"]),
    ] = None,
    data_dir: DataDir = Path(".devstack"),
) -> None:
    """Faults of pg_cron's scheduler, and its clock."""
    with _faults(data_dir) as faults:
        if skip:
            faults.cron.skip(skip)
        if refuse:
            faults.cron.refuse(refuse)
        if kill_launcher:
            faults.cron.kill_launcher()
        if revive_launcher:
            faults.cron.revive_launcher()
        if step_clock is not None:
            faults.cron.step_clock(step_clock)
        if set_clock is not None:
            faults.cron.set_clock(set_clock)
        _show(faults)


@app.command("list")
def list_faults(data_dir: DataDir = Path(".devstack")) -> None:
    """Show what is still to happen."""
    with _faults(data_dir) as faults:
        _show(faults)


@app.command()
def clear(data_dir: DataDir = Path(".devstack")) -> None:
    """Take everything back."""
    with _faults(data_dir) as faults:
        faults.clear()
        _show(faults)


@contextlib.contextmanager
def _faults(data_dir: Path) -> Iterator[Faults]:
    with problems_in_words():
        state = read_state(data_dir.resolve())
        if state is None:
            raise StackError(not_running(data_dir.resolve()))
        with Faults(state.db_url.replace("//postgres:", f"//{SUPERUSER}:")) as faults:
            yield faults


def _show(faults: Faults) -> None:
    pending = faults.pending()
    if not pending:
        typer.echo("No fault is to happen.")
        return
    table = Table("service", "fault", "times left", "amount", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for fault in pending:
        left = "until cleared" if fault.remaining is None else str(fault.remaining)
        table.add_row(fault.service, fault.fault, left, "" if fault.amount is None else f"{fault.amount:g}")
    Console().print(table)
