"""`filaviva cancel`, `retry`, `resolve` and `replay`: what may be done to single jobs.

Four words for four things: *cancel* asks a job to stop, *retry* gives a failed one fresh attempts, *resolve* says of
an unconfirmed one whether it happened, and *replay* enqueues the same work as a new job and leaves the old one alone.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import typer

from filaviva.cli.asking import Yes, confirm, count
from filaviva.cli.exits import Exit, exit_code, tell
from filaviva.cli.job_file import read_object
from filaviva.cli.job_views import job_table
from filaviva.cli.session import Session, command
from filaviva.errors import Conflict, FilaVivaError, InvalidRequest, NotFound
from filaviva.models import Job, NewJob

Jobs = Annotated[list[UUID], typer.Argument(help="One or more jobs.")]

_COPIED = (
    "kind", "queue", "payload", "metadata", "priority", "group_key", "correlation_id", "max_attempts", "company_id",
    "instance_id", "user_id",
)  # fmt: skip


@command
async def cancel(session: Session, job: Jobs) -> Exit:
    """Ask jobs to stop.

    One that waits is cancelled at once. One that runs stops at its handler's next look, and a result that still
    arrives wins.
    """
    return await _each(session, job, session.fila.cancel)


@command
async def retry(session: Session, job: Jobs) -> Exit:
    """Give failed jobs fresh attempts.

    They are pending again. For many jobs, by their error or their queue, see `redrive`.
    """
    return await _each(session, job, session.fila.retry)


@command
async def resolve(
    session: Session,
    job: Annotated[UUID, typer.Argument(help="An unconfirmed job.")],
    happened: Annotated[
        bool | None,
        typer.Option("--happened/--not-happened", help="It took place: completed. It did not: the job runs again."),
    ] = None,
    result: Annotated[str | None, typer.Option(help="Its result: a JSON object, @FILE, or -. With --happened.")] = None,
) -> Exit:
    """Say of an unconfirmed job whether its effect took place."""
    if happened is None:
        raise _wrong(
            "Say whether it took place.", "Look where the effect would be, then add --happened or --not-happened."
        )
    if result is not None and not happened:
        raise _wrong("--result is the result of what happened.", "Leave it out, or say --happened.")
    value = read_object(result, "--result") if result is not None else None
    return _show(session, [await session.fila.resolve(job, happened, value)])


@command
async def replay(session: Session, job: Jobs, yes: Yes = False) -> Exit:
    """Enqueue the work of jobs again, as new jobs.

    The old jobs stay as they are. A new one has the old one's kind, payload and owner, but neither its idempotency
    key nor its times, and its metadata names the old one as `replay_of`. What was done is done a second time.
    """
    old = [await session.fila.get(one) for one in job]
    if not confirm(f"Do the work of {count(len(old))} again, as new jobs?", yes=yes):
        return Exit.BAD_END
    new = await session.fila.enqueue_many([_again(one) for one in old])
    return _show(session, [await session.fila.get(one.id) for one in new])


def _again(job: Job) -> NewJob:
    fields: dict[str, Any] = {name: getattr(job, name) for name in _COPIED}
    return NewJob(**{**fields, "metadata": {**job.metadata, "replay_of": str(job.id)}})


async def _each(session: Session, job_ids: list[UUID], change: Callable[[UUID], Awaitable[Job]]) -> Exit:
    """Change each job in its own right; say of each that refuses why."""
    changed, code = list[Job](), Exit.OK
    for job_id in dict.fromkeys(job_ids):
        try:
            changed.append(await change(job_id))
        except (NotFound, Conflict) as error:
            tell(_about(job_id, error), as_json=session.out.as_json)
            code = exit_code(error)
    if changed:
        _show(session, changed)
    return code


def _about(job_id: UUID, error: FilaVivaError) -> FilaVivaError:
    message = error.message if str(job_id) in error.message else f"{job_id}: {error.message}"
    return type(error)(message, code=error.code, hint=error.hint, status=error.status)


def _show(session: Session, jobs: list[Job]) -> Exit:
    if session.out.as_json:
        session.out.document({"jobs": jobs})
    else:
        session.out.console.print(job_table(session.out, jobs))
    return Exit.OK


def _wrong(message: str, hint: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_field", hint=hint)
