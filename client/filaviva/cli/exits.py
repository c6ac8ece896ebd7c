"""How a command ends: its exit code, and what it says when it did not do as asked. docs/cli.md has the table."""

import json
from enum import IntEnum

import typer
from rich.text import Text

from filaviva.cli.output import clean, console
from filaviva.errors import (
    WRONG_KEY_HINT,
    FilaVivaError,
    Forbidden,
    InvalidRequest,
    NotSignedIn,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
)


class Exit(IntEnum):
    """The exit codes of every command."""

    OK = 0
    """It did as asked."""
    BAD_END = 1
    """A job ended badly, nothing matched, you said no, or the project refused."""
    USAGE = 2
    """The arguments or the configuration are wrong: calling again does not help."""
    NO_ANSWER = 3
    """The project does not answer, or asks to wait: calling again may help."""
    NOT_ALLOWED = 4
    """Nobody is signed in, or the signed-in user may not do this."""
    DEFECT = 70
    """A defect of the command itself."""
    INTERRUPTED = 130
    """Ctrl-C."""


_SIGN_IN = "Set FILAVIVA_ACCESS_TOKEN to a signed-in user's token, or SUPABASE_SERVICE_ROLE_KEY to work as an operator."


def exit_code(error: FilaVivaError) -> Exit:
    """The exit code that an error means."""
    if isinstance(error, InvalidRequest | PayloadTooLarge) or error.code == "not_installed":
        return Exit.USAGE
    if isinstance(error, Unavailable | RateLimited):
        return Exit.NO_ANSWER
    if isinstance(error, NotSignedIn | Forbidden):
        return Exit.NOT_ALLOWED
    return Exit.BAD_END


def tell(error: FilaVivaError, *, as_json: bool) -> None:
    """Say on stderr what is wrong and what to do next; one JSON object for machines."""
    hint = _SIGN_IN if isinstance(error, NotSignedIn) and error.hint != WRONG_KEY_HINT else error.hint
    if as_json:
        told = {"code": error.code, "message": error.message, "hint": hint}
        typer.echo(json.dumps({"error": told}, ensure_ascii=False), err=True)
        return
    said = Text("Error: ", style="red").append(clean(f"{error.message} [{error.code}]"), style="default")
    for line in (said, Text(f"Next:  {clean(hint)}")):
        console(stderr=True).print(line, soft_wrap=True)
