"""A view hands out the newest state to whoever looks, at each one's own speed."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from filaviva.errors import FilaVivaError, InvalidRequest, NotSignedIn, Unavailable
from filaviva.live.callback import OnChange
from filaviva.live.context import LiveContext
from filaviva.live.polled import PolledView
from filaviva.live.source import Source
from filaviva.live.view import LiveView
from filaviva.realtime.connection import Connection
from filaviva.rpc import Rpc


class Counter(Source):
    """A source that a test counts up."""

    def __init__(self) -> None:
        super().__init__()
        self.value = 0
        self.was_left = False

    async def run(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.was_left = True

    def set(self, value: int) -> None:
        self.value, self.is_loading = value, False
        self.notify()

    def fail(self, error: FilaVivaError | None, *, is_refused: bool = False) -> None:
        self.error, self.is_refused = error, is_refused
        self.notify()


class View(LiveView[int]):
    def __init__(self, context: LiveContext, on_change: OnChange[int] | None = None) -> None:
        self.counter = Counter()
        super().__init__(context, [self.counter], on_change)

    @property
    def current(self) -> int:
        return self.counter.value


@pytest.fixture
async def context() -> AsyncIterator[LiveContext]:
    url = "http://127.0.0.1:9"
    context = LiveContext(Rpc(url, "anon"), Connection(url, "anon"))
    yield context
    await context.close()
    await context.rpc.aclose()


async def test_a_slow_reader_gets_the_newest_state_and_no_backlog(context: LiveContext) -> None:
    async with View(context) as view:
        waiting = asyncio.create_task(view.loaded())
        for value in range(1, 100):
            view.counter.set(value)
        assert await waiting == 99
        seen = []
        async for value in view:
            seen.append(value)
            for later in range(value + 1, min(value + 10, 121)):
                view.counter.set(later)
            if value == 120:
                break
    assert seen == [99, 108, 117, 120]


async def test_several_loops_each_see_the_newest_state(context: LiveContext) -> None:
    async with View(context) as view:
        view.counter.set(1)
        loops = [aiter(view) for _ in range(3)]
        assert [await anext(loop) for loop in loops] == [1, 1, 1]
        view.counter.set(2)
        assert [await anext(loop) for loop in reversed(loops)] == [2, 2, 2]


async def test_nothing_is_shown_before_the_first_read(context: LiveContext) -> None:
    async with View(context) as view:
        view.counter.notify()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(view.loaded(), 0.05)
        assert view.is_loading


async def test_a_refusal_ends_a_loop_once_and_trouble_that_passes_does_not(context: LiveContext) -> None:
    async with View(context) as view:
        view.counter.set(1)
        view.counter.fail(Unavailable("away", code="x"))
        assert await anext(view) == 1
        assert str(view.error).startswith("away")
        view.counter.fail(NotSignedIn("expired", code="y"), is_refused=True)
        with pytest.raises(NotSignedIn):
            await anext(view)
        view.counter.fail(None)
        assert await anext(view) == 1
        assert view.error is None


async def test_leaving_leaves_the_sources_and_tells_whoever_waits(context: LiveContext) -> None:
    async with View(context) as view:
        await asyncio.sleep(0)
        waiting = asyncio.create_task(view.loaded())
        await asyncio.sleep(0)
    assert view.counter.was_left
    with pytest.raises(FilaVivaError, match="closed"):
        await waiting


async def test_closing_the_client_closes_its_views(context: LiveContext) -> None:
    async with View(context) as view:
        await asyncio.sleep(0)
        await context.close()
        assert view.counter.was_left
        with pytest.raises(FilaVivaError, match="closed"):
            await view.loaded()
    with pytest.raises(FilaVivaError, match="closed"):
        await View(context).__aenter__()


async def test_a_fault_of_a_source_is_shown_and_not_swallowed(context: LiveContext) -> None:
    view = View(context)

    async def fail() -> None:
        raise ValueError("a bug")

    view.counter.run = fail  # type: ignore[method-assign]
    async with view:
        with pytest.raises(FilaVivaError, match="a bug"):
            await view.loaded()


async def test_a_callback_gets_the_newest_state_one_call_at_a_time(context: LiveContext) -> None:
    seen: list[int] = []
    done = asyncio.Event()

    async def slow(value: int) -> None:
        seen.append(value)
        await asyncio.sleep(0.02)
        if value == 50:
            done.set()

    async with View(context, slow) as view:
        for value in range(1, 51):
            view.counter.set(value)
            await asyncio.sleep(0.001)
        await asyncio.wait_for(done.wait(), 5)
    assert seen == sorted(set(seen))
    assert len(seen) < 25


def sleeper(released: threading.Event) -> Callable[[int], object]:
    return lambda _value: released.wait(10)


async def test_a_callback_that_blocks_stops_neither_the_loop_nor_other_views(context: LiveContext) -> None:
    released = threading.Event()
    quick: asyncio.Queue[int] = asyncio.Queue()
    blocked = [View(context, sleeper(released)) for _ in range(40)]

    async def note(value: int) -> None:
        quick.put_nowait(value)

    async with View(context, note) as view:
        for one in blocked:
            await one.__aenter__()
            one.counter.set(1)
        await asyncio.sleep(0.05)
        began = time.monotonic()
        view.counter.set(7)
        assert await quick.get() == 7
        assert time.monotonic() - began < 1
        released.set()
        for one in blocked:
            await one.close()


async def test_a_callback_that_fails_is_logged_and_called_again(
    context: LiveContext, caplog: pytest.LogCaptureFixture
) -> None:
    called: asyncio.Queue[int] = asyncio.Queue()

    async def fail(value: int) -> None:
        called.put_nowait(value)
        raise ValueError("a bug of the application")

    async with View(context, fail) as view:
        for value in (1, 2):
            view.counter.set(value)
            assert await asyncio.wait_for(called.get(), 5) == value
    assert "a bug of the application" in caplog.text


def answers(*given: int | FilaVivaError) -> Callable[[], Awaitable[int]]:
    left = list(given)

    async def fetch() -> int:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, FilaVivaError):
            raise answer
        return answer

    return fetch


async def test_a_polled_view_shows_each_answer(context: LiveContext) -> None:
    async with PolledView(context, answers(1, 2, 3), 0.01) as view:
        while await anext(view) != 3:
            pass
        assert view.is_live


async def test_a_polled_view_keeps_its_answer_through_trouble_and_tells_of_it(context: LiveContext) -> None:
    async with PolledView(context, answers(1, Unavailable("away", code="x"), 2), 0.01) as view:
        assert await view.loaded() == 1
        while view.error is None:
            assert await anext(view) == 1
        view.refresh()
        while await anext(view) != 2:
            pass
        assert view.error is None


async def test_a_polled_view_that_is_refused_says_so(context: LiveContext) -> None:
    async with PolledView(context, answers(InvalidRequest("no such queue", code="x")), 10) as view:
        with pytest.raises(InvalidRequest):
            await view.loaded()
        with pytest.raises(RuntimeError, match="loaded"):
            _ = view.current


async def test_a_callback_may_close_its_own_view_and_goes_on(context: LiveContext) -> None:
    went_on = asyncio.Event()

    async def close(_: int) -> None:
        await view.close()
        went_on.set()

    async with View(context, close) as view:
        view.counter.set(1)
        async with asyncio.timeout(5):
            await went_on.wait()
        assert view.counter.was_left
