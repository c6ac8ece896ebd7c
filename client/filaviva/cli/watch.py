"""`filaviva watch`: follow jobs live until they end, or a queue until you leave."""

from contextlib import aclosing, nullcontext
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer
from rich.live import Live

from filaviva.cli.exits import Exit
from filaviva.cli.job_views import followed_table, print_change, remark
from filaviva.cli.session import Session, command
from filaviva.cli.streams import merged
from filaviva.cli.watch_queue import watch_queue
from filaviva.errors import InvalidRequest
from filaviva.models import Job, JobStatus


@command
async def watch(
    session: Session,
    job: Annotated[list[UUID] | None, typer.Argument(help="One or more jobs.")] = None,
    queue: Annotated[str | None, typer.Option(help="Follow this queue instead, until Ctrl-C.")] = None,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="With --queue, for a signed-in operator: the jobs of all owners.")
    ] = False,
) -> Exit:
    """Follow jobs live until they have ended, or a queue.

    The exit code is 0 when all the jobs are completed, otherwise 1. At a terminal it is a table that repaints itself,
    elsewhere a line for each change; with --json an object a line. A queue shows your own jobs, and with the service
    key everybody's.
    """
    if bool(job) == (queue is not None):
        raise InvalidRequest(
            "Name jobs, or a queue with --queue.", code="invalid_field", hint="`filaviva jobs` lists your jobs."
        )
    if queue is not None:
        return await watch_queue(session, queue, everyone=everyone or not session.signed_in)
    return await _watch_jobs(session, list(dict.fromkeys(job or ())))


async def _watch_jobs(session: Session, wanted: list[UUID]) -> Exit:
    out, known = session.out, dict[UUID, Job]()
    with Live(console=out.console, auto_refresh=False) if out.is_live else nullcontext() as screen:
        async with aclosing(merged([session.fila.watch(one) for one in wanted])) as states:
            async for state in states:
                if state is not None:
                    known[state.id] = state
                    if screen is None:
                        print_change(out, state)
                if screen is not None:
                    shown = [known[one] for one in wanted if one in known]
                    screen.update(followed_table(out, shown, datetime.now(UTC)), refresh=True)
    ended_badly = [one for one in known.values() if one.status is not JobStatus.COMPLETED]
    if screen is not None:
        for one in ended_badly:
            out.note(f"{one.id}  {remark(one)}")  # the table may have had no room for it
    return Exit.BAD_END if ended_badly else Exit.OK
