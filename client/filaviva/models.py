"""What the library takes and gives: jobs to enqueue, the answer to that, and jobs as they stand."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from filaviva.errors import FilaVivaError

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    """Waits for its first execution."""
    PROCESSING = "processing"
    """A worker holds it."""
    RETRYING = "retrying"
    """Waits for a further execution, or for a provider that is still at work."""
    COMPLETED = "completed"
    FAILED = "failed"
    """It did not succeed; no worker takes it up again unless somebody redrives it."""
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"
    """An effect that cannot be undone may or may not have happened; a person has to decide."""

    @property
    def is_final(self) -> bool:
        """True when no worker will move the job on by itself."""
        return self not in (JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.RETRYING)


class NewJob(BaseModel):
    """One job to enqueue; None leaves a field to the kind's or the queue's default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """Which handler runs it."""
    payload: dict[str, Any] = {}
    """What the handler gets: a JSON object of at most 250 KB."""
    metadata: dict[str, Any] = {}
    """Kept with the job and shown with it; the engine does not look at it."""
    queue: str | None = None
    priority: int = 0
    """0 to 10; higher runs sooner."""
    group_key: str | None = None
    """Jobs of one queue with the same group key run one at a time, in order."""
    idempotency_key: str | None = None
    """The same key with the same body is the same job, however often it is sent."""
    correlation_id: str | None = None
    """Travels through logs, to find what belongs together."""
    scheduled_at: AwareDatetime | None = None
    """Not before this time; it needs a time zone."""
    expires_at: AwareDatetime | None = None
    """No attempt starts after this time: a job that still waits then is cancelled. It needs a time zone."""
    max_attempts: int | None = None
    """Executions allowed, the first included."""
    company_id: UUID | None = None
    """A company that its owner belongs to; its members see the job."""
    instance_id: str | None = None
    """The instance it goes through. With the service key alone."""
    user_id: UUID | None = None
    """Its owner. With the service key alone; without it the owner is the signed-in user."""


class EnqueuedJob(BaseModel):
    """What enqueue answers: enough to look the job up or to watch it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID
    status: JobStatus
    duplicate: bool
    """True when the idempotency key was known: this is the job that first carried it."""
    scheduled_at: datetime | None = None
    version: int


class Job(BaseModel):
    """One job as it stood at `version`: a snapshot, which does not change by itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID
    seq: int
    """Order of enqueue."""
    queue: str
    kind: str
    user_id: UUID | None = None
    company_id: UUID | None = None
    instance_id: str | None = None
    payload: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    priority: int = 0
    group_key: str | None = None
    idempotency_key: str | None = None
    correlation_id: str | None = None

    status: JobStatus
    mode: Literal["run", "reconcile"] = "run"
    """`reconcile`: a call ended in an unknown way, and the next execution finds out what it did."""
    attempt: int = 0
    """Number of the current or last execution; 1 for the first."""
    max_attempts: int
    snoozes: int = 0
    scheduled_at: datetime | None = None
    """The caller's wish: not before this time."""
    expires_at: datetime | None = None
    """No attempt starts after this time."""
    next_run_at: datetime | None = None
    """When the engine will look at it again, while it waits for a time."""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime
    committed_at: datetime | None = None
    """When the call that cannot be undone was about to be made."""
    cancel_requested_at: datetime | None = None

    progress: float | None = None
    """0 to 100, as the handler reports it."""
    progress_note: str | None = None
    result: dict[str, Any] | None = None
    error_code: str | None = None
    error_message: str | None = None
    waiting_reason: str | None = None
    version: int
    """Rises by one at every change."""


class JobStats(BaseModel):
    """How many jobs there are of each status."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pending: int = 0
    processing: int = 0
    retrying: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    unconfirmed: int = 0
    total: int = 0


class RateLimitStatus(BaseModel):
    """How one key stands under a rate limit."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    allowed: bool
    """Whether one more would be let through now."""
    remaining: int
    """How many more would be let through now."""
    limit: int
    """The most that is let through in any window."""
    window_seconds: int
    retry_after: int
    """Seconds until one more is let through; 0 when it is now."""


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    model_config = ConfigDict(frozen=True)

    items: list[T]
    next_cursor: str | None = None
    """Where the next part begins: hand it to the next call. None: this was the last part."""


def from_row(model: type[M], row: Mapping[str, Any]) -> M:
    """The row as a model; an error that says what to do when it has another shape than expected."""
    try:
        return model.model_validate(row)
    except ValidationError as error:
        found = "; ".join(f"{finding['loc'][0]}: {finding['msg']}" for finding in error.errors(include_input=False))
        raise FilaVivaError(
            f"The project answered a {model.__name__} of an unknown shape ({found}).",
            code="unexpected_answer",
            hint="Do this library and the project's migrations have the same version?",
        ) from None
