"""`filaviva enqueue`: one job, or a file of them."""

import asyncio
import re
from typing import Annotated, Any
from uuid import UUID

import typer

from filaviva.cli.asking import count, progress_bar
from filaviva.cli.exits import Exit
from filaviva.cli.job_file import Line, batches, read_lines, read_object
from filaviva.cli.session import Session, command
from filaviva.cli.times import ahead
from filaviva.errors import FilaVivaError, InvalidRequest, RateLimited, Unavailable
from filaviva.models import EnqueuedJob

_AT = "Not before this time: 2026-11-21T12:00:00Z, or a length such as 10m or 2h."
_ONE_JOB = re.compile(r"\b[Jj]ob (\d+)\b")


@command
async def enqueue(
    session: Session,
    kind: Annotated[
        str | None, typer.Argument(help="Which handler runs it. With --many: of lines without one.")
    ] = None,
    payload: Annotated[
        str | None, typer.Option(help="What the handler gets: a JSON object, @FILE, or - for stdin. Default: {}.")
    ] = None,
    many: Annotated[
        str | None,
        typer.Option(metavar="FILE", help='A job a line, such as {"kind": "k", "payload": {}}; - for stdin.'),
    ] = None,
    queue: Annotated[str | None, typer.Option(help="Default: that of the kind.")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=10, help="Higher runs sooner.")] = None,
    group_key: Annotated[str | None, typer.Option(help="Jobs that share it run one at a time, in order.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key is the same job. With --many: KEY:<line number>.")
    ] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Travels through logs.")] = None,
    metadata: Annotated[str | None, typer.Option(help="Kept with the job: a JSON object, @FILE, or -.")] = None,
    at: Annotated[str | None, typer.Option(help=_AT)] = None,
    expires: Annotated[str | None, typer.Option(help="No attempt starts after this time; as --at.")] = None,
    max_attempts: Annotated[int | None, typer.Option(min=1, max=100, help="Executions, the first included.")] = None,
    company: Annotated[UUID | None, typer.Option(help="Its members see the job.")] = None,
    instance: Annotated[str | None, typer.Option(help="The instance it goes through; service key only.")] = None,
    user: Annotated[UUID | None, typer.Option(help="Its owner; service key only.")] = None,
) -> Exit:
    """Enqueue a job, or with --many a file of jobs.

    The lines of a file are all checked before the first is sent, then sent in portions; each portion is enqueued as a
    whole or not at all. With an idempotency key the same command may be given again after any failure.
    """
    fields: dict[str, Any] = {
        "kind": kind, "queue": queue, "priority": priority, "group_key": group_key, "idempotency_key": idempotency_key,
        "correlation_id": correlation_id, "max_attempts": max_attempts, "company_id": company, "instance_id": instance,
        "user_id": user, "scheduled_at": ahead(at, "--at"), "expires_at": ahead(expires, "--expires"),
        "payload": read_object(payload, "--payload") if payload is not None else None,
        "metadata": read_object(metadata, "--metadata") if metadata is not None else None,
    }  # fmt: skip
    given = {name: value for name, value in fields.items() if value is not None}
    if many is not None:
        return await _enqueue_file(session, many, given)
    if kind is None:
        raise InvalidRequest(
            "KIND is missing.", code="invalid_field", hint="Name the kind, or hand over a file with --many."
        )
    [job] = await session.fila.enqueue_many([given])
    _show_one(session, job)
    return Exit.OK


def _show_one(session: Session, job: EnqueuedJob) -> None:
    out = session.out
    if out.as_json:
        out.document(job)
        return
    known = "  (known: its key was used before)" if job.duplicate else ""
    out.line(out.status(job.status).append(f"  {job.id}{known}", style="default"))


async def _enqueue_file(session: Session, path: str, defaults: dict[str, Any]) -> Exit:
    lines = read_lines(path, defaults)
    if not lines:
        session.out.note("The file has no jobs.")
        return Exit.BAD_END
    jobs = list[EnqueuedJob]()
    with progress_bar(session.out, "Enqueueing", len(lines)) as done:
        for batch in batches(lines):
            jobs += await _send(session, batch, path, len(jobs))
            done(len(jobs))
    if session.out.as_json:
        session.out.document({"jobs": jobs})
        return Exit.OK
    known = sum(job.duplicate for job in jobs)
    session.out.line(
        f"Enqueued: {count(len(jobs) - known)}." + (f" {known:,} were known by their keys." if known else "")
    )
    return Exit.OK


async def _send(session: Session, batch: list[Line], path: str, sent: int) -> list[EnqueuedJob]:
    while True:
        try:
            return await session.fila.enqueue_many([line.job for line in batch])
        except RateLimited as error:
            wait = error.retry_after or 60
            session.out.note(f"Too many calls; going on in {wait:.0f} s.")
            await asyncio.sleep(wait)
        except FilaVivaError as error:
            raise _in_lines(error, batch, path, sent) from error


def _in_lines(error: FilaVivaError, batch: list[Line], path: str, sent: int) -> FilaVivaError:
    """The error with the line in place of the position, and with what became of the file."""
    name = "stdin" if path == "-" else path
    found = _ONE_JOB.search(error.message)
    if found and int(found[1]) < len(batch):
        message = f"{name}, line {batch[int(found[1])].number}: {_without_position(error.message)}"
    else:
        message = f"{name}, lines {batch[0].number} to {batch[-1].number}: {error.message}"
    landed = f"{count(sent)} of the file {'is' if sent == 1 else 'are'} enqueued" if sent else "Nothing was enqueued"
    if isinstance(error, Unavailable) and not all("idempotency_key" in line.job for line in batch):
        landed += " for certain; whether these lines are is not known: see `filaviva jobs`"
    elif sent:
        landed += ", and nothing from there on"
    return type(error)(f"{message} {landed}.", code=error.code, hint=error.hint, status=error.status)


def _without_position(message: str) -> str:
    return re.sub(r" of job \d+\b", "", re.sub(r"^Job \d+", "The job", message))
