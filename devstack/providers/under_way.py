"""What the doubles are at, so that a look at them does not come in the middle of it.

A caller that hangs up does not stop a platform: what it has asked for still takes effect, a moment later.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any


class UnderWay:
    """Steps that have begun and not ended, and work that goes on after the answer."""

    def __init__(self) -> None:
        self._ends: set[asyncio.Future[None]] = set()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Holds as long as a step takes."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends.add(end)
        try:
            yield
        finally:
            self._ends.discard(end)
            end.set_result(None)

    def begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Let work go on beside the answer."""
        task = asyncio.create_task(work)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)
        return task

    async def wait(self) -> None:
        """Until all that has begun by now is over."""
        if begun := set(self._ends):
            await asyncio.wait(begun)
