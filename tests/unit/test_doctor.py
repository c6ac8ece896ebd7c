"""What the doctor finds without a stack; beside a running one see tests/e2e/test_stack_commands.py."""

import os
import time
from pathlib import Path

import pytest

from devstack import doctor
from devstack.doctor import Finding, examine
from devstack.doctor_system import Server, listener_of, postgres_servers, size_of
from devstack.state import StackOptions, StackState, hold, write_state
from tests.conftest import Database


def findings(folder: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(StackOptions(folder, 0, 0))}


def test_all_is_well_where_nothing_is_yet(tmp_path: Path) -> None:
    found = findings(tmp_path / "new" / "folder")
    assert {finding.level for finding in found.values()} <= {"ok", "warning"}
    assert "not there yet" in found["Data folder"].text
    assert found["Stack"].text == "does not run"


def test_a_file_in_the_place_of_the_folder_is_a_problem_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = findings(tmp_path / "file")["Data folder"]
    assert (finding.level, "is no folder" in finding.text, "--data-dir" in finding.next_step) == ("problem", True, True)


def test_a_stack_that_was_killed_or_still_starts_is_told_from_one_that_rests(tmp_path: Path) -> None:
    with hold(tmp_path):
        assert "is starting or stopping" in findings(tmp_path)["Stack"].text
    write_state(tmp_path, StackState(1, 1, 1, 2, 3, ""))
    assert findings(tmp_path)["Stack"].text == "was killed"


def test_a_clock_behind_the_logs_is_noticed(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "rest.log"
    log.parent.mkdir()
    log.touch()
    assert findings(tmp_path)["Clock"].level == "ok"
    os.utime(log, (time.time() + 600, time.time() + 600))
    assert findings(tmp_path)["Clock"].level == "warning"


@pytest.mark.parametrize(("free", "level"), [(100 << 20, "problem"), (1 << 30, "warning"), (9 << 30, "ok")])
def test_a_full_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    class Usage:
        def __init__(self, *_: object) -> None:
            self.free = free

    monkeypatch.setattr("shutil.disk_usage", Usage)
    assert findings(tmp_path)["Disk"].level == level


def test_a_server_that_serves_nobody_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "postgres_servers", lambda: [Server(7, "/x/cluster/data", orphaned=True)])
    finding = findings(tmp_path)["Left process"]
    assert (finding.level, "kill -INT 7" in finding.next_step) == ("warning", True)


def test_running_servers_and_listeners_are_found(database: Database) -> None:
    server = database.cluster.process.pid
    assert [(found.data, found.orphaned) for found in postgres_servers() if found.pid == server] == [
        (str(database.cluster.data), False)
    ]
    if Path("/proc/net/tcp").exists():
        assert listener_of(database.cluster.port) == (server, "postgres")
    assert size_of(database.cluster.data) > 10
