"""Why a job waits, in words: every reason in both languages, and nothing that the engine did not say."""

import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from filaviva import WhyWaiting
from filaviva.waiting import _WORDS, Language

AT = datetime(2026, 11, 21, 12, 31, 5, tzinfo=UTC)
MIGRATIONS = Path(__file__).parent.parent.parent / "supabase" / "migrations"
REASONS = {
    "scheduled", "backoff", "polling", "reconcile", "group", "limit", "paused", "concurrency", "in_line", "no_drain",
    "processing", "finished",
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "pt"])
def test_every_reason_has_words(language: Language) -> None:
    for reason in REASONS:
        text = WhyWaiting(reason=reason, key="k", expected_at=AT, ahead=2, details={}).text(language)
        assert text[0].isupper()
        assert text.endswith(".")
        assert "{" not in text


def test_the_languages_have_the_same_words() -> None:
    assert _WORDS["en"].keys() == _WORDS["pt"].keys() >= REASONS
    for name, words in _WORDS["en"].items():
        assert set(re.findall(r"{\w+}", words)) == set(re.findall(r"{\w+}", _WORDS["pt"][name])), name


def test_every_reason_of_the_engine_is_known() -> None:
    [sql] = [file.read_text() for file in MIGRATIONS.glob("*_why_waiting.sql")]
    assert set(re.findall(r"'reason', '(\w+)'", sql)) <= REASONS


def test_a_limit_is_named_with_its_numbers_and_time() -> None:
    details = {"limiter": "whatsapp", "limit": 20, "window_seconds": 60}
    waiting = WhyWaiting(reason="limit", key="limit:whatsapp:a", expected_at=AT, ahead=3, details=details)
    assert waiting.text() == (
        "Waits for the limit whatsapp (20 in 60 s) until 2026-11-21 12:31:05 UTC, behind 3 others."
    )
    assert waiting.text("pt") == (
        "Espera o limite whatsapp (20 em 60 s) até 2026-11-21 12:31:05 UTC, atrás de 3 outros."
    )


@pytest.mark.parametrize("tag", ["pt", "pt-BR", "pt_BR.UTF-8", "PT-br", "pt@euro"])
def test_a_locale_tag_names_its_language(tag: str) -> None:
    assert WhyWaiting(reason="in_line").text(tag) == "Pronto: espera na fila."


@pytest.mark.parametrize("tag", ["en", "en-GB", "fi", "", "C", "ptolemaic"])
def test_a_language_without_words_reads_as_english(tag: str) -> None:
    assert WhyWaiting(reason="in_line").text(tag) == "Due: waits in line."


def test_what_is_not_known_is_left_out() -> None:
    assert WhyWaiting(reason="in_line", key="work", ahead=0).text() == "Due: waits in line."
    assert WhyWaiting(reason="in_line", key="work", ahead=1).text() == "Due: waits in line, behind 1 other."


def test_a_reason_of_a_newer_engine_is_still_said() -> None:
    assert WhyWaiting(reason="eclipse", key=str(uuid.uuid4())).text() == "Waits: eclipse."
