"""The command `filaviva`: what it finds, and what it says when something is not installed."""

import importlib.metadata
import io
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest
from typer.testing import CliRunner

from filaviva.cli import commands
from filaviva.cli.commands import GROUP, application
from functions import worker_command

run = CliRunner()


def offer(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    """Installed packages offer exactly these subcommands."""

    def offered(**wanted: Any) -> EntryPoints:
        return EntryPoints(points).select(**wanted)

    monkeypatch.setattr(commands, "entry_points", offered)


def test_the_installed_worker_is_found_and_explains_itself() -> None:
    assert "worker" in run.invoke(application, ["--help"]).output
    answer = run.invoke(application, ["worker", "--help"])
    assert answer.exit_code == 0
    assert all(option in answer.output for option in ("--queue", "--concurrency", "--json"))


def test_its_version_is_that_of_the_package() -> None:
    answer = run.invoke(application, ["--version"])
    assert (answer.exit_code, answer.output) == (0, f"filaviva {importlib.metadata.version('filaviva')}\n")


def test_a_subcommand_without_its_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, EntryPoint("dashboard", "no_such_package.dashboard:show", GROUP))
    for arguments in ([], ["--port", "80"]):
        answer = run.invoke(application, ["dashboard", *arguments])
        assert answer.exit_code == 2
        assert answer.output == (
            "filaviva dashboard needs no_such_package. Install it: pip install 'filaviva[dashboard]'\n"
        )
    assert "Not installed; comes with the extra 'dashboard'." in run.invoke(application, ["--help"]).output


def test_an_unknown_subcommand_is_refused() -> None:
    answer = run.invoke(application, ["nothing"])
    assert answer.exit_code == 2
    assert "No such command 'nothing'" in answer.output


def test_without_typer_the_command_says_how_to_install_it() -> None:
    program = "import sys; sys.modules['typer'] = None; from filaviva.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "The command filaviva needs typer. Install it: pip install 'filaviva[cli]'\n"


def test_the_library_does_not_import_what_the_command_needs() -> None:
    program = "import filaviva, sys; sys.exit('typer' in sys.modules or 'functions' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_person_at_a_terminal_reads_lines_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for json, expected in ((False, "worker started"), (True, '"event":"worker started"')):
        monkeypatch.setattr(sys, "stdout", screen := Terminal())
        worker_command._logger(json).info("worker started", url="https://host/?access_token=canary")
        assert expected in screen.getvalue()
        try:
            access_token = "canary-in-a-variable"  # noqa: F841 - a traceback with local variables would show it
            raise RuntimeError("cannot reach postgresql://ana:canary@host/db")
        except RuntimeError:
            worker_command._logger(json).error("the handler raised", exc_info=True)
        assert "RuntimeError" in screen.getvalue()
        assert "canary" not in screen.getvalue()
