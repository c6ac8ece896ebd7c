"""The commands a person types: `up`, `status`, `stop`, `reset` stand here, `logs`, `doctor` and `fault` beside it."""

import asyncio
import contextlib
import enum
import shutil
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from devstack import fault_commands, look_commands
from devstack.display import show, show_env, show_json
from devstack.logs import FOLDER, log_file
from devstack.problems import DataDir, not_running, problems_in_words
from devstack.processes import start_detached, stop_stack
from devstack.state import LOCK, StackError, StackOptions, StackState, hold, read_state

app = typer.Typer(
    help="A local Supabase project: PostgreSQL, REST, Auth, Realtime and public media, without Docker.\n\n"
    "Every command ends with code 0 when all went well, 1 with a sentence that says what to do, 2 for a wrong option.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(fault_commands.app, name="fault")
app.command()(look_commands.logs)
app.command()(look_commands.doctor)


class Output(enum.StrEnum):
    """How `status` shows the variables."""

    PRETTY = "pretty"
    ENV = "env"
    JSON = "json"


def _port(text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(min=0, max=65535, help=text)
    return option


@app.command()
def up(
    port: Annotated[int, _port("Port of the API; 0 takes a free one.")] = 54321,
    db_port: Annotated[int, _port("Port of the database; 0 takes a free one.")] = 54322,
    functions_port: Annotated[int, _port("Port where you serve your HTTP functions; 0 picks a free number.")] = 54330,
    migrations: Annotated[Path, typer.Option(help="Folder of migrations to apply.")] = Path("supabase/migrations"),
    data_dir: DataDir = Path(".devstack"),
    postgres_bin: look_commands.PostgresBin = None,
    auth_limits: Annotated[
        bool, typer.Option("--auth-limits", help="Let Auth refuse those who ask too often, as hosted projects do.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready; `stop` ends it.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print URLs and keys as JSON, and nothing else.")] = False,
    lock: Annotated[int | None, typer.Option(hidden=True)] = None,  # the folder's, when `--detach` starts us
) -> None:
    """Start the stack, applying new migrations. It runs until Ctrl-C, or, with --detach, until `stop`."""
    options = StackOptions(data_dir.resolve(), port, db_port, functions_port, migrations, postgres_bin, auth_limits)
    out = Console(quiet=quiet or as_json)
    with problems_in_words():
        if detach:
            running = read_state(options.data_dir)
            state = running or start_detached(options, out)
            _say(out, state, "devstack already runs." if running else "devstack is ready.", as_json=as_json)
        else:
            options.check()
            with hold(options.data_dir, lock):  # at once, so that `stop` finds us while devstack is loading
                _run(options, out, as_json=as_json)


@app.command()
def status(
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the answer.")] = Output.PRETTY,
    as_json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    data_dir: DataDir = Path(".devstack"),
) -> None:
    """Show where the running stack listens, and its keys."""
    with problems_in_words():
        state = read_state(data_dir.resolve())
        if state is None:
            raise StackError(not_running(data_dir.resolve()))
    if as_json or output is Output.JSON:
        show_json(state)
    elif output is Output.PRETTY:
        show(Console(), state)
    else:
        show_env(state)


@app.command()
def stop(
    data_dir: DataDir = Path(".devstack"),
    delete: Annotated[bool, typer.Option("--delete", help="Delete its database, media and logs as well.")] = False,
) -> None:
    """Stop the running stack. Its data stays for the next start, unless it is to be deleted."""
    folder = data_dir.resolve()
    with problems_in_words():
        stopped = stop_stack(folder)
        deleted = delete and _delete(folder)
    typer.echo("devstack has stopped." if stopped else f"No stack runs on {folder}.")
    if delete:
        typer.echo(f"The data of {folder} is deleted." if deleted else "There is nothing to delete there.")


@app.command()
def reset(
    migrations: Annotated[
        Path | None,
        typer.Option(help="Folder of migrations to apply; if not given, that of before, or supabase/migrations."),
    ] = None,
    data_dir: DataDir = Path(".devstack"),
    postgres_bin: look_commands.PostgresBin = None,
) -> None:
    """Delete the data and apply all migrations again. A stack that ran is started again, detached."""
    from devstack.stack import remove_data  # noqa: PLC0415 - `status` must not wait for all of devstack to load

    folder = data_dir.resolve()
    with problems_in_words():
        before = read_state(folder)
        options = _same_again(folder, before, migrations, postgres_bin)
        options.check()  # before anything is deleted
        stop_stack(folder)
        remove_data(folder)
        if before is None:
            uvloop.run(_start_once(options))
        else:
            start_detached(options, Console())
    Console().print(
        "[bold green]The database is new.[/]", "devstack runs again." if before else "devstack is not running."
    )


def _say(out: Console, state: StackState, words: str, *, as_json: bool) -> None:
    if as_json:
        show_json(state)
    else:
        out.print(f"[bold green]{words}[/]")
        show(out, state)


def _run(options: StackOptions, out: Console, *, as_json: bool) -> None:
    """Run the stack in this process until a signal ends it."""
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_serve(options, out, as_json=as_json))


async def _serve(options: StackOptions, out: Console, *, as_json: bool) -> None:
    from devstack.stack import Stack  # noqa: PLC0415 - as in `reset`

    _cancel_on_signals()
    async with Stack(options, is_held=True) as stack:
        _say(out, stack.state, "devstack is ready.", as_json=as_json)
        out.print("Press Ctrl-C to stop. `python -m devstack logs --follow` shows what the services do.")
        await stack.until_broken()


async def _start_once(options: StackOptions) -> None:
    """Make the database and apply the migrations, without staying."""
    from devstack.stack import Stack  # noqa: PLC0415 - as in `reset`

    _cancel_on_signals()
    async with Stack(options):
        pass


def _cancel_on_signals() -> None:
    """Let Ctrl-C, SIGTERM and a closed terminal end the current task, once: stopping is not cut off."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def cancel() -> None:
        for number in signals:
            loop.add_signal_handler(number, lambda: None)
        if task is not None:
            task.cancel()

    for number in signals:
        loop.add_signal_handler(number, cancel)


def _same_again(
    data_dir: Path, before: StackState | None, migrations: Path | None, postgres_bin: Path | None
) -> StackOptions:
    """The options of the stack that runs, or, where none does, those that disturb nobody."""
    if before is None:
        return StackOptions(data_dir, 0, 0, 0, migrations or StackOptions().migrations, postgres_bin)
    folder = migrations or Path(before.migrations or "supabase/migrations")
    programs = postgres_bin or (Path(before.postgres_bin) if before.postgres_bin else None)
    ports = before.api_port, before.db_port, before.functions_port
    return StackOptions(data_dir, *ports, folder, programs, before.auth_limits)


def _delete(data_dir: Path) -> bool:
    """Delete what a stack left on `data_dir`; False if there never was one, or nothing is left of it."""
    from devstack.stack import remove_data  # noqa: PLC0415 - as in `reset`

    if not (data_dir / LOCK).exists():
        return False
    with hold(data_dir):  # nobody starts on what is being deleted
        remove_data(data_dir)
        shutil.rmtree(data_dir / FOLDER, ignore_errors=True)
        log_file(data_dir, "devstack").unlink(missing_ok=True)
        (data_dir / LOCK).unlink(missing_ok=True)
    return True
