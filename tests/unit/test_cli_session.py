"""How a command is made of an async function, and what becomes of what goes wrong in it."""

import asyncio
import errno
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from filaviva.cli.exits import Exit
from filaviva.cli.session import Session, command
from filaviva.cli.streams import merged
from filaviva.errors import WRONG_KEY_HINT, NotFound, NotSignedIn

SETTINGS = {"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_ANON_KEY": "key", "SUPABASE_SERVICE_ROLE_KEY": None}


@command
async def failing(session: Session, how: str, twice: Annotated[bool, typer.Option()] = False) -> Exit:
    """Fails as it is told to."""
    if how == "defect":
        raise ZeroDivisionError("division by zero")
    if how == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if how == "key":
        raise NotSignedIn("The key is not accepted.", code="refused", hint=WRONG_KEY_HINT)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "missing":
        raise NotFound("There is none.", code="unknown_job", hint="Look again.")
    session.out.line(f"{session.signed_in} {twice} {session.fila!r}")
    return Exit.BAD_END


def run(*arguments: str, **environment: str | None) -> Result:
    application = typer.Typer(pretty_exceptions_enable=False)
    application.command()(failing)
    return CliRunner().invoke(application, list(arguments), env={"FILAVIVA_DEBUG": None, **SETTINGS, **environment})


def test_a_command_has_its_own_options_and_the_common_ones() -> None:
    answer = run("fine", "--twice", "--token", "a.b.c", "--url", "http://127.0.0.1:2")
    assert (answer.exit_code, answer.output) == (1, "True True FilaViva('http://127.0.0.1:2')\n")
    assert run("fine").output.startswith("False False")


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("missing", 1, "Error: There is none. [unknown_job]\nNext:  Look again.\n"),
        ("full", 1, "Error: The system refused: No space left on device. [system_refused]\n"),
        ("key", 4, "Next:  Copy the project's anon or publishable key again."),
        ("interrupt", 130, ""),
        ("defect", 70, "ZeroDivisionError: division by zero. [defect]\nNext:  Set FILAVIVA_DEBUG=1"),
    ],
)
def test_nobody_sees_a_stack_trace(how: str, code: int, said: str) -> None:
    answer = run(how)
    assert (answer.exit_code, answer.stdout) == (code, "")
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_machine_gets_the_error_as_json() -> None:
    assert run("missing", "--json").stderr == (
        '{"error": {"code": "unknown_job", "message": "There is none.", "hint": "Look again."}}\n'
    )


def test_who_looks_for_the_defect_gets_its_trace() -> None:
    assert isinstance(run("defect", FILAVIVA_DEBUG="1").exception, ZeroDivisionError)


def test_the_key_is_the_service_roles_unless_somebody_is_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = list[str]()

    class Noted:
        def __init__(self, _url: str, key: str, access_token: str | None) -> None:
            keys.append(key)
            raise NotFound("Enough.", code="enough")

    monkeypatch.setattr("filaviva.cli.session.FilaViva", Noted)
    both = {"SUPABASE_ANON_KEY": "anon", "SUPABASE_SERVICE_ROLE_KEY": "service"}
    run("fine", **both)
    run("fine", **both, FILAVIVA_ACCESS_TOKEN="token")
    run("fine", "--key", "given", **both)
    run("fine", SUPABASE_SERVICE_ROLE_KEY="service", SUPABASE_ANON_KEY=None, FILAVIVA_ACCESS_TOKEN="token")
    assert keys == ["service", "anon", "given", "service"]


async def numbers(*given: int, end: Exception | None = None) -> AsyncGenerator[int, None]:
    for number in given:
        yield number
        await asyncio.sleep(0)
    if end is not None:
        raise end


async def test_merged_streams_end_when_all_have_ended() -> None:
    assert sorted([item async for item in merged([numbers(1, 2), numbers(), numbers(3)]) if item]) == [1, 2, 3]


async def test_one_stream_that_fails_ends_all() -> None:
    async def endless() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 0
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    ended = asyncio.Event()
    with pytest.raises(NotFound):
        async for _ in merged([endless(), numbers(1, end=NotFound("Gone.", code="unknown_job"))]):
            pass
    assert ended.is_set()


@pytest.mark.parametrize(("variable", "value"), [("SSL_CERT_FILE", "/nowhere"), ("ALL_PROXY", "nonsense://1")])
def test_an_environment_that_allows_no_connection_is_named(variable: str, value: str) -> None:
    answer = run("fine", **{variable: value})
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "[not_configured]\nNext:  Look at HTTP_PROXY" in answer.stderr


def test_closed_streams_are_no_defect() -> None:
    script = "from filaviva.cli import main; main()"
    ended = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "{script}" jobs >&- 2>&- <&-', sys.executable],
        env={"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_ANON_KEY": "key"},
        timeout=30,
        check=False,
    )
    assert ended.returncode == Exit.NO_ANSWER
