"""What all commands have in common: the folder they work on, and how they end when something expected goes wrong."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from devstack.state import StackError, holder

DataDir = Annotated[Path, typer.Option("--data-dir", help="Where everything of this stack lives.")]


@contextlib.contextmanager
def problems_in_words() -> Iterator[None]:
    """End the program with a sentence and code 1, not a stack trace, when something expected goes wrong."""
    try:
        yield
    except StackError as error:
        message = str(error)
    except asyncio.CancelledError:
        message = "interrupted; nothing runs"
    except psycopg.Error as error:
        message = f"the database says: {str(error).strip()}"
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else error.strerror or str(error)
        message = f"{what}; look at --data-dir: it must be a folder that you can make and write to"
    else:
        return
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(1)


def not_running(data_dir: Path) -> str:
    """What to say where no stack is ready on `data_dir`."""
    pid = holder(data_dir)
    if pid is not None:
        return f"the stack on {data_dir} is still starting (process {pid}); ask again in a moment"
    return f"no stack runs on {data_dir}; start one with `python -m devstack up`"
