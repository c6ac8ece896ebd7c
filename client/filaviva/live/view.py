"""The base of every live view: an async context manager, an async iterator of snapshots, and plain properties."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from filaviva.errors import FilaVivaError, client_closed
from filaviva.live.callback import Callback, OnChange
from filaviva.live.context import LiveContext
from filaviva.live.source import Source

logger = logging.getLogger(__name__)

S = TypeVar("S")


class LiveView(Generic[S]):
    """A state that follows the database while the view is open::

        async with view:
            async for snapshot in view:
                show(snapshot)

    Entering returns at once; the first snapshot comes when the first read has, the next ones after every change of the
    state, of `is_live` and of `error`. Who takes snapshots slowly gets the newest state each time, never a backlog.
    Several loops over one view each get every newest state. A loop ends with the error when the project refuses what
    the view shows (a new loop goes on when that is over); trouble that passes is only told by `error`, and the last
    state stays. Leaving the context ends the loops and leaves everything on the server.

    A subclass makes its sources, gives them to `super().__init__`, and defines `current`; a loop gets what `current`
    gives. What it wants to log of each update it learns from its sources' own hooks.
    """

    def __init__(self, context: LiveContext, sources: Sequence[Source], on_change: OnChange[S] | None = None) -> None:
        self._context = context
        self._sources = sources
        self._callback = Callback(on_change) if on_change is not None else None
        self._tasks: list[asyncio.Task[None]] = []
        self._count = 0
        self._changed = asyncio.Event()
        self._is_closed = False
        self._own_loop = _Snapshots(self)
        for source in sources:
            source.notify = self.note_change

    @property
    @abstractmethod
    def current(self) -> S:
        """The state as it is known now, as one value that does not change any more."""

    @property
    def is_loading(self) -> bool:
        """True until the first state is known, or an error says why not."""
        return any(source.is_loading for source in self._sources)

    @property
    def is_live(self) -> bool:
        """True while changes arrive by themselves; otherwise the view polls."""
        return bool(self._sources) and all(source.is_live for source in self._sources)

    @property
    def is_connected(self) -> bool:
        """Another name of `is_live`."""
        return self.is_live

    @property
    def error(self) -> FilaVivaError | None:
        """What is wrong now, or None. It goes away by itself when the cause does."""
        return next((source.error for source in self._sources if source.error is not None), None)

    async def loaded(self) -> S:
        """Wait for the first state and return it.

        Raises:
            FilaVivaError: the project refuses what the view shows, or the view was closed.
        """
        async for snapshot in self:
            return snapshot
        raise FilaVivaError("This view is closed.", code="view_closed", hint="Work inside its `async with` block.")

    async def __aenter__(self) -> Self:
        if self._tasks or self._is_closed:
            raise RuntimeError("a live view can be entered once")
        self._context.opened(self)
        self._tasks = [asyncio.create_task(self._run(source)) for source in self._sources]
        if self._callback is not None:
            self._tasks.append(asyncio.create_task(self._call_back(self._callback)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave everything, and end the loops over this view."""
        self._is_closed = True
        self._context.closed(self)
        self.note_change()
        tasks, self._tasks = self._tasks, []
        others = [task for task in tasks if task is not asyncio.current_task()]  # the callback may close its view
        for task in others:
            task.cancel()
        try:
            if others:
                await asyncio.wait(others)
        finally:  # also when nobody waits any more
            if self._callback is not None:
                self._callback.close()

    def __aiter__(self) -> AsyncIterator[S]:
        return _Snapshots(self)

    async def __anext__(self) -> S:
        return await anext(self._own_loop)

    def note_change(self) -> None:
        """Say that `current` or another property is different now: loops and the callback get it."""
        self._count += 1
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def change_count(self) -> int:
        """How often `note_change` was called."""
        return self._count

    async def next_after(self, count: int) -> int | None:
        """Wait until the view has changed more than `count` times and has something to show.

        Returns:
            The new count, or None when the view was closed.

        Raises:
            FilaVivaError: the client was closed, or the project refuses what the view shows.
        """
        while True:
            if self._is_closed:
                if self._context.is_closed:
                    raise client_closed()
                return None
            if self._count > count:
                count = self._count
                if (error := self._refusal()) is not None:
                    raise error
                if not self.is_loading:
                    return count
            await self._changed.wait()

    def _refusal(self) -> FilaVivaError | None:
        return next((source.error for source in self._sources if source.is_refused), None)

    async def _run(self, source: Source) -> None:
        try:
            await source.run()
        except Exception as fault:
            logger.exception("A source of a live view failed")
            source.error = _as_error(fault)
            source.is_refused = True
            self.note_change()

    async def _call_back(self, callback: Callback[S]) -> None:
        count = 0
        while not self._is_closed:
            try:
                count = await self.next_after(count) or 0
            except FilaVivaError:  # the loops and `error` tell of it
                count = self._count
            else:
                await callback.call(self.current)


class _Snapshots(AsyncIterator[S]):
    """One loop's place in a view."""

    def __init__(self, view: LiveView[S]) -> None:
        self._view = view
        self._count = 0

    async def __anext__(self) -> S:
        try:
            count = await self._view.next_after(self._count)
        except FilaVivaError:
            self._count = self._view.change_count
            raise
        if count is None:
            raise StopAsyncIteration
        self._count = count
        return self._view.current


def _as_error(fault: Exception) -> FilaVivaError:
    if isinstance(fault, FilaVivaError):
        return fault
    return FilaVivaError(f"The view failed: {fault or type(fault).__name__}.", code="view_failed")
