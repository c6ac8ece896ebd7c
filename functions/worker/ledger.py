"""The worker's view of the engine: what a drain asks of the database, and how PostgREST carries it.

`Ledger` is the seam; `RestLedger` needs no connection of its own and works behind any pooler.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import UUID, uuid4

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from functions.jobs.context import ClaimedJob
from functions.jobs.outcomes import JsonObject

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


class Ledger(Protocol):
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
        """A user's connected account on a platform with its secrets, or None."""


_CLAIMED = TypeAdapter(Claimed)
_SETTLED = TypeAdapter(tuple[Settled, ...])
_SETTLED_AND_CLAIMED = TypeAdapter(_SettledAndClaimed)
_RENEWED = TypeAdapter(tuple[Renewed, ...])
_QUEUES = TypeAdapter(tuple[_DueQueue, ...])


class RestLedger:
    """The ledger over PostgREST, with the service key.

    Args:
        http: a client whose base URL is the project's REST API.
        service_key: what opens the engine's functions; sent with every call, never logged.
        pause: how `tenacity` sleeps between tries; a test passes its own.
    """

    def __init__(
        self, http: httpx.AsyncClient, service_key: SecretStr, pause: Callable[[float], Awaitable[None]] | None = None
    ) -> None:
        self._http = http
        key = service_key.get_secret_value()
        self._headers = {"apikey": key, "Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._pause = {"sleep": pause} if pause else {}

    async def claim(self, queue: str, limit: int, worker_id: str) -> Claimed:  # noqa: D102 - as in Ledger
        body = {"p_queue": queue, "p_limit": limit, "p_worker_id": worker_id, "p_request_id": uuid4()}
        return _CLAIMED.validate_json(await self._call("claim_jobs", body))

    async def claim_one(self, job_id: UUID, worker_id: str) -> ClaimedJob:  # noqa: D102
        body = {"p_job_id": job_id, "p_worker_id": worker_id, "p_request_id": uuid4()}
        return _CLAIMED.validate_json(await self._call("claim_job", body)).jobs[0]

    async def settle(self, results: Sequence[Settlement]) -> Sequence[Settled]:  # noqa: D102
        return _SETTLED.validate_json(await self._call("settle_jobs", {"p_results": results}))

    async def settle_and_claim(  # noqa: D102
        self, results: Sequence[Settlement], queue: str, limit: int, worker_id: str
    ) -> tuple[Sequence[Settled], Claimed]:
        body = {
            "p_results": results,
            "p_queue": queue,
            "p_limit": limit,
            "p_worker_id": worker_id,
            "p_request_id": uuid4(),
        }
        both = _SETTLED_AND_CLAIMED.validate_json(await self._call("settle_and_claim", body))
        return both.settled, both.claimed

    async def extend(self, leases: Sequence[Renewal]) -> Sequence[Renewed]:  # noqa: D102
        return _RENEWED.validate_json(await self._call("extend_leases", {"p_leases": leases}))

    async def commit(  # noqa: D102
        self, job_id: UUID, claim_id: int, checkpoint: JsonObject, *, reconcilable: bool, extend_seconds: int
    ) -> None:
        body = {
            "p_job_id": job_id,
            "p_claim_id": claim_id,
            "p_checkpoint": checkpoint,
            "p_reconcilable": reconcilable,
            "p_extend_seconds": extend_seconds,
        }
        await self._call("commit_job", body)

    async def due_queues(self) -> Sequence[str]:  # noqa: D102
        return [due.queue for due in _QUEUES.validate_json(await self._call("due_queues", {}))]

    async def kick(self, queue: str) -> bool:  # noqa: D102
        return bool(orjson.loads(await self._call("kick_queue", {"p_queue": queue})))

    async def credentials(self, user_id: UUID, platform: str) -> JsonObject | None:  # noqa: D102
        answer = await self._call("account_credentials", {"p_user_id": user_id, "p_platform": platform})
        account: JsonObject | None = orjson.loads(answer)
        return account

    async def _call(self, function: str, body: Mapping[str, Any]) -> bytes:
        content = orjson.dumps(body)  # once: every try sends the same request id
        tries = AsyncRetrying(
            retry=retry_if_exception_type(LedgerUnavailable),
            stop=stop_after_attempt(TRIES) | stop_after_delay(TRYING_SECONDS),
            wait=wait_random_exponential(multiplier=0.05, max=LONGEST_PAUSE_SECONDS),
            reraise=True,
            **self._pause,  # type: ignore[arg-type]
        )
        return await tries(self._post, function, content)

    async def _post(self, function: str, content: bytes) -> bytes:
        try:
            answer = await self._http.post(f"rpc/{function}", content=content, headers=self._headers)
        except httpx.TransportError as error:
            raise LedgerUnavailable(f"{function}: {type(error).__name__}") from error
        if answer.is_success:
            return answer.content
        raise _fault(function, answer)


def _fault(function: str, answer: httpx.Response) -> LedgerUnavailable | LedgerRefused:
    try:
        error = orjson.loads(answer.content)
        sqlstate = str(error.get("code", ""))
    except (orjson.JSONDecodeError, AttributeError):
        error, sqlstate = {}, ""
    message = str(error.get("message") or answer.reason_phrase)
    if sqlstate.startswith("PT"):
        code = str(error.get("details"))
        return LedgerRefused(answer.status_code, code, message, error.get("hint"), from_engine=True)
    if sqlstate in PASSING_CODES or answer.status_code in {408, 429, 502, 503, 504, 520} or not error:
        return LedgerUnavailable(f"{function}: {answer.status_code} {sqlstate} {message}")
    return LedgerRefused(answer.status_code, sqlstate or str(answer.status_code), message, error.get("hint"))
