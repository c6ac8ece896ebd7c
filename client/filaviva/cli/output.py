"""What a command prints: tables for people, JSON for machines.

At a terminal tables have colours and fit its width. Elsewhere they are plain and as wide as they must be, so that
nothing is cut for the next program. The words of jobs come from outside: what would steer a terminal is taken out.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table
from rich.text import Text

from filaviva.cli.words import status_word
from filaviva.models import JobStatus
from filaviva.waiting import Language

Cell = str | Text | int | float | None

_NO_TERMINAL_WIDTH = 4000
_WIDE = 100
_LOOKS = {
    JobStatus.PENDING: ("○", ""),
    JobStatus.PROCESSING: ("●", "blue"),
    JobStatus.RETRYING: ("↻", "yellow"),
    JobStatus.COMPLETED: ("✓", "green"),
    JobStatus.FAILED: ("✗", "red"),
    JobStatus.CANCELLED: ("-", "dim"),
    JobStatus.UNCONFIRMED: ("?", "magenta"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        name: its heading.
        right: whether it holds numbers.
        flexible: whether it gives way where the line is too short.
        wide: whether it is shown only where a line has 100 columns or more.
    """

    name: str
    right: bool = False
    flexible: bool = False
    wide: bool = False


class Output:
    """Where a command prints to.

    Args:
        as_json: for a machine, and not for people.
        language: of the words for a status.
    """

    def __init__(self, *, as_json: bool, language: Language) -> None:
        self.as_json = as_json
        self.language = language
        self.console = console(stderr=False)
        self.errors = console(stderr=True)

    @property
    def is_live(self) -> bool:
        """Whether a table may be repainted: for people at a terminal."""
        return self.console.is_terminal and not self.as_json

    def document(self, value: Any) -> None:
        """Print models, or what holds them, as one JSON document."""
        typer.echo(json.dumps(to_jsonable_python(value), ensure_ascii=False, indent=2))

    def event(self, value: Any) -> None:
        """Print one line of JSON, at once."""
        typer.echo(json.dumps(to_jsonable_python(value), ensure_ascii=False))

    def line(self, text: str | Text) -> None:
        """Print a line for people; nothing with `--json`."""
        if not self.as_json:
            self.console.print(as_text(text), soft_wrap=True)

    def note(self, text: str) -> None:
        """Say to people beside the output what is going on; nothing with `--json`."""
        if not self.as_json:
            self.errors.print(Text(clean(text), style="dim"), soft_wrap=True)

    def print_table(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
        """Print a table for people."""
        self.console.print(self.table(columns, rows))

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Table:
        """A table that fits the terminal; one without rows has its headings alone."""
        shown = [number for number, column in enumerate(columns) if self.console.width >= _WIDE or not column.wide]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for number in shown:
            column = columns[number]
            table.add_column(column.name, justify="right" if column.right else "left", no_wrap=not column.flexible)
        for row in rows:
            table.add_row(*(_one_line(row[number]) for number in shown))
        return table

    def print_fields(self, fields: Iterable[tuple[str, Cell]]) -> None:
        """Print names with their values, one a line; a long value goes on in the next."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in fields:
            table.add_row(name, as_text(value))
        self.console.print(table)

    def status(self, status: JobStatus) -> Text:
        """The status with its sign and colour."""
        sign, style = _LOOKS[status]
        return Text(f"{sign} {status_word(status, self.language)}", style=style)


def clean(text: str) -> str:
    """The text without what would steer a terminal; a line end becomes a space."""
    return "".join(sign if sign.isprintable() else " " if sign in "\n\t\r" else "�" for sign in text)


def as_text(cell: Cell) -> Text:
    """The cell as text that is shown as it stands."""
    if isinstance(cell, Text):
        return cell
    return Text("" if cell is None else clean(str(cell)))


def duration(seconds: float) -> str:
    """A length of time in its largest fitting unit: ``340 ms``, ``12 s``, ``5 min``, ``3 h``, ``9 d``."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms"
    for unit, length, below in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < below:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // 86_400)} d"


def age(moment: datetime | None) -> str:
    """How long ago the moment was, or in how long it will be; nothing for None."""
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < -1:
        return f"in {duration(-seconds)}"
    return duration(max(0.0, seconds)) if seconds >= 1 else "now"


def _one_line(cell: Cell) -> Text:
    text = as_text(cell)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def console(*, stderr: bool) -> Console:
    """Where to print: with colours and as wide as it is where a person reads, plain and without a limit elsewhere."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _NO_TERMINAL_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)
