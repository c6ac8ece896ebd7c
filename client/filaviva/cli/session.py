"""What every command has in common: the project it speaks to, how it prints, and how it ends.

A command is an async function of a `Session` and its own options, which answers its exit code. `command` adds the
common options, opens the client, and turns errors into words: nobody sees a stack trace.
"""

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from filaviva.cli.exits import Exit, exit_code, tell
from filaviva.cli.keyboard import tidied_up
from filaviva.cli.output import Output
from filaviva.cli.words import language_from
from filaviva.errors import FilaVivaError, InvalidRequest
from filaviva.queue import FilaViva
from filaviva.waiting import language_of

P = ParamSpec("P")

_PANEL = "Project and output"
_SEEN = "Others on this machine can read a secret in an option (`ps`): prefer the environment."
_COMMON: dict[str, Any] = {
    "project_url": Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="The project's URL. Default: SUPABASE_URL.", rich_help_panel=_PANEL),
    ],
    "project_key": Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="KEY",
            help="The project's key. Default: SUPABASE_SERVICE_ROLE_KEY, or SUPABASE_ANON_KEY where that is not set or"
            f" somebody is signed in. {_SEEN}",
            rich_help_panel=_PANEL,
        ),
    ],
    "access_token": Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="TOKEN",
            help=f"A signed-in user's access token. Default: FILAVIVA_ACCESS_TOKEN. {_SEEN}",
            rich_help_panel=_PANEL,
        ),
    ],
    "lang": Annotated[
        str | None,
        typer.Option(
            "--lang", metavar="LANG", help="Words of statuses: pt or en. Default: LANG.", rich_help_panel=_PANEL
        ),
    ],
    "as_json": Annotated[bool, typer.Option("--json", help="Print JSON, for machines.", rich_help_panel=_PANEL)],
}


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with: the client and the output."""

    fila: FilaViva
    out: Output
    signed_in: bool
    """Whether it speaks for a user, and not with the key alone."""


def command(run: Callable[Concatenate[Session, P], Awaitable[Exit]]) -> Callable[..., None]:
    """`run` as a function that typer makes a command of: with the common options, and without its session."""

    @functools.wraps(run)
    def with_options(**options: Any) -> None:
        common = {name: options.pop(name) for name in _COMMON}
        raise typer.Exit(_guarded(functools.partial(_in_session, run, options, common), as_json=common["as_json"]))

    own = list(inspect.signature(run, eval_str=True).parameters.values())[1:]
    added = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=False if name == "as_json" else None, annotation=option
        )
        for name, option in _COMMON.items()
    ]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + added
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options


async def _in_session(
    run: Callable[..., Awaitable[Exit]], options: Mapping[str, Any], common: Mapping[str, Any]
) -> Exit:
    language = language_of(common["lang"]) if common["lang"] else language_from(os.environ)
    out = Output(as_json=common["as_json"], language=language)
    url, key, token = _project(common, os.environ)
    async with FilaViva(url, key, access_token=token) as fila:
        return await run(Session(fila, out, token is not None), **options)


def _guarded(run: Callable[[], Any], *, as_json: bool) -> Exit:
    code: Exit = Exit.INTERRUPTED
    try:
        with tidied_up():
            code = asyncio.run(run())
    except FilaVivaError as error:
        tell(error, as_json=as_json)
        return exit_code(error)
    except KeyboardInterrupt:
        return code
    except (BrokenPipeError, typer.Exit, typer.Abort):
        raise
    except OSError as error:
        tell(_of_the_system(error), as_json=as_json)
        return Exit.BAD_END
    except Exception as error:
        if os.environ.get("FILAVIVA_DEBUG"):
            raise
        tell(_defect(error), as_json=as_json)
        return Exit.DEFECT
    return code


def _project(given: Mapping[str, str | None], environment: Mapping[str, str]) -> tuple[str, str, str | None]:
    """URL, key and token, from the options or the environment."""
    url = given["project_url"] or environment.get("SUPABASE_URL")
    if not url:
        raise _missing("The project's URL", "SUPABASE_URL", "https://<project>.supabase.co")
    token = given["access_token"] or environment.get("FILAVIVA_ACCESS_TOKEN") or None
    service, anonymous = environment.get("SUPABASE_SERVICE_ROLE_KEY"), environment.get("SUPABASE_ANON_KEY")
    # Beside a token the key only opens the gateway: then the lesser one is enough.
    key = given["project_key"] or (anonymous or service if token else service or anonymous)
    if not key:
        names = "SUPABASE_ANON_KEY (with FILAVIVA_ACCESS_TOKEN) or SUPABASE_SERVICE_ROLE_KEY"
        raise _missing("The project's key", names, "the key from the project's API settings")
    return url, key, token


def _missing(what: str, names: str, value: str) -> InvalidRequest:
    return InvalidRequest(f"{what} is not set.", code="not_configured", hint=f"Set {names} to {value}.")


def _of_the_system(error: OSError) -> FilaVivaError:
    return FilaVivaError(
        f"The system refused: {error.strerror or error}.",
        code="system_refused",
        hint="Look at the disk, and at what the output goes to.",
    )


def _defect(error: Exception) -> FilaVivaError:
    return FilaVivaError(
        f"{sys.argv[0].rpartition('/')[2] or 'filaviva'} has a defect: {type(error).__name__}: {error}.",
        code="defect",
        hint="Set FILAVIVA_DEBUG=1 to see where, and report it.",
    )
