"""What a handler may do about an account's tokens: renew them with nobody else doing so, or say that they are dead."""

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from functions.jobs.outcomes import JsonObject


class RefreshRight(BaseModel):
    """The answer to a worker that wants to renew an account's tokens."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: Literal["yours", "busy", "renewed", "reconnect", "gone"]
    """Yours: renew and store. Busy: another worker is at it. Renewed: somebody has been. Reconnect: only its owner
    can help. Gone: it was disconnected."""
    fence: int = 0
    """The number of the right; storing needs it."""
    after_seconds: float = 0
    """When busy: how long the other's right holds at most."""
    credentials: JsonObject | None = Field(default=None, repr=False)
    """The account with its tokens as they are now, when they are yours to renew or were renewed."""


class AccountKeeper(Protocol):
    """Where the tokens of accounts are kept; every call is atomic over all workers."""

    async def begin_refresh(self, account_id: UUID, token_version: int, lease_seconds: int) -> RefreshRight:
        """Ask for the right to renew, knowing a version of the tokens, for so many seconds."""

    async def store_refreshed(
        self, account_id: UUID, fence: int, secrets: JsonObject, expires_at: datetime | None
    ) -> JsonObject | None:
        """Store new tokens in one write; the credentials, or None when the right has gone to another."""

    async def abandon_refresh(self, account_id: UUID, fence: int) -> None:
        """Give the right back unused."""

    async def mark_reconnect(self, account_id: UUID, token_version: int, reason: str) -> None:
        """Say that the platform accepts this version of the tokens no longer; `reason` is a code."""
