"""Jobs to enqueue that wait while the project cannot be reached: in order, each exactly once, and no more than fit.

A job's client id is its idempotency key: a job whose answer was lost is sent again without being enqueued twice.
The outbox lives in memory: what it holds when the process ends is lost, and `pending` says what that is.
"""

import asyncio
import itertools
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from filaviva.backoff import Backoff
from filaviva.errors import (
    Conflict,
    FilaVivaError,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSignedIn,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
    not_json,
)
from filaviva.filters import check_new_job
from filaviva.models import EnqueuedJob, NewJob, from_row
from filaviva.rpc import Row, Rpc

logger = logging.getLogger(__name__)

MOST_ITEMS = 1_000
MOST_BYTES = 1_000_000
_A_CALL = 200


class OutboxFull(InvalidRequest):
    """The outbox holds all it may: the newest job is the one that is refused, so that nothing older is lost."""


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """A job that waits to be enqueued.

    Attributes:
        client_id: what makes it itself, however often it is sent.
        job: as `enqueue_jobs` takes it.
        size: bytes of its JSON.
    """

    client_id: str
    job: Row
    size: int


class Outbox:
    """Enqueues jobs in the order in which they were put in, as soon as that is possible. An async context manager.

    A job that the project refuses for good is handed to `on_refused` and the next one follows; anything else that is
    wrong holds all of them, for as long as it lasts, and is told by `error`. Leaving the context or closing the client
    ends the sending: what was not sent stays in `pending`. `flushed` waits until all is sent.

    Args:
        rpc: calls of the database, as the signed-in user.
        renew_token: called when the token is no longer accepted.
        on_enqueued: called with the client id and the project's answer.
        on_refused: called with the item and the error.
        most_items: how many jobs it holds at most.
        most_bytes: how many bytes of JSON they have at most, together.
    """

    def __init__(
        self,
        rpc: Rpc,
        *,
        renew_token: Callable[[], object],
        on_enqueued: Callable[[str, EnqueuedJob], object] | None = None,
        on_refused: Callable[[OutboxItem, FilaVivaError], object] | None = None,
        most_items: int = MOST_ITEMS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._rpc = rpc
        self._renew_token = renew_token
        self._on_enqueued = on_enqueued or (lambda _client_id, _job: None)
        self._on_refused = on_refused or (lambda _item, _error: None)
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._items: deque[OutboxItem] = deque()
        self._bytes = 0
        self._backoff = Backoff()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """How many jobs were refused because it was full."""
        self.error: FilaVivaError | None = None
        """What holds the jobs now, or None."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._send_all())
        self._task.add_done_callback(lambda _: self._emptied.set())  # who waits for it learns that it will not be
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    @property
    def pending(self) -> tuple[OutboxItem, ...]:
        """What is not enqueued yet, the oldest first."""
        return tuple(self._items)

    def put(self, job: NewJob | Mapping[str, Any], client_id: UUID | str | None = None) -> str:
        """Enqueue `job` as soon as possible, after all that were put in before; returns its client id.

        Args:
            job: the fields of `NewJob`, without an `idempotency_key`: that is the client id.
            client_id: an id of the application's, such as that of a message on the screen; a new one unless given.

        Raises:
            OutboxFull: it holds all it may; the job is not taken, and counted in `dropped`.
            InvalidRequest: a field is wrong.
        """
        client_id = str(client_id or uuid4())
        checked = _without_key(check_new_job(job, "job"))
        checked["idempotency_key"] = client_id
        item = OutboxItem(client_id, checked, _size(checked))
        if len(self._items) >= self._most_items or self._bytes + item.size > self._most_bytes:
            self.dropped += 1
            raise OutboxFull(
                f"The outbox holds {len(self._items)} jobs with {self._bytes} bytes: no more fit.",
                code="outbox_full",
                hint="Wait until the project can be reached again, and put the job in anew.",
            )
        self._items.append(item)
        self._bytes += item.size
        self._emptied.clear()
        self._filled.set()
        return client_id

    async def flushed(self) -> None:
        """Wait until everything is enqueued or refused.

        Raises:
            FilaVivaError: `outbox_closed`: there are jobs that nothing sends.
        """
        if self._is_sending:
            await self._emptied.wait()
        if self._items and not self._is_sending:
            raise FilaVivaError(
                f"The outbox is closed and holds {len(self._items)} jobs.",
                code="outbox_closed",
                hint="Work inside its `async with` block; put what is `pending` into a new one, with its client ids.",
            )

    @property
    def _is_sending(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _send_all(self) -> None:
        size = _A_CALL
        while True:
            await self._filled.wait()
            batch = list(itertools.islice(self._items, size))
            try:
                answers = await self._enqueue(batch)
            except FilaVivaError as error:
                if error.code == "client_closed":
                    return
                if not _is_about_the_job(error):
                    await self._wait_out(error)
                elif len(batch) > 1:
                    size = len(batch) // 2  # none of them was enqueued: find the one that is refused
                else:
                    size = _A_CALL
                    self._leave(batch)
                    self._tell(self._on_refused, batch[0], error)
            else:
                self.error = None
                self._backoff.reset()
                self._leave(batch)
                for item, answer in zip(batch, answers, strict=True):
                    self._tell(self._on_enqueued, item.client_id, answer)

    async def _enqueue(self, batch: list[OutboxItem]) -> list[EnqueuedJob]:
        try:
            answers = await self._rpc.enqueue_jobs([item.job for item in batch])
            return [from_row(EnqueuedJob, {**answer, "id": answer.get("job_id")}) for answer in answers]
        except FilaVivaError:
            raise
        except Exception as fault:  # of ours: without this nothing would ever be sent again
            logger.exception("The outbox could not send")
            raise Unavailable(f"The jobs could not be sent: {fault}.", code="no_answer") from fault

    async def _wait_out(self, error: FilaVivaError) -> None:
        self.error = error
        pause = self._backoff.next()
        if isinstance(error, RateLimited):
            pause = max(pause, error.retry_after or 0)
        logger.info("The outbox holds %d jobs (%s); trying again in %.1f s", len(self._items), error, pause)
        if isinstance(error, NotSignedIn):
            self._renew_token()
        await asyncio.sleep(pause)

    def _leave(self, batch: list[OutboxItem]) -> None:
        for item in batch:
            self._items.popleft()
            self._bytes -= item.size
        if not self._items:
            self._filled.clear()
            self._emptied.set()

    def _tell(self, callback: Callable[..., object], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:
            logger.exception("A callback of the outbox failed")


def _is_about_the_job(error: FilaVivaError) -> bool:
    """Whether the project refuses the job itself; anything else may be over the next time."""
    if isinstance(error, PayloadTooLarge):
        return True
    is_of_the_way = error.code == "invalid_url" or error.code.startswith("http_")  # something in between answered
    return isinstance(error, InvalidRequest | Forbidden | NotFound | Conflict) and not is_of_the_way


def _without_key(job: Row) -> Row:
    if "idempotency_key" in job:
        raise InvalidRequest(
            "job.idempotency_key: expected none, as the client id is the key.",
            code="invalid_field",
            hint="Pass it as `client_id`.",
        )
    return job


def _size(job: Row) -> int:
    try:
        return len(json.dumps(job, default=str).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise not_json("The job", error) from error
