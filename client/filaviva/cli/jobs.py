"""`filaviva jobs`, `why` and `stats`: what there is, and why it does not move."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import typer

from filaviva.cli.exits import Exit
from filaviva.cli.job_views import job_fields, job_table
from filaviva.cli.options import STATUSES, After, Before, Company, GroupKey, Kind, Queue, User
from filaviva.cli.output import Column
from filaviva.cli.session import Session, command
from filaviva.cli.times import ago
from filaviva.models import Job, JobStatus, Page

_PAGE = 200


@command
async def jobs(
    session: Session,
    job: Annotated[list[UUID] | None, typer.Argument(help="Show these jobs in full. Default: list jobs.")] = None,
    queue: Queue = None,
    kind: Kind = None,
    status: Annotated[
        list[JobStatus] | None, typer.Option(metavar="STATUS", help=f"{STATUSES}; may be given several times.")
    ] = None,
    user: User = None,
    company: Company = None,
    group_key: GroupKey = None,
    before: Before = None,
    after: After = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 25,
    cursor: Annotated[str | None, typer.Option(help="Where the former list ended, as it says.")] = None,
) -> Exit:
    """List jobs, the newest first, or show some in full."""
    if job:
        return _show(session, [await session.fila.get(one) for one in job])
    conditions = {
        "queue": queue,
        "kind": kind,
        "status": status or None,
        "user_id": user,
        "company_id": company,
        "group_key": group_key,
        "created_before": ago(before, "--before"),
        "created_after": ago(after, "--after"),
    }
    page = await _collect(session, conditions, limit, cursor)
    if session.out.as_json:
        session.out.document(page)
    elif page.items:
        session.out.console.print(job_table(session.out, page.items))
        if page.next_cursor:
            session.out.note(f"There are more: add --cursor {page.next_cursor}, or a larger --limit.")
    else:
        session.out.note("No job matches.")
    return Exit.OK if page.items else Exit.BAD_END


@command
async def why(session: Session, job: Annotated[UUID, typer.Argument(help="The job.")]) -> Exit:
    """Say why a job is not running, and when it may go on."""
    out = session.out
    waiting = await session.fila.why_waiting(job)
    if out.as_json:
        out.document({**waiting.model_dump(), "text": waiting.text(out.language)})
        return Exit.OK
    out.line(waiting.text(out.language))
    found = await session.fila.get(job)
    if found.status is not JobStatus.COMPLETED and found.error_code:
        out.line(f"{found.error_code}: {found.error_message or ''}".rstrip(": "))
    if found.status in _NEXT:
        out.note(_NEXT[found.status].format(job=job))
    return Exit.OK


@command
async def stats(
    session: Session,
    queue: Queue = None,
    kind: Kind = None,
    user: User = None,
    company: Company = None,
    group_key: GroupKey = None,
    before: Before = None,
    after: After = None,
) -> Exit:
    """Count jobs by status."""
    found = await session.fila.stats(
        queue=queue,
        kind=kind,
        user_id=user,
        company_id=company,
        group_key=group_key,
        created_before=ago(before, "--before"),
        created_after=ago(after, "--after"),
    )
    if session.out.as_json:
        session.out.document(found)
        return Exit.OK
    rows = [(session.out.status(status), f"{getattr(found, status.value):,}") for status in JobStatus]
    session.out.print_table((Column("status"), Column("jobs", right=True)), [*rows, ("total", f"{found.total:,}")])
    return Exit.OK


_NEXT = {
    JobStatus.FAILED: "To run it again: filaviva retry {job}",
    JobStatus.UNCONFIRMED: "Find out whether it happened, then: filaviva resolve {job} --happened (or --not-happened)",
}


def _show(session: Session, found: list[Job]) -> Exit:
    if session.out.as_json:
        session.out.document(Page(items=found))
        return Exit.OK
    for number, one in enumerate(found):
        if number:
            session.out.line("")
        session.out.print_fields(job_fields(session.out, one))
    return Exit.OK


async def _collect(session: Session, conditions: dict[str, Any], limit: int, cursor: str | None) -> Page[Job]:
    """As many pages as `limit` needs, as one."""
    items = list[Job]()
    async for page in _pages(session, conditions, limit, cursor):
        items += page.items
        cursor = page.next_cursor
    return Page(items=items, next_cursor=cursor)


async def _pages(
    session: Session, conditions: dict[str, Any], limit: int, cursor: str | None
) -> AsyncIterator[Page[Job]]:
    while limit > 0:
        page = await session.fila.jobs(**conditions, limit=min(_PAGE, limit), cursor=cursor)
        yield page
        if page.next_cursor is None:
            return
        limit, cursor = limit - len(page.items), page.next_cursor
