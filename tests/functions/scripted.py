"""A ledger that answers what a test wrote down. It knows nothing of queues: the real engine is tested beside it."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx
import structlog
from pydantic import BaseModel, ConfigDict

from functions.jobs.accounts import RefreshRight
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, JsonObject, Outcome
from functions.jobs.registry import HandlerFunction, Registration
from functions.settings import Settings
from functions.worker.drain import Drain, Surroundings
from functions.worker.ledger import Claimed, Renewal, Renewed, Settled, Settlement
from functions.worker.summary import Summary

STATUSES = {
    "done": "completed",
    "retry": "retrying",
    "snooze": "retrying",
    "hold": "retrying",
    "release": "pending",
    "reject": "failed",
    "unconfirmed": "unconfirmed",
    "cancelled": "cancelled",
}


class AnyPayload(BaseModel):
    model_config = ConfigDict(extra="allow")


class Named(BaseModel):
    name: str


def registration(
    kind: str, run: HandlerFunction, *, reconcile: HandlerFunction | None = None, payload: type[BaseModel] = AnyPayload
) -> Registration:
    return Registration(kind, payload, run, reconcile)


def claimed_job(number: int = 1, **changes: Any) -> ClaimedJob:
    """A job as a claim hands it out."""
    now = datetime.now(UTC)
    return ClaimedJob.model_validate(
        {
            "job_id": uuid4(),
            "claim_id": number,
            "mode": "run",
            "attempt": 1,
            "max_attempts": 3,
            "queue": "q",
            "kind": "test",
            "payload": {},
            "metadata": {},
            "correlation_id": "order-1",
            "timeout_seconds": 5,
            "lease_seconds": 30,
            "lease_expires_at": now + timedelta(seconds=30),
            "created_at": now,
            **changes,
        }
    )


def claimed(*jobs: ClaimedJob, state: str | None = None, next_due_in_ms: int | None = None) -> Claimed:
    return Claimed.model_validate(
        {"jobs": jobs, "state": state or ("ok" if jobs else "empty"), "next_due_in_ms": next_due_in_ms}
    )


@dataclass
class ScriptedLedger:
    """Claims come from `claims`, then `empty` for ever; everything else succeeds unless a hook says otherwise."""

    claims: deque[Claimed | Exception] = field(default_factory=deque)
    refuse_settle: Callable[[Sequence[Settlement]], Exception | None] = lambda _: None
    refuse_commit: Exception | None = None
    renew: Callable[[Renewal], Renewed] = lambda lease: Renewed(job_id=lease.job_id)
    due: list[str] = field(default_factory=list)
    due_count: int = 0
    usual: float = 0.0
    recorded: list[Mapping[str, Sequence[int]]] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    batches: list[list[Settlement]] = field(default_factory=list)
    renewals: list[list[Renewal]] = field(default_factory=list)
    kicked: list[str] = field(default_factory=list)
    commits: list[JsonObject] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def claim(self, queue: str, limit: int, worker_id: str) -> Claimed:
        self._note("claim", limit)
        return self._next_claim()

    async def claim_one(self, job_id: UUID, worker_id: str) -> ClaimedJob:
        self._note("claim_one", job_id)
        return self._next_claim().jobs[0]

    async def settle(self, results: Sequence[Settlement]) -> Sequence[Settled]:
        self._note("settle", len(results))
        return self._settle(results)

    async def settle_and_claim(
        self, results: Sequence[Settlement], queue: str, limit: int, worker_id: str
    ) -> tuple[Sequence[Settled], Claimed]:
        self._note("settle_and_claim", limit)
        return self._settle(results), self._next_claim()

    async def extend(self, leases: Sequence[Renewal]) -> Sequence[Renewed]:
        self.renewals.append(list(leases))
        self._note("extend", len(leases))
        return [self.renew(lease) for lease in leases]

    async def commit(
        self, job_id: UUID, claim_id: int, checkpoint: JsonObject, *, reconcilable: bool, extend_seconds: int
    ) -> None:
        if self.refuse_commit is not None:
            raise self.refuse_commit
        self.commits.append(checkpoint)
        self._note("commit", reconcilable)

    async def due_queues(self) -> Sequence[str]:
        self._note("due_queues", None)
        return self.due

    async def kick(self, queue: str) -> bool:
        self.kicked.append(queue)
        return True

    async def credentials(self, user_id: UUID, platform: str) -> JsonObject | None:
        return {"platform": platform}

    async def begin_refresh(self, account_id: UUID, token_version: int, lease_seconds: int) -> RefreshRight:
        return RefreshRight(state="gone")

    async def store_refreshed(
        self, account_id: UUID, fence: int, secrets: JsonObject, expires_at: datetime | None
    ) -> JsonObject | None:
        return None

    async def abandon_refresh(self, account_id: UUID, fence: int) -> None:
        self._note("abandon_refresh", account_id)

    async def mark_reconnect(self, account_id: UUID, token_version: int, reason: str) -> None:
        self._note("mark_reconnect", account_id)

    async def due_jobs(self, queues: Sequence[str]) -> int:
        return self.due_count

    async def usual_seconds(self, queue: str) -> float:
        return self.usual

    async def record_runs(self, runs: Mapping[str, Sequence[int]]) -> None:
        self.recorded.append(runs)

    async def announce(self, worker_id: str, queues: Sequence[str] | None, *, stopping: bool = False) -> Sequence[str]:
        return queues or ["q"]

    async def dismiss(self, worker_id: str) -> None:
        self._note("dismiss", worker_id)

    @property
    def settlements(self) -> list[Settlement]:
        """Every element that was settled, in order."""
        return [element for batch in self.batches for element in batch]

    @property
    def outcomes(self) -> list[str]:
        return [element["outcome"] for element in self.settlements]

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def _note(self, name: str, detail: Any) -> None:
        self.calls.append((name, detail))
        self.changed.set()

    def _next_claim(self) -> Claimed:
        answer = self.claims.popleft() if self.claims else claimed()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _settle(self, results: Sequence[Settlement]) -> Sequence[Settled]:
        refusal = self.refuse_settle(results)
        if refusal is not None:
            raise refusal
        self.batches.append(list(results))
        return [_settled(element) for element in results]


def _settled(element: Settlement, applied: Literal["ok", "already", "stale", "gone"] = "ok") -> Settled:
    return Settled(job_id=element["job_id"], applied=applied, status=STATUSES[element["outcome"]])


Register = Callable[..., None]
"""The fixture `register`: (handler, *, reconcile=None, **settings of the queue)."""

MakeDrain = Callable[..., Drain]
"""The fixture `make_drain`: (handler, *, claims=True, **settings) -> Drain."""


async def instantly(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
    return Done({"attempt": job.attempt})


class Gate:
    """A handler that waits until it is let through, and counts how many wait at once."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def __call__(self, job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.open.wait()
        self.inside -= 1
        return Done()


def jobs(count: int, **changes: Any) -> list[ClaimedJob]:
    return [claimed_job(number, **changes) for number in range(1, count + 1)]


async def finish(drain: Drain) -> Summary:
    async with asyncio.timeout(10):
        await drain.run()
    return drain.summary


def surroundings(
    ledger: ScriptedLedger,
    settings: Settings,
    log: structlog.stdlib.BoundLogger,
    http: httpx.AsyncClient,
    stopping: asyncio.Event | None = None,
) -> Surroundings:
    return Surroundings(ledger, http, settings, log, stopping or asyncio.Event())
