"""What killed stacks leave behind, and the lock that a start takes before it has loaded."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from devstack import homes
from devstack.cli import app
from devstack.homes import Abandoned, abandoned, claim, release
from devstack.processes import start_detached, stop_stack
from devstack.state import StackError, StackOptions, holder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of such databases, with one in it that this process runs."""
    monkeypatch.setattr(homes, "HOMES", tmp_path / "homes")
    monkeypatch.setattr("devstack.doctor.HOMES", tmp_path / "homes")
    monkeypatch.setattr("devstack.doctor.folders_of_dead_tests", list)
    home = tmp_path / "homes" / "ours"
    (home / "data").mkdir(parents=True)
    claim(home, tmp_path)
    return home.parent


def left(place: Path, name: str, data_dir: Path, *, pid: int) -> Path:
    """A database that another process ran."""
    home = place / name
    home.mkdir()
    claim(home, data_dir)
    owner = json.loads((home / "owner.json").read_text())
    (home / "owner.json").write_text(json.dumps({**owner, "pid": pid}))
    return home


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_database_is_abandoned_when_its_process_was_killed_or_its_folder_is_gone(place: Path, tmp_path: Path) -> None:
    pid = dead_pid()
    killed = left(place, "killed", tmp_path, pid=pid)
    gone = left(place, "gone", tmp_path / "deleted", pid=pid)
    release(gone)
    unknown = place / "unknown"
    unknown.mkdir()
    release(left(place, "stopped", tmp_path, pid=pid))
    served = left(place, "served", tmp_path, pid=pid)
    assert list(abandoned({str(served / "data")})) == [
        Abandoned(gone, f"its folder {tmp_path / 'deleted'} is gone"),
        Abandoned(killed, f"process {pid}, which ran it for {tmp_path}, was killed"),
        Abandoned(unknown, "nothing says whose it is"),
    ]


def test_the_doctor_counts_what_is_left_and_deletes_it_only_when_that_is_wanted(place: Path, tmp_path: Path) -> None:
    killed = left(place, "killed", tmp_path, pid=dead_pid())
    (killed / "file").write_bytes(bytes(3 << 20))
    arguments = ["doctor", "--port", "0", "--db-port", "0", "--data-dir", str(tmp_path / "mine")]
    told = CliRunner().invoke(app, arguments).output
    assert "Left databases: 1 in " in told
    assert "3 MB" in told
    assert "doctor --clean" in told
    for answer, remains in (("n", True), ("y", False)):
        output = CliRunner().invoke(app, [*arguments, "--clean"], input=f"{answer}\n").output
        assert f"{killed}: process " in output
        assert killed.exists() is remains
    assert "Nothing was left behind." in CliRunner().invoke(app, [*arguments, "--clean"]).output
    assert (place / "ours").exists()
    assert CliRunner().invoke(app, [*arguments, "--clean", "--json"]).exit_code == 2


def test_a_detached_start_can_be_stopped_before_it_has_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    ends: list[str] = []

    def start() -> None:
        try:
            start_detached(StackOptions(tmp_path / "data", 0, 0, 0), Console(quiet=True))
        except StackError as error:
            ends.append(str(error))

    starting = threading.Thread(target=start)
    starting.start()
    deadline = time.monotonic() + 15
    while not (pid := holder(tmp_path / "data")) or b"sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert stop_stack(tmp_path / "data") is True
    starting.join(15)
    assert ends == ["it was stopped while it started (code -15)"]
    assert holder(tmp_path / "data") is None


@pytest.mark.parametrize(("option", "missing"), [("--milliseconds", "--delay"), ("--arrivals", "--resend")])
def test_an_option_that_says_something_of_another_does_not_stand_alone(option: str, missing: str) -> None:
    refused = CliRunner().invoke(app, ["fault", "net", option, "5"], env={"TERM": "dumb", "COLUMNS": "200"})
    assert refused.exit_code == 2
    assert f"add {missing} N" in refused.output
