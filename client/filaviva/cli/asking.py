"""The yes before what cannot be taken back; and the bar that shows how far long work is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from filaviva.cli.keyboard import interruptible
from filaviva.cli.output import Output
from filaviva.errors import InvalidRequest

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")]


def confirm(question: str, *, yes: bool) -> bool:
    """Whether a person says yes; `yes` says it for them.

    Raises:
        InvalidRequest: nobody is there to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InvalidRequest(
            f"{question} Nobody is there to answer, and nothing was changed.",
            code="not_confirmed",
            hint="Add --yes to do it without the question.",
        )
    try:
        with interruptible():
            return typer.confirm(question, err=True)
    except typer.Abort:  # Ctrl-C or Ctrl-D: a no
        typer.echo(err=True)
        return False


@contextmanager
def progress_bar(out: Output, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr at a terminal; call what is yielded with the number that is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = out.as_json or not out.errors.is_terminal
    with Progress(*columns, console=out.errors, transient=True, disable=hidden) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def count(number: int, one: str = "job", many: str = "jobs") -> str:
    """The number with its noun: ``1 job``, ``2,000 jobs``."""
    return f"{number:,} {one if number == 1 else many}"
