"""What the command reads and what it prints of a queue, without a project."""

import io
import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from filaviva.cli import watch_queue
from filaviva.cli.job_file import read_lines, read_object
from filaviva.cli.watch_queue import _newest, _Printed
from filaviva.models import Job, from_row
from tests.unit.test_filaviva_models import ROW

LINES = b'\xef\xbb\xbf{"kind": "a", "payload": {"text": "\xc3\xa7"}}\r\n\r\n{"kind": "b"}\r\n'


def job(number: int, version: int, status: str) -> Job:
    return from_row(Job, {**ROW, "id": UUID(int=number), "version": version, "status": status})


def states(jobs: Any) -> list[tuple[int, str]]:
    return [(job.id.int, job.status.value) for job in jobs]


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_file_of_another_system_is_read_as_it_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(LINES)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINES), encoding="latin-1"))
    lines = read_lines(str(path) if way == "file" else "-", {})
    assert [(line.number, line.job["kind"]) for line in lines] == [(1, "a"), (3, "b")]
    assert lines[0].job["payload"] == {"text": "ç"}
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode())
    assert read_object(f"@{path}", "--payload") == {"a": 1}


def test_a_queue_that_was_empty_hides_no_end() -> None:
    printed = _Printed()
    assert states(printed.news([job(1, 5, "completed"), job(2, 1, "pending")])) == [(2, "pending")]
    printed.has_begun = True
    assert states(printed.news([job(1, 5, "completed"), job(3, 5, "completed")])) == [(3, "completed")]
    assert states(printed.news([job(2, 4, "failed"), job(3, 4, "processing")])) == [(2, "failed")]


def test_what_was_printed_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_queue, "_MOST_KNOWN", 10)
    printed = _Printed()
    for number in range(100):
        assert states(printed.news([job(number, 1, "pending"), job(0, 1, "pending")])) == [(number, "pending")]
    assert len(printed._versions) == 10


def test_of_two_views_the_one_that_is_ahead_counts() -> None:
    ahead, behind = [job(1, 2, "processing")], [job(1, 1, "pending"), job(2, 1, "pending")]
    for lists in ([ahead, behind], [behind, ahead]):
        assert sorted(states(_newest(lists))) == [(1, "processing"), (2, "pending")]
