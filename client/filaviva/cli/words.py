"""The words that people read for a status, in their language; and in which language that is."""

from collections.abc import Mapping
from types import MappingProxyType

from filaviva.models import JobStatus
from filaviva.waiting import Language, language_of

_PORTUGUESE: Mapping[JobStatus, str] = MappingProxyType(
    {
        JobStatus.PENDING: "pendente",
        JobStatus.PROCESSING: "processando",
        JobStatus.RETRYING: "nova tentativa",
        JobStatus.COMPLETED: "concluído",
        JobStatus.FAILED: "falhou",
        JobStatus.CANCELLED: "cancelado",
        JobStatus.UNCONFIRMED: "não confirmado",
    }
)


def status_word(status: JobStatus, language: Language) -> str:
    """The status for people; the machine's word is `status` itself."""
    return _PORTUGUESE[status] if language == "pt" else status.value


def language_from(environment: Mapping[str, str]) -> Language:
    """The language that the environment asks for, in the order that POSIX gives."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    return language_of(next((environment[name] for name in names if environment.get(name)), "en"))
