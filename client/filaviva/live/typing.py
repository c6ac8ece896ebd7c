"""Who is typing: said once when somebody begins, taken back when they pause, and forgotten when they fall silent."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from filaviva.errors import FilaVivaError
from filaviva.live.source import Source

logger = logging.getLogger(__name__)

TYPING_START, TYPING_STOP = "typing_start", "typing_stop"

# An indicator that is later than this is of no use, and nobody should wait for it.
_SAY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TypingTimes:
    """When indicators appear and go; in seconds. The defaults are those of the design documents.

    Attributes:
        stop_after: a sender stops so long after the last keystroke.
        say_again_after: a sender who types on says so again, before receivers forget them.
        forget_after: a receiver forgets who was not heard of for so long: their `typing_stop` was lost.
        clean_every: how often a receiver looks whom to forget.
    """

    stop_after: float = 3.0
    say_again_after: float = 5.0
    forget_after: float = 10.0
    clean_every: float = 5.0


@dataclass(frozen=True, slots=True)
class TypingUser:
    """Somebody who is typing, as they say themselves: a name is to be shown, not trusted."""

    user_id: str
    name: str | None = None


class TypingSender:
    """Turns keystrokes into few messages: one start, and one stop after a pause.

    Args:
        send: broadcasts `typing_start` or `typing_stop`. What it raises is logged: an indicator that is not sent is
            not kept for later.
    """

    def __init__(self, send: Callable[[str], Awaitable[None]], times: TypingTimes) -> None:
        self._send = send
        self._times = times
        self._pause: asyncio.TimerHandle | None = None
        self._said_at = float("-inf")
        self._sending: set[asyncio.Task[None]] = set()

    async def keystroke(self) -> None:
        """A key was pressed: say that typing began, unless that was said a moment ago."""
        loop = asyncio.get_running_loop()
        is_new = self._pause is None
        if self._pause is not None:
            self._pause.cancel()
        self._pause = loop.call_later(self._times.stop_after, self._paused)
        if is_new or loop.time() - self._said_at >= self._times.say_again_after:
            self._said_at = loop.time()
            await self._say(TYPING_START)

    async def stop(self) -> None:
        """The message was sent or given up: say that typing is over, if it was said that it began."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
            await self._say(TYPING_STOP)

    async def close(self) -> None:
        """Say that it is over, and wait until everything was said."""
        await self.stop()
        if self._sending:
            await asyncio.wait(self._sending)

    def _paused(self) -> None:
        self._pause = None
        task = asyncio.get_running_loop().create_task(self._say(TYPING_STOP))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _say(self, event: str) -> None:
        try:
            async with asyncio.timeout(_SAY_SECONDS):
                await self._send(event)
        except (FilaVivaError, TimeoutError) as error:
            logger.debug("%s was not sent: %s", event, error)


class TypingUsers:
    """Who of the others is typing now; several tabs of one person count once.

    Args:
        own_id: the user whose own messages do not count.
    """

    def __init__(self, own_id: str | None, times: TypingTimes, clock: Callable[[], float]) -> None:
        self._own_id = own_id
        self._times = times
        self._clock = clock
        self._heard: dict[str, tuple[TypingUser, float]] = {}

    def __bool__(self) -> bool:
        return bool(self._heard)

    @property
    def users(self) -> list[TypingUser]:
        """Who is typing, whoever began first before the others."""
        now = self._clock()
        return [user for user, at in self._heard.values() if now - at < self._times.forget_after]

    def heard(self, event: str, payload: Mapping[str, Any]) -> bool:
        """Take a message of somebody's; whether it changes who is typing."""
        user_id = payload.get("user_id")
        if event not in (TYPING_START, TYPING_STOP) or not isinstance(user_id, str) or user_id == self._own_id:
            return False
        if event == TYPING_STOP:
            return self._heard.pop(user_id, None) is not None
        name = payload.get("name")
        user = TypingUser(user_id, name if isinstance(name, str) else None)
        is_new = user_id not in self._heard
        self._heard[user_id] = (user, self._clock())
        return is_new

    def clean(self) -> bool:
        """Forget who was not heard of for long; whether there was anybody."""
        now = self._clock()
        silent = [key for key, (_, at) in self._heard.items() if now - at >= self._times.forget_after]
        for key in silent:
            del self._heard[key]
        return bool(silent)


class TypingCleaner(Source):
    """Calls `clean` from time to time, which forgets who has fallen silent and says whether anybody had."""

    def __init__(self, clean: Callable[[], bool], times: TypingTimes) -> None:
        super().__init__()
        self._clean = clean
        self._every = times.clean_every
        self.is_loading, self.is_live = False, True

    async def run(self) -> None:
        """Look whom to forget until cancelled."""
        while True:
            await asyncio.sleep(self._every)
            if self._clean():
                self.notify()
