"""The subcommands of `filaviva`: those of the library, and whatever installed packages offer beside them.

Each is named by where its function stands, and imported when it is asked for. Packages offer theirs in the
entry-point group `filaviva.commands`; by convention an extra of the same name brings what one needs:
`filaviva worker` comes with `filaviva[worker]`.
"""

import os
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

GROUP = "filaviva.commands"

_OWN = {
    "Jobs": {
        "enqueue": "filaviva.cli.enqueue:enqueue",
        "watch": "filaviva.cli.watch:watch",
        "jobs": "filaviva.cli.jobs:jobs",
        "why": "filaviva.cli.jobs:why",
        "stats": "filaviva.cli.jobs:stats",
        "cancel": "filaviva.cli.change:cancel",
        "retry": "filaviva.cli.change:retry",
        "resolve": "filaviva.cli.change:resolve",
        "replay": "filaviva.cli.change:replay",
    },
    "Operators": {
        "queues": "filaviva.cli.queues:queues",
        "pause": "filaviva.cli.queues:pause",
        "resume": "filaviva.cli.queues:resume",
        "limits": "filaviva.cli.queues:limits",
        "alerts": "filaviva.cli.queues:alerts",
        "redrive": "filaviva.cli.many:redrive",
        "prune": "filaviva.cli.many:prune",
        "purge": "filaviva.cli.many:purge",
        "ping": "filaviva.cli.ping:ping",
        "doctor": "filaviva.cli.doctor.command:doctor",
    },
}
_OFFERED = "Programs"


class _Found(TyperGroup):
    """A group that imports a subcommand only when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the subcommands, in the order of the help."""
        offered = sorted(point.name for point in entry_points(group=GROUP))
        return [*(name for commands in _OWN.values() for name in commands), *offered]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The subcommand of that name, or one that says what is missing."""
        for panel, commands in _OWN.items():
            if cmd_name in commands:
                own = EntryPoint(cmd_name, commands[cmd_name], GROUP)
                return _command(cmd_name, own.load(), panel)
        for point in entry_points(group=GROUP, name=cmd_name):
            return _offered(point)
        return None


application = typer.Typer(name="filaviva", cls=_Found, no_args_is_help=True, pretty_exceptions_enable=False)


@application.callback(invoke_without_command=True)
def filaviva(
    show_version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    """Background jobs with live status on Supabase."""
    if show_version:
        typer.echo(f"filaviva {version('filaviva')}")
        raise typer.Exit


def run() -> None:
    """Parse the arguments of the process and run what they name."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed, as by `>&-`
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a job may hold what the terminal cannot write
    application()


def _offered(point: EntryPoint) -> Any:
    try:
        return _command(point.name, point.load(), _OFFERED)
    except ImportError as problem:
        function = _missing(point.name, problem)
        # The arguments are right, and not looked at.
        return _command(point.name, function, _OFFERED, ignore_unknown_options=True, allow_extra_args=True)


def _command(name: str, function: Callable[..., None], panel: str, **settings: bool) -> Any:
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name, context_settings=settings, rich_help_panel=panel)(function)
    return typer.main.get_command(alone)


def _missing(name: str, problem: ImportError) -> Callable[..., None]:
    def explain() -> None:
        typer.echo(f"filaviva {name} needs {problem.name}. Install it: pip install 'filaviva[{name}]'", err=True)
        sys.exit(2)

    explain.__doc__ = f"Not installed; comes with the extra '{name}'."
    return explain
