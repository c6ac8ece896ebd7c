"""The engine's functions and tables as the library and the HTTP functions call them.

No other module of the library names them. A call carries one user's token, and the database
decides what that user may do. Errors come out as those of `filaviva.errors`.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from filaviva.transport import Row, Transport, as_row, as_rows

__all__ = ["Row", "Rpc"]


class Rpc(Transport):
    """What one caller may ask of the engine; made with the arguments of `Transport`.

    Functions that may touch many rows answer ``{matched, changed, job_ids, cursor}``.
    """

    async def enqueue_jobs(self, jobs: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Enqueue all of `jobs` or none.

        Sent again when the answer is lost, but only if every job has its idempotency key; without
        one, `Unavailable` leaves open whether the jobs were enqueued.

        Returns:
            One ``{job_id, status, duplicate, scheduled_at, version}`` a job, in the same order.
        """
        repeatable = all(job.get("idempotency_key") for job in jobs)
        return as_rows(await self.call("enqueue_jobs", {"p_jobs": jobs}, repeatable=repeatable))

    async def cancel_jobs(self, job_filter: Mapping[str, Any], limit: int = 1000) -> Row:
        """Cancel the caller's jobs that match, at most `limit` of them."""
        return as_row(await self.call("cancel_jobs", {"p_filter": job_filter, "p_limit": limit}, repeatable=False))

    async def redrive_jobs(self, job_filter: Mapping[str, Any], *, dry_run: bool, limit: int = 1000) -> Row:
        """Put the caller's failed jobs that match back to pending, at most `limit` of them; a dry run only counts."""
        parameters = {"p_filter": job_filter, "p_dry_run": dry_run, "p_limit": limit}
        return as_row(await self.call("redrive_jobs", parameters, repeatable=dry_run))

    async def resolve_job(self, job_id: UUID, *, happened: bool, result: Mapping[str, Any] | None) -> Row:
        """Say of an unconfirmed job whether its effect took place: ``{job_id, status, version}``."""
        parameters = {"p_job_id": str(job_id), "p_happened": happened, "p_result": result}
        return as_row(await self.call("resolve_job", parameters, repeatable=False))

    async def prune_jobs(self, job_filter: Mapping[str, Any], limit: int = 1000) -> Row:
        """Delete finished jobs that match, at most `limit` of them; for operators."""
        return as_row(await self.call("prune_jobs", {"p_filter": job_filter, "p_limit": limit}, repeatable=False))

    async def purge_queue(self, queue: str, *, dry_run: bool) -> Row:
        """Cancel up to 1,000 waiting jobs of a queue; a dry run counts all that wait. For operators."""
        return as_row(await self.call("purge_queue", {"p_queue": queue, "p_dry_run": dry_run}, repeatable=dry_run))

    async def pause_queue(self, queue: str) -> None:
        """Let nothing of the queue be claimed; for operators."""
        await self.call("pause_queue", {"p_queue": queue}, repeatable=True)

    async def resume_queue(self, queue: str) -> None:
        """Let a paused queue go on; for operators."""
        await self.call("resume_queue", {"p_queue": queue}, repeatable=True)

    async def why_waiting(self, job_id: UUID) -> Row:
        """Why the job is not running: ``{reason, key, expected_at, ahead, details}``."""
        return as_row(await self.call("why_waiting", {"p_job_id": str(job_id)}, repeatable=True))

    async def queue_stats(self, job_filter: Mapping[str, Any]) -> Row:
        """Counts of the caller's jobs by status, zero-filled, with their total."""
        return as_row(await self.call("queue_stats", {"p_filter": job_filter}, repeatable=True))

    async def queue_metrics(self, queue: str | None = None) -> list[Row]:
        """Size, rates and trends, one row a queue; for operators."""
        return as_rows(await self.call("queue_metrics", {"p_queue": queue}, repeatable=True))

    async def my_rate_limits(self) -> list[Row]:
        """The signed-in user's limits: ``{limiter, key}`` each with what `rate_limit_status` answers."""
        return as_rows(await self.call("my_rate_limits", {}, repeatable=True))

    async def rate_limit_status(self, limiter: str, key: str) -> Row:
        """How a key stands under a limit: ``{allowed, remaining, limit, window_seconds, retry_after}``."""
        return as_row(await self.call("rate_limit_status", {"p_limiter": limiter, "p_key": key}, repeatable=True))

    async def diagnose(self, needs: Mapping[str, Sequence[str]]) -> Row:
        """How the project stands, one key a subject; for the service key.

        `needs` are the ``tables`` and ``functions`` of schema public that the caller relies on.
        """
        return as_row(await self.call("diagnose", {"p_needs": needs}, repeatable=True))

    async def probe_drain(self) -> int | None:
        """Have the database call the drain for no queue; the call's number, or None without a drain."""
        request: int | None = await self.call("probe_drain", {}, repeatable=True)
        return request

    async def probe_answer(self, request_id: int) -> Row | None:
        """What came of a call of `probe_drain`, ``{status_code, error, timed_out, is_drain}``; None while it lasts."""
        answer = await self.call("probe_answer", {"p_request_id": request_id}, repeatable=True)
        return None if answer is None else as_row(answer)

    async def disconnect_account(self, account_id: UUID) -> None:
        """Forget a connected account of the caller's, and its tokens with it; the platform is not told."""
        await self.call("disconnect_account", {"p_account_id": str(account_id)}, repeatable=False)

    async def get_job(self, job_id: UUID) -> Row | None:
        """The job's row, or None when the caller cannot see such a job."""
        rows = await self.select("jobs", where={"id": str(job_id)})
        return rows[0] if rows else None

    async def list_jobs(
        self,
        where: Mapping[str, Any],
        *,
        above: Mapping[str, Any],
        below: Mapping[str, Any],
        newest_first: bool,
        limit: int,
        columns: str = "*",
    ) -> list[Row]:
        """Jobs that the caller may see, in the order of enqueue or against it; the bounds are those of `select`."""
        return await self.select(
            "jobs",
            columns=columns,
            where=where,
            above=above,
            below=below,
            order="seq",
            descending=newest_first,
            limit=limit,
        )

    async def list_queues(self) -> list[Row]:
        """The settings of every queue, by name; for operators."""
        return await self.select("queues", where={}, order="name")

    async def list_rate_limiters(self) -> list[Row]:
        """Every rate limiter, by name."""
        return await self.select("rate_limiters", where={}, order="name")

    async def list_queue_limits(self) -> list[Row]:
        """Which queue is under which limit, and where in a job its key stands; for operators."""
        return await self.select("queue_limits", where={}, order="queue")

    async def list_alerts(self, *, open_only: bool, limit: int) -> list[Row]:
        """Alerts, the newest first; for operators."""
        where = {"resolved_at": None} if open_only else {}
        return await self.select("alerts", where=where, order="id", descending=True, limit=limit)
