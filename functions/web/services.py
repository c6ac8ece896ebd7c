"""What one process shares between its requests: settings, HTTP clients, log, and work that outlives a request."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar, cast

import httpx
import structlog
from starlette.requests import Request

from functions.settings import Settings
from functions.web.logs import get_logger
from functions.web.outside import outside_client

T = TypeVar("T")

DATABASE_TIMEOUT = httpx.Timeout(10, connect=5)


class Services:
    """The shared resources of one ASGI application.

    Args:
        settings: the configuration, already checked.
        log: where structured events go; standard output by default.
    """

    def __init__(self, settings: Settings, log: structlog.stdlib.BoundLogger | None = None) -> None:
        self.settings = settings
        self.log = log or get_logger()
        self.outside = outside_client(settings)
        """For other companies' APIs and media: a slow one must not take the database's connections."""
        self.database = httpx.AsyncClient(base_url=f"{settings.supabase_url}/rest/v1", timeout=DATABASE_TIMEOUT)
        self.stopping = asyncio.Event()
        """Set when the process is told to stop: drains claim no more and leave."""
        self._made: dict[object, object] = {}
        self._at_work: set[asyncio.Task[Any]] = set()
        self._undo_signals: Callable[[], None] = lambda: None

    def once(self, make: "Callable[[Services], T]") -> T:
        """What `make` builds from these services, built once and kept: the state of a layer above."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast(T, self._made[make])

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` so that it goes on to its end when the caller of the request hangs up."""
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def stop_on_signals(self) -> None:
        """Set `stopping` on SIGTERM and SIGINT, and then let the server's own handler do its part.

        A server waits for its requests before it ends the application, and a drain is a request: without this it
        would hear of the end only when it is over.
        """
        if threading.current_thread() is threading.main_thread():
            self._undo_signals = _on_signals(asyncio.get_running_loop(), self.stopping.set)

    async def close(self) -> None:
        """Stop drains, let work that is under way finish, and close the connections."""
        self.stopping.set()
        if self._at_work:
            await asyncio.wait(self._at_work)
        self._undo_signals()
        await self.outside.aclose()
        await self.database.aclose()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._at_work.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that a caller who hung up leaves no complaint of asyncio behind


def services_of(request: Request) -> Services:
    """The services of the application that serves `request`.

    `create_app` puts them there. A function that runs alone under functions-framework has an application of the
    framework's own: there they are built from the environment at the first request.

    Raises:
        SettingsError: the environment is not usable.
    """
    state = request.app.state
    if not hasattr(state, "services"):
        state.services = Services(Settings.from_environ(os.environ))
        state.services.stop_on_signals()
    return cast(Services, state.services)


def _on_signals(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> Callable[[], None]:
    """Put `act` before the present handlers of SIGTERM and SIGINT; the answer takes it out again."""
    earlier = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(act)
        then = earlier[signal.Signals(number)]
        if callable(then):
            then(number, frame)
        elif then is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def undo() -> None:
        for number, then in earlier.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, then)

    for number in earlier:
        signal.signal(number, handle)
    return undo
