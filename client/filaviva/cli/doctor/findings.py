"""What the doctor says of one subject: how bad it is, what was found, and the next step."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from filaviva.waiting import Language

Facts = dict[str, Any]
"""What the database's function `diagnose` answers: one key a subject."""


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """Works, and wants somebody to look."""
    PROBLEM = "problem"
    """Does not work until something is done."""
    UNKNOWN = "unknown"
    """Could not be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen of one subject.

    Attributes:
        level: how bad it is.
        subject: what was looked at; the same word in every language.
        english: what was found.
        portuguese: the same.
        step: the SQL statement or the command that comes next; empty when there is nothing to do. A statement ends
            with a semicolon, and is meant for SQL as `postgres`.
    """

    level: Level
    subject: str
    english: str
    portuguese: str
    step: str = ""

    def text(self, language: Language) -> str:
        """What was found, for people."""
        return self.portuguese if language == "pt" else self.english


def ok(subject: str, english: str, portuguese: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, subject, english, portuguese)


def warning(subject: str, english: str, portuguese: str, step: str) -> Finding:
    """It works, and wants somebody to look."""
    return Finding(Level.WARNING, subject, english, portuguese, step)


def problem(subject: str, english: str, portuguese: str, step: str) -> Finding:
    """It does not work."""
    return Finding(Level.PROBLEM, subject, english, portuguese, step)


def unknown(subject: str, english: str, portuguese: str, step: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(Level.UNKNOWN, subject, english, portuguese, step)


def not_looked_at(subject: str, facts: Any) -> Finding | None:
    """The finding of a subject that the database could not look at; None when it could."""
    if isinstance(facts, dict) and "unknown" in facts:
        reason = facts["unknown"]
        return unknown(
            subject,
            f"the database could not look: {reason}",
            f"o banco não conseguiu olhar: {reason}",
            "Apply the migrations: supabase db push",
        )
    if facts is None:
        return unknown(
            subject,
            "the engine in this project is older and does not tell",
            "o motor deste projeto é mais antigo e não informa",
            "Apply the migrations: supabase db push",
        )
    return None
