"""The client that an application holds: put jobs in, look them up, cancel them, watch them."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from pydantic import ValidationError

from filaviva.connection import Connection
from filaviva.errors import InvalidRequest
from filaviva.models import EnqueuedJob, Job, NewJob, from_row
from filaviva.rpc import Row, Rpc
from filaviva.waiting import WhyWaiting
from filaviva.watch import job_not_found, watch_job


class FilaViva:
    """A user's jobs in one Supabase project.

    Use it as an async context manager, one for the life of the application; every call and every
    watch shares its connections::

        async with FilaViva(url, key, access_token=token) as fila:
            job = await fila.enqueue("publish_post", {"option": "tiktok_video"})
            async for state in fila.watch(job.id):
                print(state.status, state.progress)

    Args:
        url: the project's URL, such as ``https://<project>.supabase.co``.
        key: its anon or publishable key; a trusted server may use the service key.
        access_token: the signed-in user's token. What its user may do, this client may do.

    Raises:
        InvalidRequest: the URL, the key or the token cannot be one.
    """

    def __init__(self, url: str, key: str, access_token: str | None = None) -> None:
        self._url = url
        self._rpc = Rpc(url, key, access_token)
        self._connection = Connection(url, key, access_token)

    def __repr__(self) -> str:
        return f"FilaViva({self._url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every watch and close the connections, for good."""
        await self._connection.close()
        await self._rpc.aclose()

    async def set_access_token(self, token: str | None) -> None:
        """Go on with a new token: after a refresh, before the old one expires. None means signed out.

        Running watches go on with it; none of them misses a change.

        Raises:
            InvalidRequest: it cannot be a token; the former one stays.
        """
        self._rpc.set_token(token)
        await self._connection.set_token(token)

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
        metadata: Mapping[str, Any] | None = None,
    ) -> EnqueuedJob:
        """Enqueue one job. The parameters are the fields of `NewJob`.

        With an `idempotency_key` a lost answer is repaired by asking again; without one,
        `Unavailable` leaves open whether the job was enqueued.

        Raises:
            InvalidRequest: a field is wrong, or there is no such kind.
            Conflict: the idempotency key was used before, with another body.
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
            "metadata": metadata or {},
        }
        answers = await self._rpc.enqueue_jobs([_checked(job, "job")])
        return _enqueued(answers[0])

    async def enqueue_many(self, jobs: Iterable[NewJob | Mapping[str, Any]]) -> list[EnqueuedJob]:
        """Enqueue up to 10,000 jobs in one transaction: all, or none of them.

        A mapping has the fields of `NewJob`. The answers come in the same order. Raises what
        `enqueue` raises; the message names the position.
        """
        checked = [_checked(job, f"jobs[{position}]") for position, job in enumerate(jobs)]
        return [_enqueued(answer) for answer in await self._rpc.enqueue_jobs(checked)]

    async def get(self, job_id: UUID | str) -> Job:
        """The job as it stands.

        Raises:
            NotFound: there is no such job that you may see.
        """
        parsed = _parse_id(job_id)
        row = await self._rpc.get_job(parsed)
        if row is None:
            raise job_not_found(parsed)
        return from_row(Job, row)

    async def cancel(self, job_id: UUID | str) -> Job:
        """Ask that the job stop, and return it as it stands then.

        A job that waits is cancelled at once. One that runs gets `cancel_requested_at`; its handler
        stops at its next look, and a result that still arrives wins. One that is over stays as it is.

        Raises:
            NotFound: there is no such job that you may see.
            Conflict: its effect can no longer be stopped.
        """
        parsed = _parse_id(job_id)
        await self._rpc.cancel_jobs({"ids": [str(parsed)]}, limit=1)
        return await self.get(parsed)

    async def why_waiting(self, job_id: UUID | str) -> WhyWaiting:
        """Why the job is not running: the reason, what holds it, and when it may go on.

        Raises:
            NotFound: there is no such job that you may see.
        """
        return from_row(WhyWaiting, await self._rpc.why_waiting(_parse_id(job_id)))

    def watch(self, job_id: UUID | str) -> AsyncGenerator[Job, None]:
        """Follow a job: its state now, then every newer one, until it ends.

        What is yielded never goes backwards, and the final status is never missed: without a socket
        the job is polled. Leaving the loop leaves the channel; to do so at an exact moment, wrap the
        watch in `contextlib.aclosing`.

        Raises:
            NotFound: there is no such job that you may see, or it was deleted meanwhile.
            NotSignedIn: the access token is no longer accepted.
            InvalidRequest: the URL is not that of a Supabase project.
        """
        return watch_job(self._rpc, self._connection, _parse_id(job_id))


def _checked(job: NewJob | Mapping[str, Any], where: str) -> Row:
    """The job as `enqueue_jobs` takes it: a field that is None is left out."""
    try:
        return NewJob.model_validate(job).model_dump(exclude_none=True)
    except ValidationError as error:
        raise InvalidRequest.from_validation(error, where) from None


def _enqueued(answer: Row) -> EnqueuedJob:
    return from_row(EnqueuedJob, {**answer, "id": answer.get("job_id")})


def _parse_id(job_id: UUID | str) -> UUID:
    try:
        return job_id if isinstance(job_id, UUID) else UUID(job_id)
    except (ValueError, TypeError, AttributeError):
        raise InvalidRequest(
            f"job_id: expected a uuid, found {job_id!r}.", code="invalid_field", hint="Use the `id` that enqueue gave."
        ) from None
