"""The live view of a user's publications: their jobs, and what became of each platform."""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from filaviva.live.callback import OnChange
from filaviva.live.context import LiveContext
from filaviva.live.selection import Selection
from filaviva.live.source import Source
from filaviva.live.table import LiveTable
from filaviva.live.view import LiveView
from filaviva.models import Job, JobStatus

logger = logging.getLogger(__name__)

PUBLICATION_KIND = "publish_post"
"""The kind of the jobs that publish a post, one job an option."""

# Rows come and change while it waits for the next one to grow old.
_LOOK_SECONDS = 5.0

_MOST_URGENT_FIRST = (
    JobStatus.UNCONFIRMED,
    JobStatus.FAILED,
    JobStatus.PROCESSING,
    JobStatus.RETRYING,
    JobStatus.PENDING,
    JobStatus.CANCELLED,
    JobStatus.COMPLETED,
)


@dataclass(frozen=True, slots=True)
class PublicationStatus:
    """A user's publications at one moment.

    Attributes:
        jobs: one job an option, the newest first.
        status_by_platform: each platform (such as ``tiktok``) with the status of its job; with several jobs the one
            that most wants somebody to look: unconfirmed, failed, processing, retrying, pending, cancelled, completed.
        status_by_option: each option (such as ``tiktok_video``) with a status, chosen in the same way.
    """

    jobs: Sequence[Job]
    status_by_platform: Mapping[str, JobStatus]
    status_by_option: Mapping[str, JobStatus]

    @property
    def total_jobs(self) -> int:
        """How many jobs there are."""
        return len(self.jobs)

    @property
    def completed_jobs(self) -> int:
        """How many of them are published."""
        return sum(job.status is JobStatus.COMPLETED for job in self.jobs)

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> "PublicationStatus":
        """The status that `jobs` add up to."""
        return cls(jobs, _by("platform", jobs), _by("option", jobs))


class LivePublications(LiveView[PublicationStatus]):
    """Publications as they stand; made by `FilaViva.publication_status`."""

    def __init__(
        self,
        context: LiveContext,
        selection: Selection[Job],
        tracking: timedelta | None,
        *,
        auto_fetch: bool = True,
        on_change: OnChange[PublicationStatus] | None = None,
    ) -> None:
        """`tracking`: how long after their enqueue jobs that are over are shown; None: always."""
        self._table = _Publications(context, selection, begins=auto_fetch)
        self._tracking = tracking
        sources: list[Source] = [self._table]
        if tracking is not None:
            sources.append(_Ageing(self._table, tracking))
        super().__init__(context, sources, on_change)

    @property
    def current(self) -> PublicationStatus:
        """The publications as they are known now."""
        return PublicationStatus.of([job for job in self._table.rows.newest if self._is_tracked(job)])

    @property
    def jobs(self) -> Sequence[Job]:
        """One job an option, the newest first."""
        return self.current.jobs

    @property
    def status_by_platform(self) -> Mapping[str, JobStatus]:
        """Each platform with its status, as `PublicationStatus` says."""
        return self.current.status_by_platform

    @property
    def total_jobs(self) -> int:
        """How many jobs there are."""
        return self.current.total_jobs

    @property
    def completed_jobs(self) -> int:
        """How many of them are published."""
        return self.current.completed_jobs

    def fetch(self) -> None:
        """Begin to follow, in a view that was opened with ``auto_fetch=False``; once it follows, read anew."""
        self._table.fetch()

    def _is_tracked(self, job: Job) -> bool:
        return self._tracking is None or not job.status.is_final or _age(job) < self._tracking


class _Publications(LiveTable[Job]):
    """The jobs; asks for nothing before it is told to."""

    def __init__(self, context: LiveContext, selection: Selection[Job], *, begins: bool) -> None:
        super().__init__(context, selection, _log_update)
        self._begun = asyncio.Event()
        if begins:
            self._begun.set()

    async def run(self) -> None:
        await self._begun.wait()
        await super().run()

    def fetch(self) -> None:
        if self._begun.is_set():
            self.want_row(None)
        self._begun.set()


class _Ageing(Source):
    """Says when the next finished job has been tracked long enough: no change tells that."""

    def __init__(self, table: LiveTable[Job], tracking: timedelta) -> None:
        super().__init__()
        self._table = table
        self._tracking = tracking
        self.is_loading, self.is_live = False, True

    async def run(self) -> None:
        looked_at = datetime.now(UTC)
        while True:
            await asyncio.sleep(min(self._seconds_to_next(), _LOOK_SECONDS))
            before, looked_at = looked_at, datetime.now(UTC)
            if any(before <= job.created_at + self._tracking <= looked_at for job in self._over()):
                self.notify()

    def _over(self) -> list[Job]:
        return [job for job in self._table.rows.newest if job.status.is_final]

    def _seconds_to_next(self) -> float:
        left = [(self._tracking - _age(job)).total_seconds() for job in self._over()]
        return min((seconds for seconds in left if seconds > 0), default=math.inf)


def _age(job: Job) -> timedelta:
    return datetime.now(UTC) - job.created_at


def _by(name: str, jobs: Sequence[Job]) -> dict[str, JobStatus]:
    """The most urgent status of the jobs with the same `name` in their payload, in the order of the jobs' enqueue."""
    found: dict[str, JobStatus] = {}
    for job in reversed(jobs):
        value = str(job.payload.get(name, "unknown"))
        found[value] = min(found.get(value, job.status), job.status, key=_MOST_URGENT_FIRST.index)
    return found


def _log_update(kind: str, job: Job | None) -> None:
    if kind != "READ" and job is not None:
        logger.info("[publication_status] Realtime update: %s of job %s, %s", kind, job.id, job.status)
