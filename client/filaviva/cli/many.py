"""`filaviva redrive`, `prune` and `purge`: changes to many jobs. Each says first how many, and asks."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from filaviva.cli.asking import DryRun, Yes, confirm, count, progress_bar
from filaviva.cli.exits import Exit
from filaviva.cli.options import (
    After,
    Before,
    Company,
    ErrorCode,
    ErrorText,
    GroupKey,
    Instance,
    Kind,
    Queue,
    User,
)
from filaviva.cli.session import Session, command
from filaviva.cli.times import ago
from filaviva.errors import InvalidRequest
from filaviva.models import JobStatus
from filaviva.operator import Changed, Progress

Limit = Annotated[int | None, typer.Option(min=1, help="At most so many, the oldest first.")]
Change = Callable[[bool, Progress | None], Awaitable[Changed]]


@command
async def redrive(
    session: Session,
    queue: Queue = None,
    kind: Kind = None,
    error_code: ErrorCode = None,
    error_text: ErrorText = None,
    user: User = None,
    company: Company = None,
    instance: Instance = None,
    group_key: GroupKey = None,
    before: Before = None,
    after: After = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> Exit:
    """Give the failed jobs that match fresh attempts.

    Jobs that may have taken effect are left alone. At least one condition is needed; all that are given must hold.
    """
    conditions = _conditions(
        queue=queue, kind=kind, error_code=error_code, error_text=error_text, user_id=user, company_id=company,
        instance_id=instance, group_key=group_key, before=before, after=after,
    )  # fmt: skip

    async def change(dry: bool, progress: Progress | None) -> Changed:
        return await session.fila.operator.redrive(conditions, dry_run=dry, limit=limit, progress=progress)

    return await _carry_out(session, change, "Redrive {jobs}?", ("Redriving", "Redriven"), dry_run=dry_run, yes=yes)


@command
async def prune(
    session: Session,
    queue: Queue = None,
    kind: Kind = None,
    status: Annotated[
        JobStatus | None, typer.Option(metavar="STATUS", help="Of this final status. Default: of every one.")
    ] = None,
    error_code: ErrorCode = None,
    error_text: ErrorText = None,
    user: User = None,
    company: Company = None,
    instance: Instance = None,
    group_key: GroupKey = None,
    before: Before = None,
    after: After = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> Exit:
    """Delete the finished jobs that match, for good.

    Jobs that are not finished are never deleted. At least one condition is needed; all that are given must hold.
    Retention does this by itself for what is old.
    """
    conditions = _conditions(
        queue=queue, kind=kind, status=status, error_code=error_code, error_text=error_text, user_id=user,
        company_id=company, instance_id=instance, group_key=group_key, before=before, after=after,
    )  # fmt: skip

    async def change(dry: bool, progress: Progress | None) -> Changed:
        return await session.fila.operator.prune(conditions, dry_run=dry, limit=limit, progress=progress)

    question = "Delete {jobs} for good?"
    return await _carry_out(session, change, question, ("Deleting", "Deleted"), dry_run=dry_run, yes=yes)


@command
async def purge(
    session: Session,
    queue: Annotated[str, typer.Argument(help="The queue.")],
    dry_run: DryRun = False,
    yes: Yes = False,
) -> Exit:
    """Cancel every job of a queue that waits.

    Jobs that run go on. The cancelled ones stay to be seen until their retention ends.
    """

    async def change(dry: bool, progress: Progress | None) -> Changed:
        return await session.fila.operator.purge(queue, dry_run=dry, progress=progress)

    question = f"Cancel {{jobs}} of the queue {queue.replace('{', '{{').replace('}', '}}')}?"
    return await _carry_out(session, change, question, ("Cancelling", "Cancelled"), dry_run=dry_run, yes=yes)


def _conditions(*, before: str | None, after: str | None, **conditions: Any) -> dict[str, Any]:
    times = {"created_before": ago(before, "--before"), "created_after": ago(after, "--after")}
    given = {name: value for name, value in {**conditions, **times}.items() if value is not None}
    if not given:
        raise InvalidRequest(
            "No condition is given, and this is not done to every job there is.",
            code="empty_filter",
            hint="Add one such as --queue, --kind, --error-code or --before.",
        )
    return given


async def _carry_out(
    session: Session, change: Change, question: str, words: tuple[str, str], *, dry_run: bool, yes: bool
) -> Exit:
    """Count, ask, change, and say what came of it."""
    out = session.out
    found = await change(True, None)
    if dry_run or not found.matched:
        if out.as_json:
            out.document(_figures(found))
        else:
            out.line(f"{count(found.matched)} would be {words[1].lower()}." if found.matched else "No job matches.")
        return Exit.OK if found.matched else Exit.BAD_END
    if not confirm(question.format(jobs=count(found.matched)), yes=yes):
        return Exit.BAD_END
    with progress_bar(out, words[0], found.matched) as done:
        changed = await change(False, done)
    if out.as_json:
        out.document(_figures(changed))
    else:
        out.line(f"{words[1]}: {count(changed.changed)}.")
    return Exit.OK


def _figures(changed: Changed) -> dict[str, Any]:
    return changed.model_dump(mode="json")
