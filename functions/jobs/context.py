"""The claimed job, and what a handler may do while it runs."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

import httpx
import structlog
from pydantic import BaseModel, ConfigDict

from functions.jobs.accounts import AccountKeeper
from functions.jobs.outcomes import JsonObject
from functions.settings import Settings


class ClaimedJob(BaseModel):
    """One job as `claim_jobs` hands it out; `(job_id, claim_id)` is the right to settle it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    job_id: UUID
    claim_id: int
    mode: Literal["run", "reconcile"]
    attempt: int
    max_attempts: int
    queue: str
    kind: str
    payload: JsonObject
    metadata: JsonObject
    user_id: UUID | None = None
    company_id: UUID | None = None
    instance_id: str | None = None
    group_key: str | None = None
    correlation_id: str | None = None
    checkpoint: JsonObject | None = None
    committed: bool = False
    timeout_seconds: float
    lease_seconds: float
    """How long the claim holds without being renewed."""
    lease_expires_at: datetime
    created_at: datetime
    start_within_seconds: float | None = None
    """Under a rate limit: how long after its claim was asked for it may still be started. None: whenever."""

    def is_late(self, seconds: float) -> bool:
        """Whether so many seconds after its claim was asked for are too many, so that it goes back unstarted."""
        return self.start_within_seconds is not None and seconds > self.start_within_seconds


class Lease(Protocol):
    """The part of the worker that a context speaks to: it owns the job's lease."""

    async def commit(self, checkpoint: JsonObject, *, reconcilable: bool) -> None:
        """Record the point of no return; raises when the job may not go on."""

    def note_progress(self, percent: float, note: str | None) -> None:
        """Remember progress; it is written with the next renewal of the lease."""

    async def credentials(self, platform: str) -> JsonObject | None:
        """The owner's account on `platform` with its secrets, or None when none is connected."""

    @property
    def accounts(self) -> AccountKeeper:
        """Where the tokens of accounts are renewed."""


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to every handler, for one attempt at one job."""

    http: httpx.AsyncClient
    settings: Settings
    log: structlog.stdlib.BoundLogger
    deadline: float
    """Moment of `asyncio`'s loop clock, in seconds, at which the attempt is cut off."""
    lease: Lease
    reconcilable: bool
    """Whether the kind has a `reconcile` function, which decides after an unknown end."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the owner asked to cancel; look at it between steps."""

    async def commit(self, checkpoint: JsonObject) -> None:
        """Mark the point of no return. Await it directly before the one irreversible call.

        Args:
            checkpoint: what `reconcile` needs to find out whether the call had its effect.

        Raises:
            CommitRefused: the job was cancelled, has expired or is no longer ours; the call must
                not be made. The drain turns it into the right outcome.
        """
        await self.lease.commit(checkpoint, reconcilable=self.reconcilable)

    def progress(self, percent: float, note: str | None = None) -> None:
        """Report progress from 0 to 100; it reaches watchers with the lease's next renewal."""
        self.lease.note_progress(percent, note)

    async def account(self, platform: str) -> dict[str, Any] | None:
        """The owner's account on `platform`, or None: `external_id`, `access_token` and the rest.

        Without tokens when its `status` is `reconnect`.
        """
        return await self.lease.credentials(platform)

    @property
    def accounts(self) -> AccountKeeper:
        """Where the tokens of accounts are renewed; see `functions.platforms.oauth.session`."""
        return self.lease.accounts


class CommitRefused(Exception):  # noqa: N818 - it reports a decision, not a fault
    """The database did not allow the point of no return; the irreversible call must not be made."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
