"""Calls an application's callback, however slow it is, without anybody else waiting for it."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

S = TypeVar("S")

OnChange = Callable[[S], Awaitable[object]] | Callable[[S], object]


class Callback(Generic[S]):
    """A function to call with the newest value, one call at a time.

    A coroutine function is awaited in the loop. Any other function is called in a thread of its own, so that one that
    sleeps or paints stops nothing else; what it touches must bear that. What it raises is logged.
    """

    def __init__(self, function: OnChange[S]) -> None:
        self._function = function
        self._thread: ThreadPoolExecutor | None = None
        if not inspect.iscoroutinefunction(function):
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="filaviva-callback")

    async def call(self, value: S) -> None:
        """Call it and wait until it returns."""
        try:
            if self._thread is not None:
                answer = await asyncio.get_running_loop().run_in_executor(self._thread, self._function, value)
            else:
                answer = self._function(value)
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            logger.exception("The callback of a live view failed")

    def close(self) -> None:
        """End its thread, when the call that runs has returned."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
