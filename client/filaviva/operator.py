"""What operators see and do: queues, limits and alerts, and changes to many jobs at a time.

The engine works on at most 1,000 jobs a call. Whatever may concern more is done here page by page, and each
job once: what a change brings about, such as a failed job that fails again, does not come round a second time.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from filaviva.errors import InvalidRequest
from filaviva.filters import JobFilter, check_filter
from filaviva.models import JobStatus, from_row
from filaviva.operator_models import Alert, Queue, QueueMetrics, RateLimiter
from filaviva.rpc import Row, Rpc

Progress = Callable[[int], None]
"""Called after each page with the number of jobs that are done so far."""

_PAGE = 1000
_IDS_IN_AN_ADDRESS = 100
"""So many ids fit into an address that every gateway takes."""


class Changed(BaseModel):
    """What a change to many jobs came to."""

    model_config = ConfigDict(frozen=True)

    matched: int
    """Jobs that met the conditions."""
    changed: int
    """Jobs that were changed; none in a dry run."""
    job_ids: list[UUID]
    """The jobs that were changed, or in a dry run those that would be; of `purge` in a dry run the first 1,000."""


class Operator:
    """What `FilaViva.operator` offers. It needs the service key, or a user who is an operator.

    Every method raises `Forbidden` (`operator_only`) for anybody else, but for `redrive`: users may
    redrive their own jobs.
    """

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def queues(self) -> list[Queue]:
        """Every queue with its settings and its metrics, by name."""
        metrics = {row["queue"]: row for row in await self._rpc.queue_metrics()}
        rows = await self._rpc.list_queues()
        return [from_row(Queue, {**row, "metrics": metrics[row["name"]]}) for row in rows if row["name"] in metrics]

    async def metrics(self, queue: str | None = None) -> list[QueueMetrics]:
        """Size, rates and trends of one queue, or of every one by name.

        Raises:
            NotFound: there is no such queue.
        """
        return [from_row(QueueMetrics, row) for row in await self._rpc.queue_metrics(queue)]

    async def pause(self, queue: str) -> None:
        """Let nothing of the queue start; what runs goes on, and what is enqueued waits.

        Raises:
            NotFound: there is no such queue.
        """
        await self._rpc.pause_queue(queue)

    async def resume(self, queue: str) -> None:
        """Let a paused queue go on; one that is not paused stays as it is.

        Raises:
            NotFound: there is no such queue.
        """
        await self._rpc.resume_queue(queue)

    async def limits(self) -> list[RateLimiter]:
        """Every rate limiter with the queues that are under it, by name."""
        uses = await self._rpc.list_queue_limits()
        return [
            from_row(RateLimiter, {**row, "queues": [use for use in uses if use["limiter"] == row["name"]]})
            for row in await self._rpc.list_rate_limiters()
        ]

    async def alerts(self, *, open_only: bool = True, limit: int = 100) -> list[Alert]:
        """Alerts, the newest first: those that are open, or also those that are over."""
        return [from_row(Alert, row) for row in await self._rpc.list_alerts(open_only=open_only, limit=limit)]

    async def redrive(
        self,
        conditions: JobFilter | Mapping[str, Any],
        *,
        dry_run: bool = False,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> Changed:
        """Put failed jobs back to pending, with fresh attempts; each at most once, the oldest first.

        Jobs whose effect may have taken place are left alone.

        Args:
            conditions: which of the failed jobs.
            dry_run: only find out which they are.
            limit: at most so many.
            progress: called after each page.

        Raises:
            InvalidRequest: no condition is given, or one is wrong.
        """

        async def change(page: list[str], most: int) -> Row:
            return await self._rpc.redrive_jobs({**job_filter.to_json(), "ids": page}, dry_run=dry_run, limit=most)

        job_filter = _at_least_one(check_filter(conditions))
        pages = self._pages(job_filter, [JobStatus.FAILED])
        return await _each(pages, change, limit, progress)

    async def prune(
        self,
        conditions: JobFilter | Mapping[str, Any],
        *,
        dry_run: bool = False,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> Changed:
        """Delete finished jobs, whatever their age; the oldest first. What is not finished is never deleted.

        The arguments and errors are those of `redrive`.
        """

        async def change(page: list[str], most: int) -> Row:
            if dry_run:
                return {"matched": len(page[:most]), "changed": 0, "job_ids": page[:most]}
            return await self._rpc.prune_jobs({**job_filter.to_json(), "ids": page}, limit=most)

        job_filter = _at_least_one(check_filter(conditions))
        await self._rpc.prune_jobs({"ids": []}, limit=0)  # refuses who is no operator, before anything is counted
        pages = self._pages(job_filter, [status for status in JobStatus if status.is_final])
        return await _each(pages, change, limit, progress)

    async def purge(self, queue: str, *, dry_run: bool = False, progress: Progress | None = None) -> Changed:
        """Cancel every job of the queue that waits. Jobs that run go on; the rows stay until their retention.

        Raises:
            NotFound: there is no such queue.
        """
        job_ids: list[UUID] = []
        while True:
            answer = await self._rpc.purge_queue(queue, dry_run=dry_run)
            job_ids += map(UUID, answer["job_ids"])
            if dry_run:
                return Changed(matched=answer["matched"], changed=0, job_ids=job_ids)
            if progress is not None:
                progress(len(job_ids))
            if answer["cursor"] is None or not answer["changed"]:
                return Changed(matched=len(job_ids), changed=len(job_ids), job_ids=job_ids)

    async def _pages(self, job_filter: JobFilter, statuses: list[JobStatus]) -> AsyncIterator[list[str]]:
        """The ids of the jobs that match, the oldest first, page by page."""
        where, above, below = job_filter.to_columns()
        where = {"status": [status.value for status in statuses], **where}
        if job_filter.status is not None and job_filter.status not in statuses:
            return
        for few in _batches(job_filter.ids):
            last = 0
            while rows := await self._rpc.list_jobs(
                where if few is None else {**where, "id": few},
                above={**above, "seq": last},
                below=below,
                newest_first=False,
                limit=_PAGE,
                columns="id,seq,error_message",
            ):
                yield [row["id"] for row in rows if (job_filter.error_text or "") in (row["error_message"] or "")]
                last = rows[-1]["seq"]


async def _each(
    pages: AsyncIterator[list[str]],
    change: Callable[[list[str], int], Any],
    limit: int | None,
    progress: Progress | None,
) -> Changed:
    matched, changed, job_ids = 0, 0, list[UUID]()
    async for page in pages:
        if limit is not None and len(job_ids) >= limit:
            break
        if page:
            answer = await change(page, _PAGE if limit is None else min(_PAGE, limit - len(job_ids)))
            matched, changed = matched + answer["matched"], changed + answer["changed"]
            job_ids += map(UUID, answer["job_ids"])
            if progress is not None:
                progress(len(job_ids))
    return Changed(matched=matched, changed=changed, job_ids=job_ids)


def _batches(ids: list[UUID] | None) -> list[list[str] | None]:
    if ids is None:
        return [None]
    texts = [str(job_id) for job_id in ids]
    return [texts[first : first + _IDS_IN_AN_ADDRESS] for first in range(0, len(texts), _IDS_IN_AN_ADDRESS)]


def _at_least_one(job_filter: JobFilter) -> JobFilter:
    if not job_filter.to_json():
        raise InvalidRequest(
            "The filter must name at least one condition.",
            code="empty_filter",
            hint="The conditions are " + ", ".join(JobFilter.model_fields) + ".",
        )
    return job_filter
