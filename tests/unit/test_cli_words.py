"""What people type and read: times, lengths, languages, and texts that come from outside."""

import io
import sys
from datetime import UTC, datetime, timedelta

import pytest

from filaviva.cli.exits import Exit, exit_code
from filaviva.cli.output import Column, Output, age, clean, duration
from filaviva.cli.times import ago, ahead
from filaviva.cli.words import language_from, status_word
from filaviva.errors import (
    Conflict,
    FilaVivaError,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSignedIn,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
)
from filaviva.models import JobStatus


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("10 min", 600), ("2H", 7200), ("7d", 604_800)]
)
def test_a_length_counts_from_now(text: str, seconds: int) -> None:
    now = datetime.now(UTC)
    for moment, sign in ((ahead(text, "--at"), 1), (ago(text, "--before"), -1)):
        assert moment is not None
        assert abs((moment - now).total_seconds() - sign * seconds) < 5


def test_a_moment_without_a_zone_is_local_time() -> None:
    assert ahead("2026-11-21T12:00:00Z", "--at") == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert ago("2026-11-21T12:00:00+02:00", "--at") == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert ago("2026-11-21", "--at") == datetime(2026, 11, 21).astimezone()
    assert ago(None, "--at") is None


@pytest.mark.parametrize("text", ["", "noon", "7w", "-5m", "1e3s", "2026-13-01", "0001-01-01T00:00+23:00"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"--at: .* is no time.* Write 2026-11-21T12:00:00Z"):
        ahead(text, "--at")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.34, "340 ms"), (1, "1 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"),
     (172_800, "2 d"), (8_640_000, "100 d")],
)  # fmt: skip
def test_a_length_is_said_in_its_largest_fitting_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_age_looks_both_ways() -> None:
    now = datetime.now(UTC)
    assert (age(None), age(now)) == ("", "now")
    assert age(now - timedelta(minutes=5, seconds=1)) == "5 min"
    assert age(now + timedelta(hours=3, seconds=30)) == "in 3 h"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"), ({"LANG": "pt_BR.UTF-8"}, "pt"), ({"LANG": "PT"}, "pt"), ({"LANG": "ptx"}, "en"),
        ({"LANG": "C"}, "en"), ({"LC_ALL": "en_US", "LANG": "pt_BR"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "pt", "LANG": "en"}, "pt"),
    ],
)  # fmt: skip
def test_the_language_is_that_of_the_environment(environment: dict[str, str], language: str) -> None:
    assert language_from(environment) == language


def test_every_status_has_a_word_and_a_look_of_its_own() -> None:
    out = Output(as_json=False, language="pt")
    assert len({status_word(status, "pt") for status in JobStatus}) == len(JobStatus)
    assert len({str(out.status(status)) for status in JobStatus}) == len(JobStatus)
    assert all(status_word(status, "en") == status for status in JobStatus)


def test_texts_from_outside_cannot_steer_a_terminal() -> None:
    assert clean("a\x1b[2Jb\x07\x9bc\r\nd\u202ee") == "a�[2Jb��c  d�e"
    assert clean("Olá, 世界 [bold]") == "Olá, 世界 [bold]"


def test_nothing_is_cut_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", screen := io.StringIO())
    monkeypatch.setenv("COLUMNS", "20")
    columns = (Column("a"), Column("b", flexible=True), Column("c", wide=True))
    Output(as_json=False, language="en").print_table(columns, [("x" * 100, "y" * 300, "z")])
    assert f"{'x' * 100}  {'y' * 300}  z" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest, Exit.USAGE), (PayloadTooLarge, Exit.USAGE), (Unavailable, Exit.NO_ANSWER),
        (RateLimited, Exit.NO_ANSWER), (NotSignedIn, Exit.NOT_ALLOWED), (Forbidden, Exit.NOT_ALLOWED),
        (NotFound, Exit.BAD_END), (Conflict, Exit.BAD_END), (FilaVivaError, Exit.BAD_END),
    ],
)  # fmt: skip
def test_an_error_means_an_exit_code(error: type[FilaVivaError], code: Exit) -> None:
    assert exit_code(error("No.", code="x")) is code


def test_a_project_without_the_migrations_is_a_matter_of_configuration() -> None:
    assert exit_code(FilaVivaError("No such function.", code="not_installed")) is Exit.USAGE
