"""What the demo shows: a live table of statuses, and the findings at the end."""

import locale
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from examples.demo.figures import Figures, spread
from filaviva import Job, JobStatus

WORDS = {
    "en": {
        "starting": "Starting …",
        "interrupted": "Interrupted; everything is stopped.",
        "title": "Live, as the first user sees it",
        "job": "Job",
        "status": "Status",
        "attempt": "Attempt",
        "detail": "Detail",
        "path": "Statuses so far",
        "pending": "pending",
        "processing": "processing",
        "retrying": "retrying",
        "completed": "completed",
        "failed": "failed",
        "cancelled": "cancelled",
        "unconfirmed": "unconfirmed",
        "polling": "being checked",
        "fails_once": "fails once",
        "start": "Enqueue to handler start",
        "live": "Enqueue to live event",
        "first": "First job completed after",
        "all_completed": "Every publication is completed",
        "healed_on_second_attempt": "The failed one succeeded on its second attempt",
        "exactly_once": "Each went out exactly once",
        "second_hears_nothing": "The second user saw no live event",
        "second_reads_nothing": "The second user reads no row",
        "second_cannot_watch": "The second user may not watch",
        "yes": "yes",
        "no": "NO",
    },
    "pt": {
        "starting": "Iniciando …",
        "interrupted": "Interrompido; tudo foi parado.",
        "title": "Ao vivo, como o primeiro usuário vê",
        "job": "Trabalho",
        "status": "Status",
        "attempt": "Tentativa",
        "detail": "Detalhe",
        "path": "Status até agora",
        "pending": "pendente",
        "processing": "processando",
        "retrying": "tentando de novo",
        "completed": "concluído",
        "failed": "falha",
        "cancelled": "cancelado",
        "unconfirmed": "não confirmado",
        "polling": "em verificação",
        "fails_once": "falha uma vez",
        "start": "Do enfileiramento ao início",
        "live": "Do enfileiramento ao evento ao vivo",
        "first": "Primeiro trabalho concluído em",
        "all_completed": "Todas as publicações foram concluídas",
        "healed_on_second_attempt": "A que falhou deu certo na segunda tentativa",
        "exactly_once": "Cada uma saiu exatamente uma vez",
        "second_hears_nothing": "O segundo usuário não recebeu evento algum",
        "second_reads_nothing": "O segundo usuário não lê linha alguma",
        "second_cannot_watch": "O segundo usuário não pode acompanhar",
        "yes": "sim",
        "no": "NÃO",
    },
}
COLOURS = {
    JobStatus.PENDING: "yellow",
    JobStatus.PROCESSING: "cyan",
    JobStatus.RETRYING: "magenta",
    JobStatus.COMPLETED: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "dim",
    JobStatus.UNCONFIRMED: "bold red",
}


def words_for(language: str) -> dict[str, str]:
    """The words of a language; "" means that of the system, English where it is neither.

    Raises:
        ValueError: there are no words for it.
    """
    chosen = language or ("pt" if (locale.getlocale()[0] or "").lower().startswith("pt") else "en")
    if chosen not in WORDS:
        raise ValueError(f"There is no language {chosen!r}; choose {' or '.join(sorted(WORDS))}.")
    return WORDS[chosen]


class Screen:
    """Draws on a console; where that is no terminal, every new status is a line of its own."""

    def __init__(self, console: Console, words: dict[str, str]) -> None:
        self._console = console
        self._words = words
        self._jobs: dict[str, tuple[Job, list[str]]] = {}
        self._live: Live | None = None

    def live(self) -> AbstractContextManager[object]:
        """Keep the table on the screen while the block runs; where that is no terminal, nothing stays."""
        if not self._console.is_terminal:
            return nullcontext()
        self._live = Live(self._table(), console=self._console, auto_refresh=False, transient=False)
        return self._live

    def show(self, label: str, job: Job) -> None:
        """Show a job as it now stands."""
        word = self._word(job)
        path = self._jobs[label][1] if label in self._jobs else []
        changed = not path or path[-1] != word
        self._jobs[label] = (job, [*path, word] if changed else path)
        if self._live:
            self._live.update(self._table(), refresh=True)
        elif changed:
            self._console.print(f"{label}: {word}")

    def conclude(self, figures: Figures) -> None:
        """Show what was found and measured."""
        if not self._live:
            self._console.print(self._table())
        table = Table(show_header=False, box=None)
        for finding, true in figures.checks.items():
            table.add_row(
                self._words[finding], f"[green]{self._words['yes']}[/]" if true else f"[bold red]{self._words['no']}[/]"
            )
        for label, values in (("start", figures.start_ms), ("live", figures.live_ms)):
            table.add_row(self._words[label], _milliseconds(spread(values)))
        if figures.first_completed_seconds is not None:
            table.add_row(self._words["first"], f"{figures.first_completed_seconds:.1f} s")
        self._console.print(table)

    def word(self, name: str) -> str:
        """A word in the screen's language."""
        return self._words[name]

    def _word(self, job: Job) -> str:
        """The status for people: a job that waits for its provider is not being tried again."""
        return self._words["polling" if job.waiting_reason == "polling" else job.status.value]

    def _table(self) -> Table:
        table = Table(title=self._words["title"], title_justify="left", expand=False)
        for column in ("job", "status", "attempt", "path", "detail"):
            table.add_column(self._words[column])
        for label, (job, path) in self._jobs.items():
            status = Text(self._word(job), style=COLOURS[job.status])
            attempt = f"{job.attempt}/{job.max_attempts}"
            table.add_row(label, status, attempt, " → ".join(path), _detail(job))
        return table


def _detail(job: Job) -> str:
    if job.status is JobStatus.COMPLETED and job.result:
        return str(job.result.get("permalink") or job.result.get("publish_id") or "")
    return job.error_message or job.progress_note or job.waiting_reason or ""


def _milliseconds(figures: dict[str, float | int]) -> str:
    if not figures["count"]:
        return "-"
    return f"p50 {figures['p50']} ms, p95 {figures['p95']} ms, max {figures['max']} ms (n = {figures['count']})"
