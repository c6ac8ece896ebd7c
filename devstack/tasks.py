"""Ending a task for certain.

A cancellation can get lost: the connection pool takes one for a broken connection and goes on, and in Python 3.11
`asyncio.wait_for` forgets one that comes together with the answer. Who then waits for the task waits for ever.
"""

import asyncio
import logging
from typing import Any

_log = logging.getLogger(__name__)

_AGAIN_SECONDS = 3.0  # longer than any clean-up takes, which another cancellation would cut off
_TIMES = 4


async def end(task: asyncio.Task[Any] | None) -> None:
    """Cancel `task` until it has ended; one that will not is reported in the log and left behind after 12 s."""
    for _ in range(_TIMES):
        if task is None or task.done():
            return
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_SECONDS)
    if task is not None and not task.done():
        _log.error("%s does not end and is left behind", task.get_name())
