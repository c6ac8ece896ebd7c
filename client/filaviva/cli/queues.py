"""`filaviva queues`, `pause`, `resume`, `limits` and `alerts`: what operators look at, and the switch of a queue."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from filaviva.cli.exits import Exit
from filaviva.cli.output import Cell, Column, age, duration
from filaviva.cli.session import Session, command
from filaviva.errors import InvalidRequest
from filaviva.operator_models import Alert, Queue

Queues = Annotated[list[str], typer.Argument(help="One or more queues.")]

_QUEUES = (
    Column("queue"),
    Column("waiting", right=True),
    Column("running", right=True),
    Column("oldest", right=True),
    Column("per min", right=True),
    Column("errors", right=True),
    Column("due", right=True, wide=True),
    Column("later", right=True, wide=True),
    Column("blocked", right=True, wide=True),
    Column("at once", right=True, wide=True),
    Column("attempts", right=True, wide=True),
    Column("", flexible=True),
)


@command
async def queues(
    session: Session, queue: Annotated[list[str] | None, typer.Argument(help="Only these. Default: all.")] = None
) -> Exit:
    """Show queues: how long they are, and how fast they move."""
    found = [one for one in await session.fila.operator.queues() if not queue or one.name in queue]
    if session.out.as_json:
        session.out.document({"queues": found})
    else:
        session.out.print_table(_QUEUES, [_queue_row(one) for one in found])
    unknown = sorted(set(queue or ()) - {one.name for one in found})
    if unknown:
        session.out.note(f"There is no queue {', '.join(unknown)}.")
    return Exit.BAD_END if unknown or not found else Exit.OK


@command
async def pause(session: Session, queue: Queues) -> Exit:
    """Let nothing of queues start.

    What runs goes on, and what is enqueued waits until `resume`.
    """
    for name in queue:
        await session.fila.operator.pause(name)
    return await _show_switched(session, queue)


@command
async def resume(session: Session, queue: Queues) -> Exit:
    """Let paused queues go on."""
    for name in queue:
        await session.fila.operator.resume(name)
    return await _show_switched(session, queue)


@command
async def limits(
    session: Session,
    limiter: Annotated[str | None, typer.Argument(help="A rate limiter. Default: list all.")] = None,
    key: Annotated[str | None, typer.Argument(help="How this key stands under it.")] = None,
) -> Exit:
    """List rate limits, or show how one key stands under one."""
    out = session.out
    if limiter is not None:
        if key is None:
            raise InvalidRequest(
                "KEY is missing.", code="invalid_field", hint="Name a user's or an instance's id, or leave both out."
            )
        status = await session.fila.rate_limit(limiter, key)
        if out.as_json:
            out.document(status)
        else:
            wait = "" if status.allowed else f"; the next in {duration(status.retry_after)}"
            left = f"{status.remaining:,} of {status.limit:,} in {status.window_seconds:,} s are left{wait}."
            out.line(Text(left, style="" if status.allowed else "yellow"))
        return Exit.OK
    found = await session.fila.operator.limits()
    if out.as_json:
        out.document({"limits": found})
    else:
        columns = (
            Column("limit"),
            Column("at most", right=True),
            Column("in", right=True),
            Column("queues", flexible=True),
        )
        out.print_table(columns, [
            (one.name, f"{one.max_hits:,}", f"{one.window_seconds:,} s",
             ", ".join(f"{use.queue} by {use.key}" for use in one.queues))
            for one in found
        ])  # fmt: skip
    return Exit.OK if found else Exit.BAD_END


@command
async def alerts(
    session: Session,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 50,
) -> Exit:
    """Show open alerts, the newest first.

    The exit code is 1 while one is open.
    """
    found = await session.fila.operator.alerts(open_only=not every, limit=limit)
    out = session.out
    if out.as_json:
        out.document({"alerts": found})
    elif found:
        columns = (Column("rule"), Column("queue"), Column("opened", right=True), Column("", flexible=True))
        out.print_table(columns, [(one.rule, one.queue, age(one.opened_at), _alert_text(one)) for one in found])
    else:
        out.line("No alert." if every else "No open alert.")
    return Exit.BAD_END if any(one.resolved_at is None for one in found) else Exit.OK


async def _show_switched(session: Session, names: list[str]) -> Exit:
    found = [one for one in await session.fila.operator.queues() if one.name in names]
    if session.out.as_json:
        session.out.document({"queues": found})
    else:
        session.out.print_table(_QUEUES, [_queue_row(one) for one in found])
    return Exit.OK


def _queue_row(queue: Queue) -> list[Cell]:
    now = queue.metrics
    errors = Text(f"{now.error_rate:g} %", style="red" if now.error_rate else "")
    return [
        queue.name,
        _grown(now.size, now.queue_trend),
        f"{now.processing:,}",
        duration(now.oldest_seconds) if now.oldest_seconds else "",
        f"{now.processing_rate:g}",
        errors,
        f"{now.due:,}",
        f"{now.later:,}",
        f"{now.blocked:,}",
        "any" if queue.concurrency is None else queue.concurrency,
        queue.max_attempts,
        _paused(queue),
    ]


def _paused(queue: Queue) -> Text | None:
    if queue.paused_at is None:
        return None
    seconds = (datetime.now(UTC) - queue.paused_at).total_seconds()
    return Text(f"paused for {duration(seconds)}", style="yellow")


def _grown(size: int, trend: int | None) -> str:
    sign = "↑" if trend and trend > 0 else "↓" if trend and trend < 0 else ""
    return f"{sign} {size:,}".strip()


def _alert_text(alert: Alert) -> Text:
    over = (
        f"  (over after {duration((alert.resolved_at - alert.opened_at).total_seconds())})" if alert.resolved_at else ""
    )
    return Text(alert.message + over, style="dim" if over else "")
