"""The worker's view of the engine: what it asks of the database, by the names of the SQL functions.

`Ledger` is the seam. `EngineLedger` says which function each question is; how a call travels is for its two
children: `RestLedger`, and `PostgresLedger` for the long-running worker.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import UUID, uuid4

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from functions.jobs.accounts import AccountKeeper
from functions.jobs.context import ClaimedJob
from functions.jobs.outcomes import JsonObject
from functions.worker.accounts import AccountCalls

Settlement = dict[str, Any]
"""One element of `settle_jobs`: job_id, claim_id, outcome and what belongs to it."""

TRIES = 6
TRYING_SECONDS = 20
LONGEST_PAUSE_SECONDS = 2.0
PASSING_CODES = frozenset({"40P01", "40001", "55P03", "57014"})
"""Deadlock, serialization, lock timeout, statement timeout: the same call may succeed in a moment."""


class LedgerUnavailable(Exception):  # noqa: N818 - named after what the caller has to deal with
    """The database did not answer, or could not do it now, for as long as it was worth trying."""


class LedgerRefused(Exception):  # noqa: N818
    """The database answered and said no; asking again would not help.

    Args:
        status: HTTP status of the answer.
        code: machine code of the engine, or the SQLSTATE when the engine did not say it.
        message: the database's own words.
        hint: what it advises.
        from_engine: whether the engine itself said it, rather than PostgreSQL or something in between.
    """

    def __init__(
        self, status: int, code: str, message: str, hint: str | None = None, *, from_engine: bool = False
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.from_engine = from_engine


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Claimed(_Answer):
    """What a claim gave."""

    jobs: tuple[ClaimedJob, ...] = ()
    next_due_in_ms: int | None = None
    state: Literal["ok", "empty", "busy", "paused", "enough"]


class Settled(_Answer):
    """What became of one settlement; `status` is the job's status now, None when the job is gone."""

    job_id: UUID
    applied: Literal["ok", "already", "stale", "gone"]
    status: str | None = None


class Renewed(_Answer):
    """What became of one lease; `stale` means another claim has taken the job or it is over."""

    job_id: UUID
    stale: bool = False
    cancel_requested: bool = False


class _SettledAndClaimed(_Answer):
    settled: tuple[Settled, ...]
    claimed: Claimed


class _DueQueue(_Answer):
    queue: str


@dataclass(frozen=True, slots=True)
class Renewal:
    """A request for more time for one claim, with the progress to write along."""

    job_id: UUID
    claim_id: int
    progress: float | None = None
    note: str | None = None


class Ledger(AccountKeeper, Protocol):
    """Every call retries what may pass by itself, with the same request id, and raises
    `LedgerUnavailable` or `LedgerRefused`."""

    async def claim(self, queue: str, limit: int, worker_id: str) -> Claimed:
        """Take up to `limit` jobs of a queue."""

    async def claim_one(self, job_id: UUID, worker_id: str) -> ClaimedJob:
        """Take one job by its id."""

    async def settle(self, results: Sequence[Settlement]) -> Sequence[Settled]:
        """End attempts; the answers are in the order of `results`."""

    async def settle_and_claim(
        self, results: Sequence[Settlement], queue: str, limit: int, worker_id: str
    ) -> tuple[Sequence[Settled], Claimed]:
        """End attempts, then take up to `limit` jobs, in one transaction."""

    async def extend(self, leases: Sequence[Renewal]) -> Sequence[Renewed]:
        """Renew leases, write progress, and learn of claims lost and of wishes to cancel."""

    async def commit(
        self, job_id: UUID, claim_id: int, checkpoint: JsonObject, *, reconcilable: bool, extend_seconds: int
    ) -> None:
        """Record the point of no return."""

    async def due_queues(self) -> Sequence[str]:
        """The queues that have something to run now."""

    async def kick(self, queue: str) -> bool:
        """Have the drain of a queue called; False when it was called a moment ago or cannot be."""

    async def credentials(self, user_id: UUID, platform: str) -> JsonObject | None:
        """A user's account on a platform: with its secrets when its `status` is `connected`; None without one."""

    async def due_jobs(self, queues: Sequence[str]) -> int:
        """How many jobs of `queues` could run now; counted up to 1,000 a queue."""

    async def usual_seconds(self, queue: str) -> float:
        """How long all but the slowest twentieth of a queue's jobs took lately, by its slowest kind; 0 if unknown."""

    async def record_runs(self, runs: Mapping[str, Sequence[int]]) -> None:
        """Add to what is known of how long jobs take: for each kind the counts of `RunTimes`."""

    async def announce(self, worker_id: str, queues: Sequence[str] | None, *, stopping: bool = False) -> Sequence[str]:
        """Say that a long-running worker lives and listens for `queues`, None for all; the names that there are."""

    async def dismiss(self, worker_id: str) -> None:
        """Say that a long-running worker has gone; others are woken for its queues."""


_CLAIMED = TypeAdapter(Claimed)
_SETTLED = TypeAdapter(tuple[Settled, ...])
_SETTLED_AND_CLAIMED = TypeAdapter(_SettledAndClaimed)
_RENEWED = TypeAdapter(tuple[Renewed, ...])
_QUEUES = TypeAdapter(tuple[_DueQueue, ...])
_NAMES = TypeAdapter(tuple[str, ...])


class EngineLedger(AccountCalls):
    """The ledger as calls of the engine's functions; a child carries them.

    Args:
        pause: how `tenacity` sleeps between tries; a test passes its own.
    """

    def __init__(self, pause: Callable[[float], Awaitable[None]] | None = None) -> None:
        self._pause = {"sleep": pause} if pause else {}

    @abstractmethod
    async def _send(self, function: str, packed: Any) -> bytes | str:
        """Call a function of schema public once; its answer is JSON."""

    @abstractmethod
    def _packed(self, arguments: Mapping[str, Any]) -> Any:
        """The arguments as `_send` takes them; made once, so that every try sends the same request id."""

    async def claim(self, queue: str, limit: int, worker_id: str) -> Claimed:  # noqa: D102 - as in Ledger
        arguments = {"p_queue": queue, "p_limit": limit, "p_worker_id": worker_id, "p_request_id": uuid4()}
        return _CLAIMED.validate_json(await self._call("claim_jobs", arguments))

    async def claim_one(self, job_id: UUID, worker_id: str) -> ClaimedJob:  # noqa: D102
        arguments = {"p_job_id": job_id, "p_worker_id": worker_id, "p_request_id": uuid4()}
        return _CLAIMED.validate_json(await self._call("claim_job", arguments)).jobs[0]

    async def settle(self, results: Sequence[Settlement]) -> Sequence[Settled]:  # noqa: D102
        return _SETTLED.validate_json(await self._call("settle_jobs", {"p_results": results}))

    async def settle_and_claim(  # noqa: D102
        self, results: Sequence[Settlement], queue: str, limit: int, worker_id: str
    ) -> tuple[Sequence[Settled], Claimed]:
        arguments = {
            "p_results": results,
            "p_queue": queue,
            "p_limit": limit,
            "p_worker_id": worker_id,
            "p_request_id": uuid4(),
        }
        both = _SETTLED_AND_CLAIMED.validate_json(await self._call("settle_and_claim", arguments))
        return both.settled, both.claimed

    async def extend(self, leases: Sequence[Renewal]) -> Sequence[Renewed]:  # noqa: D102
        return _RENEWED.validate_json(await self._call("extend_leases", {"p_leases": leases}))

    async def commit(  # noqa: D102
        self, job_id: UUID, claim_id: int, checkpoint: JsonObject, *, reconcilable: bool, extend_seconds: int
    ) -> None:
        arguments = {
            "p_job_id": job_id,
            "p_claim_id": claim_id,
            "p_checkpoint": checkpoint,
            "p_reconcilable": reconcilable,
            "p_extend_seconds": extend_seconds,
        }
        await self._call("commit_job", arguments)

    async def due_queues(self) -> Sequence[str]:  # noqa: D102
        return [due.queue for due in _QUEUES.validate_json(await self._call("due_queues", {}))]

    async def due_jobs(self, queues: Sequence[str]) -> int:  # noqa: D102
        return int(await self._call("count_due_jobs", {"p_queues": queues}))

    async def kick(self, queue: str) -> bool:  # noqa: D102
        return bool(orjson.loads(await self._call("kick_queue", {"p_queue": queue})))

    async def usual_seconds(self, queue: str) -> float:  # noqa: D102
        return float(await self._call("usual_run_seconds", {"p_queue": queue}))

    async def record_runs(self, runs: Mapping[str, Sequence[int]]) -> None:  # noqa: D102
        await self._call("record_runs", {"p_runs": runs})

    async def announce(  # noqa: D102
        self, worker_id: str, queues: Sequence[str] | None, *, stopping: bool = False
    ) -> Sequence[str]:
        arguments = {"p_worker_id": worker_id, "p_queues": queues, "p_stopping": stopping}
        return _NAMES.validate_json(await self._call("announce_worker", arguments))

    async def dismiss(self, worker_id: str) -> None:  # noqa: D102
        await self._call("dismiss_worker", {"p_worker_id": worker_id})

    async def _call(self, function: str, arguments: Mapping[str, Any]) -> bytes | str:
        packed = self._packed(arguments)
        tries = AsyncRetrying(
            retry=retry_if_exception_type(LedgerUnavailable),
            stop=stop_after_attempt(TRIES) | stop_after_delay(TRYING_SECONDS),
            wait=wait_random_exponential(multiplier=0.05, max=LONGEST_PAUSE_SECONDS),
            reraise=True,
            **self._pause,  # type: ignore[arg-type]
        )
        return await tries(self._send, function, packed)
