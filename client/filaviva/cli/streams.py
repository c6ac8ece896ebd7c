"""Several streams as one, with a tick about once a second in between: what a screen that shows times is driven by."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

TICK_SECONDS = 1.0


async def merged(streams: Iterable[AsyncIterator[T]]) -> AsyncGenerator[T | None, None]:
    """Every item of the streams as it comes, until all have ended; None when nothing came for a second.

    Raises:
        Exception: what one of them raises; the others are ended then.
    """
    items: asyncio.Queue[T | None] = asyncio.Queue()
    tasks = [asyncio.create_task(_pump(stream, items)) for stream in streams]
    try:
        while not (all(task.done() for task in tasks) and items.empty()):
            for failed in [task for task in tasks if task.done() and task.exception()]:
                failed.result()
            item = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):  # before Python 3.12 wait_for may swallow Ctrl-C
                    item = await items.get()
            yield item
        for task in tasks:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(stream: AsyncIterator[T], items: asyncio.Queue[T | None]) -> None:
    try:
        async for item in stream:
            items.put_nowait(item)
    finally:
        items.put_nowait(None)  # the reader looks how it ended
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
