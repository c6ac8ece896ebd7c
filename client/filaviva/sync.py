"""The client without `await`, for scripts, shells and programs that have no event loop.

It is the asynchronous client on a loop of its own, in one thread that lives as long as the client. So every check,
retry and error is that of `FilaViva`, and a call works from any thread, also beside a loop that runs already, as in
a notebook. What needs a loop to be of use, the live views, is not offered here.
"""

import asyncio
import concurrent.futures
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from filaviva.errors import FilaVivaError, client_closed
from filaviva.queue import FilaViva

P = ParamSpec("P")
R = TypeVar("R")


def _blocking(
    method: Callable[Concatenate[FilaViva, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate["SyncFilaViva", P], R]:
    """The method as one that returns when the answer is there."""

    @functools.wraps(method)
    def call(self: "SyncFilaViva", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._run(method(self._fila, *args, **kwargs))

    call.__qualname__ = f"SyncFilaViva.{method.__name__}"
    return call


class SyncFilaViva:
    """A user's jobs in one Supabase project, for code without an event loop.

    Use it as a context manager, or call `close` at the end. Threads may share it; a process that forks
    makes one in each child::

        with SyncFilaViva(url, key, access_token=token) as fila:
            job = fila.enqueue("publish_post", {"option": "tiktok_video"})
            print(fila.get(job.id).status)

    The arguments, the methods and their errors are those of `FilaViva`.
    """

    def __init__(self, url: str, key: str, access_token: str | None = None) -> None:
        self._fila = FilaViva(url, key, access_token)
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._door = threading.Lock()
        self._is_closed = False
        self._calls: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="filaviva", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"Sync{self._fila!r}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread, for good; again does nothing.

        Calls that other threads wait for end with `client_closed`; what they ask for may still have happened.
        """
        if self._process != os.getpid():
            return
        with self._door:  # what came in before is ended below, what comes later is refused
            if self._is_closed:
                return
            self._is_closed = True
        try:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._fila.aclose()

    async def _followed(self, call: Coroutine[Any, Any, R]) -> R:
        """The answer of `call`, which `_end` can end."""
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return await task

    enqueue = _blocking(FilaViva.enqueue)
    """As `FilaViva.enqueue`."""
    enqueue_many = _blocking(FilaViva.enqueue_many)
    """As `FilaViva.enqueue_many`."""
    get = _blocking(FilaViva.get)
    """As `FilaViva.get`."""
    jobs = _blocking(FilaViva.jobs)
    """As `FilaViva.jobs`."""
    stats = _blocking(FilaViva.stats)
    """As `FilaViva.stats`."""
    why_waiting = _blocking(FilaViva.why_waiting)
    """As `FilaViva.why_waiting`."""
    cancel = _blocking(FilaViva.cancel)
    """As `FilaViva.cancel`."""
    retry = _blocking(FilaViva.retry)
    """As `FilaViva.retry`."""
    resolve = _blocking(FilaViva.resolve)
    """As `FilaViva.resolve`."""
    rate_limit = _blocking(FilaViva.rate_limit)
    """As `FilaViva.rate_limit`."""
    set_access_token = _blocking(FilaViva.set_access_token)
    """As `FilaViva.set_access_token`."""

    def _run(self, call: Coroutine[Any, Any, R]) -> R:
        """The answer of `call`; whoever is interrupted meanwhile leaves nothing running."""
        if self._process != os.getpid():
            call.close()
            raise _forked()
        with self._door:
            if self._is_closed:
                call.close()
                raise client_closed()
            future = asyncio.run_coroutine_threadsafe(self._followed(call), self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise client_closed() from None
        except BaseException:
            future.cancel()
            raise


def _forked() -> FilaVivaError:
    return FilaVivaError(
        "This client was made in another process, before a fork.",
        code="client_forked",
        hint="Make a client in each process, after the fork.",
    )
