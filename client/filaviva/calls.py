"""The calls of a client: put jobs in, look them up, change them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from filaviva.errors import Conflict
from filaviva.filters import check_filter, check_id, check_new_job
from filaviva.listing import list_jobs
from filaviva.live.jobs import job_not_found
from filaviva.models import EnqueuedJob, Job, JobStats, JobStatus, NewJob, Page, RateLimitStatus, from_row
from filaviva.rpc import Row, Rpc
from filaviva.waiting import WhyWaiting


class Calls:
    """A client's calls; each asks the project once. A base of `FilaViva`."""

    _rpc: Rpc

    async def enqueue(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        queue: str | None = None,
        priority: int = 0,
        group_key: str | None = None,
        idempotency_key: str | None = None,
        correlation_id: str | None = None,
        scheduled_at: datetime | None = None,
        expires_at: datetime | None = None,
        max_attempts: int | None = None,
        company_id: UUID | None = None,
        instance_id: str | None = None,
        user_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> EnqueuedJob:
        """Enqueue one job. The parameters are the fields of `NewJob`.

        With an `idempotency_key` a lost answer is repaired by asking again; without one,
        `Unavailable` leaves open whether the job was enqueued.

        Raises:
            InvalidRequest: a field is wrong, or there is no such kind.
            Conflict: the idempotency key was used before, with another body.
            Forbidden: only the service key may enqueue this kind, or set `instance_id` or `user_id`.
            PayloadTooLarge: the payload is above 250 KB.
            RateLimited: more calls than a user may make in a minute.
        """
        job = {
            "kind": kind,
            "payload": payload,
            "queue": queue,
            "priority": priority,
            "group_key": group_key,
            "idempotency_key": idempotency_key,
            "correlation_id": correlation_id,
            "scheduled_at": scheduled_at,
            "expires_at": expires_at,
            "max_attempts": max_attempts,
            "company_id": company_id,
            "instance_id": instance_id,
            "user_id": user_id,
            "metadata": metadata or {},
        }
        answers = await self._rpc.enqueue_jobs([check_new_job(job, "job")])
        return _enqueued(answers[0])

    async def enqueue_many(self, jobs: Iterable[NewJob | Mapping[str, Any]]) -> list[EnqueuedJob]:
        """Enqueue up to 10,000 jobs in one transaction: all, or none of them.

        A mapping has the fields of `NewJob`. The answers come in the same order. Raises what
        `enqueue` raises; the message names the position.
        """
        checked = [check_new_job(job, f"jobs[{position}]") for position, job in enumerate(jobs)]
        return [_enqueued(answer) for answer in await self._rpc.enqueue_jobs(checked)]

    async def get(self, job_id: UUID | str) -> Job:
        """The job as it stands.

        Raises:
            NotFound: there is no such job that you may see.
        """
        parsed = check_id(job_id)
        row = await self._rpc.get_job(parsed)
        if row is None:
            raise job_not_found(parsed)
        return from_row(Job, row)

    async def jobs(
        self,
        *,
        queue: str | None = None,
        kind: str | None = None,
        status: JobStatus | str | Iterable[JobStatus | str] | None = None,
        user_id: UUID | None = None,
        company_id: UUID | None = None,
        group_key: str | None = None,
        created_before: datetime | None = None,
        created_after: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        """A page of the jobs that you may see, the newest first; all the conditions given must hold.

        Args:
            status: one status, or any of several.
            limit: at most so many, up to 500.
            cursor: the former page's `next_cursor`; None for the first page.

        Raises:
            InvalidRequest: a condition, the limit or the cursor is wrong.
        """
        conditions = {
            "queue": queue,
            "kind": kind,
            "user_id": user_id,
            "company_id": company_id,
            "group_key": group_key,
            "created_before": created_before,
            "created_after": created_after,
        }
        return await list_jobs(self._rpc, conditions, status, limit, cursor)

    async def stats(
        self,
        *,
        queue: str | None = None,
        kind: str | None = None,
        user_id: UUID | None = None,
        company_id: UUID | None = None,
        group_key: str | None = None,
        created_before: datetime | None = None,
        created_after: datetime | None = None,
    ) -> JobStats:
        """How many of your jobs there are of each status; all the conditions given must hold.

        With `company_id` it counts that company's jobs which you may see; an operator counts everybody's.

        Raises:
            InvalidRequest: a condition is wrong.
        """
        conditions = {
            "queue": queue,
            "kind": kind,
            "user_id": user_id,
            "company_id": company_id,
            "group_key": group_key,
            "created_before": created_before,
            "created_after": created_after,
        }
        return from_row(JobStats, await self._rpc.queue_stats(check_filter(conditions).to_json()))

    async def cancel(self, job_id: UUID | str) -> Job:
        """Ask that the job stop, and return it as it stands then.

        A job that waits is cancelled at once. One that runs gets `cancel_requested_at`; its handler
        stops at its next look, and a result that still arrives wins. One that is over stays as it is.

        Raises:
            NotFound: there is no such job that you may see.
            Conflict: its effect can no longer be stopped.
        """
        parsed = check_id(job_id)
        await self._rpc.cancel_jobs({"ids": [str(parsed)]}, limit=1)
        return await self.get(parsed)

    async def retry(self, job_id: UUID | str) -> Job:
        """Redrive one failed job: it is pending again, with fresh attempts. Return it as it stands then.

        Raises:
            NotFound: there is no such job that you may see.
            Conflict: it has not failed, is not yours to redrive, or may have taken effect.
        """
        parsed = check_id(job_id)
        answer = await self._rpc.redrive_jobs({"ids": [str(parsed)]}, dry_run=False, limit=1)
        job = await self.get(parsed)
        if not answer["changed"]:
            raise _not_retried(job)
        return job

    async def resolve(self, job_id: UUID | str, happened: bool, result: Mapping[str, Any] | None = None) -> Job:
        """Say of an unconfirmed job whether its effect took place, and return it as it stands then.

        Args:
            job_id: the job.
            happened: True completes the job; False lets it run again with fresh attempts.
            result: what a completed job shows as its result, at most 64 KB.

        Raises:
            NotFound: there is no such job of yours.
            Conflict: it is not unconfirmed.
        """
        parsed = check_id(job_id)
        await self._rpc.resolve_job(parsed, happened=happened, result=result)
        return await self.get(parsed)

    async def rate_limit(self, limiter: str, key: str) -> RateLimitStatus:
        """How a key stands under a rate limit.

        Raises:
            NotFound: there is no such limiter.
            Forbidden: the key is neither your own id nor an instance of one of your jobs.
        """
        return from_row(RateLimitStatus, await self._rpc.rate_limit_status(limiter, key))

    async def why_waiting(self, job_id: UUID | str) -> WhyWaiting:
        """Why the job is not running: the reason, what holds it, and when it may go on.

        Raises:
            NotFound: there is no such job that you may see.
        """
        return from_row(WhyWaiting, await self._rpc.why_waiting(check_id(job_id)))


def _enqueued(answer: Row) -> EnqueuedJob:
    return from_row(EnqueuedJob, {**answer, "id": answer.get("job_id")})


def _not_retried(job: Job) -> Conflict:
    if job.status is JobStatus.UNCONFIRMED:
        hint = "Find out whether its effect took place, and say so with resolve()."
    elif job.status is not JobStatus.FAILED:
        hint = "Only a failed job can be retried."
    elif job.committed_at:
        hint = "Look where its effect would be; if it is not there, enqueue a new job."
    else:
        hint = "Only its owner or an operator can retry it."
    return Conflict(f"The job is {job.status} and was not retried.", code="not_retried", hint=hint)
