"""`filaviva ping`: sends a canary down the whole road, and says how long each stretch took."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from filaviva.cli.exits import Exit
from filaviva.cli.output import duration
from filaviva.cli.session import Session, command
from filaviva.errors import Conflict
from filaviva.models import JobStatus
from filaviva.queue import FilaViva

KIND = "canary"
"""The kind whose handler does nothing; it comes with the migrations."""

_STAGES = {
    "enqueued": "from the call to its answer",
    "claimed": "from the enqueue until a worker took it",
    "ended": "from its claim to its end",
    "seen": "from the call to the news of its end, here",
}


@dataclass(frozen=True, slots=True)
class Journey:
    """How a canary fared; all lengths in milliseconds, None for a stretch that it did not reach."""

    job_id: UUID
    status: JobStatus
    enqueue_ms: float
    """From the call to its answer."""
    claim_ms: float | None
    """From the enqueue to a worker's claim, by the database's clock."""
    run_ms: float | None
    """From the claim to the end, by the database's clock."""
    seen_ms: float | None
    """From the call to the news of the end, here."""


async def send_canary(
    fila: FilaViva,
    timeout: float,  # noqa: ASYNC109 - a silent road is a finding
    reached: Callable[[str, float], None] = lambda _stage, _ms: None,
) -> Journey:
    """Enqueue a canary and follow it to its end, for at most `timeout` seconds.

    `reached` is called with the name of each stage and its length in milliseconds, as soon as it is known.
    """
    begun = time.perf_counter()
    enqueued = await fila.enqueue(KIND, {})
    lengths: dict[str, float] = {}

    def note(stage: str, milliseconds: float | None) -> None:
        if milliseconds is not None and stage not in lengths:
            lengths[stage] = round(milliseconds, 1)
            reached(stage, lengths[stage])

    note("enqueued", _since(begun))
    status = enqueued.status
    try:
        async with asyncio.timeout(timeout), aclosing(fila.watch(enqueued.id)) as states:
            async for job in states:
                status = job.status
                note("claimed", _between(job.created_at, job.started_at))
                if status.is_final:
                    note("ended", _between(job.started_at, job.finished_at))
                    note("seen", _since(begun))
    except TimeoutError:
        pass
    stages = (lengths.get(stage) for stage in ("claimed", "ended", "seen"))
    return Journey(enqueued.id, status, lengths["enqueued"], *stages)


@command
async def ping(
    session: Session,
    wait: Annotated[float, typer.Option(min=1, max=3600, help="Give up after so many seconds.")] = 30,
) -> Exit:
    """Send a job that does nothing, and time each stretch of its road.

    It is followed live: code 0 when its end is seen, 3 when nobody takes it up in time. It is taken back then.
    """
    out = session.out

    def print_stage(stage: str, milliseconds: float) -> None:
        out.line(f"{stage:<9}{duration(milliseconds / 1000):>8}  {_STAGES[stage]}")

    journey = await send_canary(session.fila, wait, print_stage)
    if out.as_json:
        out.document(journey)
    if not journey.status.is_final:
        await _give_up(session, journey)
        return Exit.NO_ANSWER
    out.line(out.status(journey.status))
    return Exit.OK if journey.status is JobStatus.COMPLETED else Exit.BAD_END


async def _give_up(session: Session, journey: Journey) -> None:
    """Say what the canary waits for, and take it back."""
    waiting = await session.fila.why_waiting(journey.job_id)
    session.out.note(f"The canary has not come through. {waiting.text(session.out.language)}")
    try:
        await session.fila.cancel(journey.job_id)
    except Conflict:
        session.out.note(f"It could not be taken back: {journey.job_id}")


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return round((end - start).total_seconds() * 1000, 1) if start and end else None
