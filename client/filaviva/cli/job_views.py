"""How jobs look to people: a list of them, one in full, and a line for each change."""

import json
from collections.abc import Iterable
from datetime import datetime

from rich.table import Table
from rich.text import Text

from filaviva.cli.output import Cell, Column, Output, age, as_text, clean, duration
from filaviva.models import Job, JobStatus

_LIST = (
    Column("job"),
    Column("status"),
    Column("kind", flexible=True),
    Column("queue", flexible=True, wide=True),
    Column("attempt", right=True, wide=True),
    Column("age", right=True),
    Column("", flexible=True, wide=True),
)
_FOLLOWED = (
    Column("job"),
    Column("status"),
    Column("kind", flexible=True, wide=True),
    Column("attempt", right=True, wide=True),
    Column("time", right=True),
    Column("", flexible=True),
)
_BAR = 10
_PLAIN = (
    "kind", "queue", "user_id", "company_id", "instance_id", "group_key", "idempotency_key", "correlation_id",
    "priority",
)  # fmt: skip
_MOMENTS = (
    "scheduled_at", "expires_at", "next_run_at", "created_at", "started_at", "committed_at", "cancel_requested_at",
    "finished_at",
)  # fmt: skip


def job_table(out: Output, jobs: Iterable[Job]) -> Table:
    """A list of jobs."""
    return out.table(
        _LIST,
        [
            (str(job.id), out.status(job.status), job.kind, job.queue, attempts(job), age(job.created_at), remark(job))
            for job in jobs
        ],
    )


def followed_table(out: Output, jobs: Iterable[Job], now: datetime) -> Table:
    """Jobs that are followed live, with their progress."""
    rows = [
        (str(job.id), out.status(job.status), job.kind, attempts(job), _time(job, now), progress(job)) for job in jobs
    ]
    return out.table(_FOLLOWED, rows)


def change_line(out: Output, job: Job) -> Text:
    """One change of a job, for a log."""
    line = Text(f"{job.updated_at.astimezone():%H:%M:%S}  {job.id}  ")
    line.append_text(out.status(job.status))
    percent = f"{job.progress:g} %" if job.progress is not None else ""
    for part in (percent, clean(remark(job))):
        if part:
            line.append(f"  {part}")
    return line


def print_change(out: Output, job: Job) -> None:
    """One change: a line for people, an object for machines."""
    if out.as_json:
        out.event(job)
    else:
        out.line(change_line(out, job))


def job_fields(out: Output, job: Job) -> list[tuple[str, Cell]]:
    """One job in full; what it does not have is left out."""
    fields: list[tuple[str, Cell]] = [
        ("job", str(job.id)),
        ("status", out.status(job.status)),
        *((name.replace("_", " "), getattr(job, name) or None) for name in _PLAIN),
        ("attempt", attempts(job)),
        *((name.removesuffix("_at").replace("_", " "), _moment(getattr(job, name))) for name in _MOMENTS),
        ("progress", progress(job) if job.progress is not None and not job.status.is_final else None),
        ("error", job.error_code),
        ("", job.error_message),
        *((name, _json(getattr(job, name))) for name in ("payload", "metadata", "result")),
    ]
    return [(name, value) for name, value in fields if value is not None]


def attempts(job: Job) -> str:
    """How many executions of how many."""
    return f"{job.attempt}/{job.max_attempts}"


def remark(job: Job) -> str:
    """What is worth a word: the error, the handler's note, or what it waits for."""
    if job.status in (JobStatus.FAILED, JobStatus.UNCONFIRMED, JobStatus.RETRYING) and job.error_code:
        return f"{job.error_code}: {job.error_message or ''}".rstrip(": ")
    if job.status is JobStatus.PROCESSING:
        return "asked to stop" if job.cancel_requested_at else job.progress_note or ""
    return (job.waiting_reason or "") if not job.status.is_final else ""


def progress(job: Job) -> Text:
    """The progress as a bar and its note; without a progress the remark."""
    if job.progress is None or job.status.is_final:
        return as_text(remark(job))
    full = round(job.progress / 100 * _BAR)
    bar = Text("━" * full, style="blue").append("─" * (_BAR - full), style="dim")
    return bar.append(f" {job.progress:3.0f} %  {clean(remark(job))}".rstrip(), style="default")


def _time(job: Job, now: datetime) -> str:
    """For how long it has run, or waits, or took from its start to its end."""
    since = job.started_at if job.started_at and job.status is not JobStatus.PENDING else job.created_at
    return duration(((job.finished_at or now) - since).total_seconds())


def _moment(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    when = age(moment)
    return (
        f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}  ({when if when == 'now' or when[:3] == 'in ' else when + ' ago'})"
    )


def _json(value: object) -> str | None:
    return json.dumps(value, ensure_ascii=False) if value else None
