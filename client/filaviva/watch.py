"""The live view of one job: a snapshot, then every newer one, until the job ends.

It converges to the database whatever the socket does. It joins first and reads second, so that no
change falls between; it merges by `version`, so that nothing older is ever shown; it reads again
after every join, after a gap and after a silence; and while there is no socket it polls.
"""

import logging
from collections.abc import AsyncGenerator
from uuid import UUID

from filaviva.backoff import Backoff, jittered
from filaviva.channel import Notice, Subscription
from filaviva.connection import Connection
from filaviva.errors import NotFound, RateLimited, Unavailable
from filaviva.live_row import LiveRow, Merged
from filaviva.models import Job, from_row
from filaviva.rpc import Rpc

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0
"""A live view that heard nothing for about this long reads: Realtime drops changes above its limits."""


async def watch_job(
    rpc: Rpc, connection: Connection, job_id: UUID, *, silence_seconds: float = SILENCE_SECONDS
) -> AsyncGenerator[Job, None]:
    """Yield the job as it stands and every newer state that is seen; end after a final status.

    Raises:
        NotFound: the caller cannot see such a job, or it was deleted meanwhile.
        NotSignedIn: the access token is no longer accepted.
        InvalidRequest: the URL is not that of a Supabase project.
    """
    async with Subscription(connection, "jobs", f"id=eq.{job_id}") as changes:
        view = _JobView(rpc, changes, job_id, silence_seconds)
        while True:
            if await view.look():
                job = view.job
                yield job
                if job.status.is_final:
                    return


class _JobView:
    """Merges what the subscription brings with what reads bring."""

    def __init__(self, rpc: Rpc, changes: Subscription, job_id: UUID, silence_seconds: float) -> None:
        self._rpc = rpc
        self._changes = changes
        self._job_id = job_id
        self._silence_seconds = silence_seconds
        self._row = LiveRow()
        self._polling = Backoff()
        self._up_to_date = False

    @property
    def job(self) -> Job:
        """The newest known state."""
        return from_row(Job, self._row.columns)

    async def look(self) -> bool:
        """Wait for news, or until it is time to read; say whether the job is newer now."""
        news = await self._changes.next(self._patience())
        if isinstance(news, dict):
            merged = self._row.take_change(news)
            return merged is Merged.NEWER if merged is not Merged.GAP else await self._read()
        if news is Notice.LOST:  # polling goes on from its first, short pause
            return False
        if news is Notice.JOINED:
            self._polling.reset()
        return await self._read()

    def _patience(self) -> float:
        if self._changes.is_live and self._up_to_date:
            return jittered(self._silence_seconds)
        return self._polling.next()

    async def _read(self) -> bool:
        self._up_to_date = False
        try:
            row = await self._rpc.get_job(self._job_id)
        except (Unavailable, RateLimited) as error:
            logger.info("Job %s cannot be read: %s", self._job_id, error)
            return False
        if row is None:
            raise job_not_found(self._job_id)
        self._up_to_date = True
        return self._row.take_row(row)


def job_not_found(job_id: UUID) -> NotFound:
    """The error of a job that the caller cannot see."""
    return NotFound(
        f"There is no job {job_id} that you may see.",
        code="unknown_job",
        hint="It never was, was pruned, or belongs to somebody else.",
    )
