"""The subcommands of `filaviva`: whatever installed packages offer in the entry-point group `filaviva.commands`.

An entry point is a plain function that typer makes a command of. By convention an extra of the same name brings
what it needs: `filaviva worker` comes with `filaviva[worker]`.
"""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

GROUP = "filaviva.commands"


class _Found(TyperGroup):
    """A group that imports a subcommand only when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the subcommands."""
        return sorted(point.name for point in entry_points(group=GROUP))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The subcommand of that name, or one that says what is missing."""
        for point in entry_points(group=GROUP, name=cmd_name):
            return _command(point)
        return None


application = typer.Typer(
    name="filaviva", cls=_Found, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


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
    application()


def _command(point: EntryPoint) -> Any:
    any_arguments: dict[str, bool] = {}
    try:
        function: Callable[..., None] = point.load()
    except ImportError as problem:
        function = _missing(point.name, problem)
        any_arguments = {"ignore_unknown_options": True, "allow_extra_args": True}  # they are right, and not looked at
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(point.name, context_settings=any_arguments)(function)
    return typer.main.get_command(alone)


def _missing(name: str, problem: ImportError) -> Callable[..., None]:
    def explain() -> None:
        typer.echo(f"filaviva {name} needs {problem.name}. Install it: pip install 'filaviva[{name}]'", err=True)
        sys.exit(2)

    explain.__doc__ = f"Not installed; comes with the extra '{name}'."
    return explain
