"""Views of what cannot be streamed: an asynchronous call, repeated."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from filaviva.backoff import Backoff, jittered
from filaviva.errors import FilaVivaError, InvalidRequest, NotSignedIn
from filaviva.live.callback import OnChange
from filaviva.live.context import LiveContext
from filaviva.live.source import Source
from filaviva.live.view import LiveView
from filaviva.realtime.refusals import is_worth_repeating

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Polled(Source, Generic[T]):
    """The newest answer of a call; a view's source.

    Args:
        fetch: what to call. It raises errors of `filaviva.errors`.
        every_seconds: between two calls, a fifth more or less. After errors that pass it is at least 1 s, doubling to
            at least 30 s; the last answer stays.
    """

    def __init__(self, context: LiveContext, fetch: Callable[[], Awaitable[T]], every_seconds: float) -> None:
        super().__init__()
        self._context = context
        self._fetch = fetch
        self._every = every_seconds
        self._backoff = Backoff(max(1.0, every_seconds), max(30.0, every_seconds))
        self._wanted = asyncio.Event()
        self.has_value = False
        self.value: T | None = None
        """The newest answer; None before the first."""

    async def run(self) -> None:
        """Call again and again until cancelled."""
        while True:
            self._wanted.clear()
            pause = await self._call()
            try:
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def refresh(self) -> None:
        """Call now instead of at the next time."""
        self._wanted.set()

    async def _call(self) -> float:
        """Call once, and return how long to wait."""
        try:
            self.value, self.has_value = await self._fetch(), True
        except FilaVivaError as error:
            logger.info("A polled view could not be read: %s", error)
            may_heal = is_worth_repeating(error)
            if isinstance(error, NotSignedIn):
                may_heal = self._context.connection.renew_token()
            self.error, self.is_refused = error, not may_heal
            self.is_live, self.is_loading = False, may_heal and not self.has_value
            self.notify()
            return self._backoff.next()
        self._backoff.reset()
        self.error, self.is_refused, self.is_loading, self.is_live = None, False, False, True
        self.notify()
        return jittered(self._every)


class PolledView(LiveView[T]):
    """The newest answer of a call that is repeated while the view is open."""

    def __init__(
        self,
        context: LiveContext,
        fetch: Callable[[], Awaitable[T]],
        every_seconds: float,
        on_change: OnChange[T] | None = None,
    ) -> None:
        """Raises InvalidRequest when `every_seconds` is not above 0."""
        if not 0 < every_seconds < math.inf:
            raise InvalidRequest(
                f"refresh_interval: expected seconds above 0, found {every_seconds!r}.",
                code="invalid_field",
                hint="Leave it out for the default.",
            )
        self._polled = Polled(context, fetch, every_seconds)
        super().__init__(context, [self._polled], on_change)

    @property
    def has_value(self) -> bool:
        """Whether there was an answer yet: then `current` gives the newest."""
        return self._polled.has_value

    @property
    def current(self) -> T:
        """The newest answer.

        Raises:
            RuntimeError: there is none yet: wait for `loaded()`.
        """
        if not self.has_value:
            raise RuntimeError("nothing was read yet: wait for loaded()")
        value: T = self._polled.value  # type: ignore[assignment]
        return value

    def refresh(self) -> None:
        """Call now instead of at the next time."""
        self._polled.refresh()
