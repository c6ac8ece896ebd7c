"""Live views of jobs: a list of them, and the course of one.

How a change reaches a view: a signed-in user's own jobs all come through one channel, filtered by the user's id,
however many views there are. Of jobs that are named by their ids, those of others (colleagues') get a channel each,
filtered by id, as soon as they were read. With the key alone, named jobs come through channels filtered by up to 100
ids each.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any
from uuid import UUID

from filaviva.errors import InvalidRequest, NotFound
from filaviva.filters import JobFilter
from filaviva.live.callback import OnChange
from filaviva.live.context import LiveContext
from filaviva.live.selection import Selection
from filaviva.live.table import LiveTable
from filaviva.live.view import LiveView
from filaviva.models import Job, JobStatus

_STATES = 256
_IDS_A_FILTER = 100
_MOST_JOBS = 10_000


class LiveJobs(LiveView[list[Job]]):
    """Jobs, the newest first.

    A snapshot is a list of its own; the jobs in it do not change.
    """

    def __init__(
        self,
        context: LiveContext,
        selection: Selection[Job],
        on_change: OnChange[list[Job]] | None = None,
        on_update: Callable[[str, Job | None], None] | None = None,
    ) -> None:
        """`on_update` hears of single rows as `LiveTable` tells them; for what is logged of each."""
        self._table = LiveTable(context, selection, on_update)
        super().__init__(context, [self._table], on_change)

    @property
    def current(self) -> list[Job]:
        """The jobs as they are known now."""
        return list(self._table.rows.newest)

    @property
    def jobs(self) -> list[Job]:
        """Another name of `current`."""
        return self.current

    def get(self, job_id: UUID | str) -> Job | None:
        """One of the view's jobs, or None."""
        return self._table.rows.get(str(job_id).lower())


def select_jobs(
    context: LiveContext,
    conditions: JobFilter,
    *,
    status: JobStatus | str | Iterable[JobStatus | str] | None = None,
    everyone: bool = False,
    limit: int = 100,
) -> Selection[Job]:
    """Which rows the arguments of `FilaViva.live_jobs` mean, and through which filter their changes come.

    Raises:
        InvalidRequest: nothing says whose jobs are meant, or an argument is wrong.
    """
    if not 1 <= limit <= _MOST_JOBS:
        raise _invalid(f"limit: expected 1 to {_MOST_JOBS}, found {limit!r}.")
    if conditions.ids is not None and len(conditions.ids) > _MOST_JOBS:
        raise _invalid(f"job_ids: expected at most {_MOST_JOBS}, found {len(conditions.ids)}.")
    if conditions.ids is not None:
        return _named(context, frozenset(map(str, conditions.ids)))
    owner, row_filter = _owner(context, conditions, everyone=everyone)
    wanted = {name: value for name in ("queue", "kind") if (value := getattr(conditions, name)) is not None}
    statuses = _statuses(status)
    where: dict[str, Any] = {**owner, **wanted, **({"status": sorted(statuses)} if statuses else {})}

    def belongs(job: Job) -> bool:
        return (not statuses or job.status in statuses) and all(getattr(job, name) == wanted[name] for name in wanted)

    return Selection(
        "jobs",
        Job,
        (row_filter,),
        where,
        belongs=belongs,
        may_gain=bool(statuses),
        is_final=_is_final,
        limit=limit,
    )


async def watch_job(context: LiveContext, job_id: UUID) -> AsyncGenerator[Job, None]:
    """Yield the job as it stands and every newer state that is seen; end after a final status.

    Raises:
        NotFound: the caller cannot see such a job, or it was deleted meanwhile.
        NotSignedIn: the access token is no longer accepted.
        InvalidRequest: the URL is not that of a Supabase project.
    """
    states: deque[Job | None] = deque(maxlen=_STATES)
    view = LiveJobs(context, _named(context, frozenset((str(job_id),))), on_update=lambda _, job: states.append(job))
    async with view:
        async for jobs in view:
            while states:
                job = states.popleft()
                if job is None:
                    raise job_not_found(job_id)
                yield job
                if job.status.is_final:
                    return
            if not jobs:
                raise job_not_found(job_id)


def job_not_found(job_id: UUID) -> NotFound:
    """The error of a job that the caller cannot see."""
    return NotFound(
        f"There is no job {job_id} that you may see.",
        code="unknown_job",
        hint="It never was, was pruned, or belongs to somebody else.",
    )


def _named(context: LiveContext, ids: frozenset[str]) -> Selection[Job]:
    user_id = context.user_id
    if user_id is None:
        return Selection("jobs", Job, _id_filters(ids), ids=ids, is_final=_is_final, limit=None)
    return Selection(
        "jobs",
        Job,
        (f"user_id=eq.{user_id}",),
        ids=ids,
        is_final=_is_final,
        is_foreign=lambda job: str(job.user_id) != user_id,
        limit=None,
    )


def _id_filters(ids: frozenset[str]) -> tuple[str, ...]:
    ordered = sorted(ids)
    parts = [ordered[start : start + _IDS_A_FILTER] for start in range(0, len(ordered), _IDS_A_FILTER)]
    return tuple(f"id=eq.{part[0]}" if len(part) == 1 else f"id=in.({','.join(part)})" for part in parts)


def _owner(context: LiveContext, conditions: JobFilter, *, everyone: bool) -> tuple[dict[str, str], str]:
    """Whose jobs: what a read asks for, and the filter of the changes."""
    if conditions.company_id is not None:
        return {"company_id": str(conditions.company_id)}, f"company_id=eq.{conditions.company_id}"
    if everyone and conditions.queue is not None:
        return {}, f"queue=eq.{conditions.queue}"
    if context.user_id is not None and not everyone:
        return {"user_id": context.user_id}, f"user_id=eq.{context.user_id}"
    raise _invalid("Whose jobs? Sign in, or name `company_id`, `job_ids`, or a `queue` together with `everyone`.")


def _statuses(status: JobStatus | str | Iterable[JobStatus | str] | None) -> frozenset[JobStatus]:
    given = [] if status is None else [status] if isinstance(status, str) else list(status)
    try:
        return frozenset(JobStatus(one) for one in given)
    except ValueError:
        raise _invalid(f"status: expected {', '.join(JobStatus)}, found {status!r}.") from None


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_field", hint="Correct the argument and call again.")


def _is_final(job: Job) -> bool:
    return job.status.is_final
