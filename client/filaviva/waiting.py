"""Why a job waits, as the engine answers it, and in words for the person who looks at it."""

import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Language = Literal["pt", "en"]


def language_of(tag: str) -> Language:
    """The language that a tag such as ``pt-BR`` or ``pt_BR.UTF-8`` asks for; English where there are no words in it."""
    name = re.split(r"[-_.@]", tag.strip().lower(), maxsplit=1)[0]
    return "pt" if name == "pt" else "en"


class WhyWaiting(BaseModel):
    """What a job waits for; `text` says it in a sentence."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    reason: str
    """Machine code: scheduled, backoff, polling, reconcile, group, limit, paused, concurrency, in_line or
    no_drain; processing or finished when it waits for nothing."""
    key: str | None = None
    """What holds it: a group key, a limit, or a queue."""
    expected_at: datetime | None = None
    """When it may go on, as far as that is known; an estimate for jobs that stand in a line."""
    ahead: int | None = None
    """How many jobs come before it; counted up to 10,000."""
    details: dict[str, Any] = {}

    def text(self, language: str = "en") -> str:
        """One sentence, such as "Waits for the limit whatsapp (20 in 60 s) until 12:31:05 UTC, behind 3 others.".

        Args:
            language: ``en``, ``pt`` or a tag such as ``pt-BR``; a language without words here reads as English.
        """
        known = language_of(language)
        words = _WORDS[known]
        sentence = words.get(self.reason, words["unknown"]).format_map(_Known(self._parts(known)))
        return sentence[:1].upper() + sentence[1:] + "."

    def _parts(self, language: Language) -> dict[str, Any]:
        words = _WORDS[language]
        at = f"{self.expected_at:%Y-%m-%d %H:%M:%S %Z}".rstrip() if self.expected_at else None
        return {
            **self.details,
            "reason": self.reason,
            "key": self.key,
            "until": words["until"].format(at=at) if at else "",
            "around": words["around"].format(at=at) if at else "",
            "behind": words["behind" if self.ahead != 1 else "behind_one"].format(ahead=self.ahead)
            if self.ahead
            else "",
        }


class _Known(dict[str, Any]):
    """Parts of a sentence; what the engine did not tell reads as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


_WORDS: Mapping[Language, Mapping[str, str]] = MappingProxyType(
    {
        "en": {
            "scheduled": "scheduled: waits for its time{until}",
            "backoff": "waits before its next attempt{until}",
            "polling": "waits before it asks the provider again{until}",
            "reconcile": "waits to find out what its last call did{until}",
            "group": "waits for its turn in the group {key}{behind}{until}",
            "limit": "waits for the limit {limiter} ({limit} in {window_seconds} s){until}{behind}",
            "paused": "the queue {key} is paused",
            "concurrency": "all {concurrency} slots of the queue {key} are taken{behind}{around}",
            "in_line": "due: waits in line{behind}{around}",
            "no_drain": "due, but nobody has asked the queue {key} for work for {seconds} s: check the drain",
            "processing": "is being processed",
            "finished": "is over: {status}",
            "unknown": "waits: {reason}",
            "until": " until {at}",
            "around": ", expected around {at}",
            "behind": ", behind {ahead} others",
            "behind_one": ", behind 1 other",
        },
        "pt": {
            "scheduled": "agendado: espera a sua hora{until}",
            "backoff": "espera antes da próxima tentativa{until}",
            "polling": "espera antes de consultar o provedor de novo{until}",
            "reconcile": "espera para descobrir o que a última chamada fez{until}",
            "group": "espera a sua vez no grupo {key}{behind}{until}",
            "limit": "espera o limite {limiter} ({limit} em {window_seconds} s){until}{behind}",
            "paused": "a fila {key} está pausada",
            "concurrency": "todas as {concurrency} vagas da fila {key} estão ocupadas{behind}{around}",
            "in_line": "pronto: espera na fila{behind}{around}",
            "no_drain": "pronto, mas ninguém pede trabalho à fila {key} há {seconds} s: verifique o drain",
            "processing": "está sendo processado",
            "finished": "terminou: {status}",
            "unknown": "espera: {reason}",
            "until": " até {at}",
            "around": ", previsto para cerca de {at}",
            "behind": ", atrás de {ahead} outros",
            "behind_one": ", atrás de 1 outro",
        },
    }
)
