"""The commands a person types: up, status, stop, reset. The work itself is done in `stack`."""

import asyncio
import contextlib
import enum
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from devstack.keys import local_keys
from devstack.state import LOCK, StackError, StackOptions, StackState, hold, holder, read_state

LOG = "devstack.log"
STOP_SECONDS = 40
"""How long `stop` waits; the database may take 30 of them."""

app = typer.Typer(
    help="A local Supabase project: PostgreSQL, REST, Auth, Realtime and public media, without Docker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Output(enum.StrEnum):
    """How `status` shows the variables."""

    PRETTY = "pretty"
    ENV = "env"
    JSON = "json"


def _port(text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(min=0, max=65535, help=text)
    return option


DataDir = Annotated[Path, typer.Option("--data-dir", help="Where everything of this stack lives.")]


@app.command()
def up(
    port: Annotated[int, _port("Port of the API; 0 takes a free one.")] = 54321,
    db_port: Annotated[int, _port("Port of the database; 0 takes a free one.")] = 54322,
    functions_port: Annotated[int, _port("Port where you serve your HTTP functions; 0 picks a free number.")] = 54330,
    migrations: Annotated[Path, typer.Option(help="Folder of migrations to apply.")] = Path("supabase/migrations"),
    data_dir: DataDir = Path(".devstack"),
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready; `stop` ends it.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Start the stack, applying new migrations. It runs until Ctrl-C, or, with --detach, until `stop`."""
    options = StackOptions(data_dir.resolve(), port, db_port, functions_port, migrations)
    out = Console(quiet=quiet)
    with _problems_in_words():
        if detach:
            running = read_state(options.data_dir)
            state = running or _start_detached(options, out)
            out.print("[bold]devstack already runs.[/]" if running else "[bold green]devstack is ready.[/]")
            _show(out, state)
        else:
            _run(options, out)


@app.command()
def status(
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the answer.")] = Output.PRETTY,
    data_dir: DataDir = Path(".devstack"),
) -> None:
    """Show where the running stack listens, and its keys."""
    with _problems_in_words():
        state = read_state(data_dir.resolve())
        if state is None:
            raise StackError(_not_running(data_dir.resolve()))
    if output is Output.PRETTY:
        _show(Console(), state)
    elif output is Output.JSON:
        typer.echo(json.dumps(variables(state), indent=2))
    else:
        for name, value in variables(state).items():
            typer.echo(f'{name}="{value}"')


@app.command()
def stop(
    data_dir: DataDir = Path(".devstack"),
    delete: Annotated[bool, typer.Option("--delete", help="Delete its database and media as well.")] = False,
) -> None:
    """Stop the running stack. Its data stays for the next start, unless it is to be deleted."""
    folder = data_dir.resolve()
    with _problems_in_words():
        stopped = _stop(folder)
        deleted = delete and _delete(folder)
    Console().print("devstack has stopped." if stopped else f"No stack runs on {folder}.")
    if delete:
        Console().print(f"The data of {folder} is deleted." if deleted else "There is nothing to delete there.")


@app.command()
def reset(
    migrations: Annotated[
        Path | None,
        typer.Option(help="Folder of migrations to apply; if not given, that of before, or supabase/migrations."),
    ] = None,
    data_dir: DataDir = Path(".devstack"),
) -> None:
    """Delete the data and apply all migrations again. A stack that ran is started again, detached."""
    from devstack.stack import remove_data  # noqa: PLC0415 - `status` must not wait for all of devstack to load

    folder = data_dir.resolve()
    with _problems_in_words():
        before = read_state(folder)
        options = _same_again(folder, before, migrations)
        options.check()  # before anything is deleted
        _stop(folder)
        remove_data(folder)
        if before is None:
            uvloop.run(_start_once(options))
        else:
            _start_detached(options, Console())
    Console().print(
        "[bold green]The database is new.[/]", "devstack runs again." if before else "devstack is not running."
    )


def variables(state: StackState) -> dict[str, str]:
    """What programs need to use the stack, under the names the Supabase CLI gives it."""
    keys = local_keys()
    return {
        "API_URL": state.api_url,
        "DB_URL": state.db_url,
        "FUNCTIONS_URL": state.functions_url,
        "PUBLISHABLE_KEY": keys.publishable_key,
        "SECRET_KEY": keys.secret_key,
        "ANON_KEY": keys.anon_key,
        "SERVICE_ROLE_KEY": keys.service_role_key,
        "JWT_SECRET": keys.jwt_secret,
    }


def _show(out: Console, state: StackState) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in variables(state).items():
        table.add_row(name, value)
    out.print(table)


def _run(options: StackOptions, out: Console) -> None:
    """Run the stack in this process until a signal ends it."""
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_serve(options, out))


async def _serve(options: StackOptions, out: Console) -> None:
    from devstack.stack import Stack  # noqa: PLC0415 - as in `reset`

    _cancel_on_signals()
    async with Stack(options) as stack:
        out.print("[bold green]devstack is ready.[/]")
        _show(out, stack.state)
        out.print("Press Ctrl-C to stop.")
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


def _start_detached(options: StackOptions, out: Console) -> StackState:
    """Start the stack in a process of its own and wait until it is ready.

    Raises:
        StackError: it ended before that, with what it had to say.
    """
    options.data_dir.mkdir(parents=True, exist_ok=True)
    with (options.data_dir / LOG).open("ab") as log:
        already = log.tell()
        child = subprocess.Popen(  # noqa: S603 - our own module, with numbers and paths as arguments
            [
                sys.executable, "-m", "devstack", "up", "--quiet", "--data-dir", str(options.data_dir),
                "--port", str(options.port), "--db-port", str(options.db_port),
                "--functions-port", str(options.functions_port), "--migrations", str(options.migrations),
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        with out.status("Starting devstack …"):
            return _wait_until_ready(child, options.data_dir, already)
    except BaseException:  # Ctrl-C, for instance: nobody would know of a stack that came up later
        child.terminate()
        raise


def _wait_until_ready(child: subprocess.Popen[bytes], data_dir: Path, already: int) -> StackState:
    while True:
        state = read_state(data_dir)
        if state and state.pid == child.pid:
            return state
        if child.poll() is not None:
            said = (data_dir / LOG).read_bytes()[already:].decode(errors="replace").strip()
            raise StackError(said.removeprefix("Error: ") or f"devstack ended with code {child.returncode}")
        time.sleep(0.02)


def _same_again(data_dir: Path, before: StackState | None, migrations: Path | None) -> StackOptions:
    """The options of the stack that runs, or, where none does, those that disturb nobody."""
    if before is None:
        return StackOptions(data_dir, 0, 0, 0, migrations or StackOptions().migrations)
    folder = migrations or Path(before.migrations or "supabase/migrations")
    return StackOptions(data_dir, before.api_port, before.db_port, before.functions_port, folder)


def _stop(data_dir: Path) -> bool:
    """End the stack on `data_dir` and wait for it; False if there is none."""
    pid = holder(data_dir)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while holder(data_dir) == pid:
        if time.monotonic() > deadline:
            raise StackError(f"process {pid} does not stop; end it with `kill -9 {pid}` and start again")
        time.sleep(0.02)
    return True


def _delete(data_dir: Path) -> bool:
    """Delete what a stack left on `data_dir`; False if there never was one, or nothing is left of it."""
    from devstack.stack import remove_data  # noqa: PLC0415 - as in `reset`

    if not (data_dir / LOCK).exists():
        return False
    with hold(data_dir):  # nobody starts on what is being deleted
        remove_data(data_dir)
        (data_dir / LOG).unlink(missing_ok=True)
        (data_dir / LOCK).unlink(missing_ok=True)
    return True


def _not_running(data_dir: Path) -> str:
    pid = holder(data_dir)
    if pid is not None:
        return f"the stack on {data_dir} is still starting (process {pid}); ask again in a moment"
    return f"no stack runs on {data_dir}; start one with `python -m devstack up`"


@contextlib.contextmanager
def _problems_in_words() -> Iterator[None]:
    """End the program with a sentence, not a stack trace, when something expected goes wrong."""
    try:
        yield
    except StackError as error:
        message = str(error)
    except asyncio.CancelledError:
        message = "interrupted; nothing runs"
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else error.strerror or str(error)
        message = f"{what}; look at --data-dir: it must be a folder that you can make and write to"
    else:
        return
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(1)
