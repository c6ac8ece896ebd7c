"""A queue on the screen: how it does, what runs in it, and what has just changed."""

import itertools
import time
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, aclosing, nullcontext
from datetime import UTC, datetime
from uuid import UUID

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from filaviva.cli.exits import Exit
from filaviva.cli.job_views import followed_table, print_change
from filaviva.cli.output import Output, duration
from filaviva.cli.session import Session
from filaviva.cli.streams import merged
from filaviva.errors import FilaVivaError
from filaviva.models import Job, JobStatus
from filaviva.operator_models import QueueMetrics

_UNDER_WAY = (JobStatus.PROCESSING, JobStatus.RETRYING)
_MOST = 200
_METRICS_SECONDS = 5.0
_LINES_BESIDE = 4
_MOST_KNOWN = 10_000


async def watch_queue(session: Session, queue: str, *, everyone: bool) -> Exit:
    """Follow a queue until Ctrl-C.

    What is under way has a view of its own: behind a backlog it is not among the newest.
    """
    out, printed = session.out, _Printed()
    header = _Header(session, queue, wanted=everyone)
    await header.read()
    async with AsyncExitStack() as stack:
        views = [
            await stack.enter_async_context(
                session.fila.live_jobs(queue=queue, status=status, everyone=everyone, limit=_MOST)
            )
            for status in (_UNDER_WAY, None)
        ]
        screen = stack.enter_context(Live(console=out.console, auto_refresh=False) if out.is_live else nullcontext())
        async for _ in await stack.enter_async_context(aclosing(merged(views))):
            jobs = _newest(view.current for view in views)
            if screen is None:
                for job in printed.news(jobs):
                    print_change(out, job)
                printed.has_begun |= not any(view.is_loading for view in views)
            else:
                await header.read_when_due()
                first = header.text(is_live=all(view.is_live for view in views))
                screen.update(Group(first, _table(out, jobs)), refresh=True)
    return Exit.OK


class _Header:
    """The figures of the queue, for those who may see them; read every few seconds."""

    def __init__(self, session: Session, queue: str, *, wanted: bool) -> None:
        self._operator = session.fila.operator
        self._queue = queue
        self._wanted = wanted
        self._metrics: QueueMetrics | None = None
        self._next = 0.0

    async def read(self) -> None:
        """Read the figures.

        Raises:
            FilaVivaError: there is no such queue, or the caller is no operator.
        """
        self._next = time.monotonic() + _METRICS_SECONDS
        if self._wanted:
            [self._metrics] = await self._operator.metrics(self._queue)

    async def read_when_due(self) -> None:
        """Read the figures if they are old; without an answer the old ones stay."""
        if time.monotonic() >= self._next:
            try:
                await self.read()
            except FilaVivaError:
                return

    def text(self, *, is_live: bool) -> Text:
        """One line."""
        now, line = self._metrics, Text(self._queue, style="bold")
        if now is not None:
            line.append("  " + _figures(now), style="not bold")
            line.append("  paused" if now.paused else "", style="not bold yellow")
        return line.append("" if is_live else "  no live connection: polling", style="not bold yellow")


def _newest(lists: Iterable[Iterable[Job]]) -> list[Job]:
    """Each job once, as the list that is ahead has it."""
    jobs = dict[UUID, Job]()
    for job in itertools.chain.from_iterable(lists):
        if job.id not in jobs or jobs[job.id].version < job.version:
            jobs[job.id] = job
    return list(jobs.values())


def _figures(now: QueueMetrics) -> str:
    figures = [
        f"{now.size:,} waiting",
        f"{now.processing:,} running",
        f"{now.processing_rate:g} per min",
        f"{now.error_rate:g} % errors",
    ]
    if now.oldest_seconds:
        figures.append(f"oldest {duration(now.oldest_seconds)}")
    return ", ".join(figures)


def _table(out: Output, jobs: Iterable[Job]) -> Table:
    ordered = sorted(jobs, key=lambda job: (job.status not in _UNDER_WAY, -job.updated_at.timestamp()))
    return followed_table(out, ordered[: max(1, out.console.height - _LINES_BESIDE)], datetime.now(UTC))


class _Printed:
    """Which states were printed: the versions of as many jobs as a queue shows in a while."""

    def __init__(self) -> None:
        self._versions: dict[UUID, int] = {}
        self.has_begun = False
        """Whether all that was there at the beginning was looked at."""

    def news(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """What is newer than printed, the oldest change first; at the beginning what has not ended."""
        for job in sorted(jobs, key=lambda job: job.updated_at):
            known = self._versions.pop(job.id, 0)
            self._versions[job.id] = max(known, job.version)  # as the last one
            if known < job.version and (self.has_begun or not job.status.is_final):
                yield job
        while len(self._versions) > _MOST_KNOWN:
            del self._versions[next(iter(self._versions))]
