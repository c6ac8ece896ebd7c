"""Proof 39, the gaps: while jobs move all the time, the connection is cut, stalled, pulled out and slowed at random.

No view ever goes back, none misses the end of a job, and after the gaps each shows what the database holds.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import pytest

from filaviva import FilaViva, Job, NotFound
from filaviva.live.table import LiveTable
from filaviva.live.view import LiveView
from tests.conftest import Database
from tests.e2e.proxy import Cable, cable_to
from tests.proofs.conftest import Proof, until
from tests.proofs.live_project import QUICK, live_project
from tests.proofs.mover import OPEN, Mover

TIMES = replace(QUICK, heartbeat_seconds=0.4, first_pause_seconds=0.02, last_pause_seconds=0.2)
RARELY = 60.0
"""Polls at this pace help nobody: what a gap hid must come with the next join."""
WINDOW, POSTS = 12, 200
"""How many of the newest a view shows: of all jobs, and of publications."""


async def test_thirty_cuts_hide_no_end_and_turn_nothing_back(
    database: Database, proof: Proof, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LiveTable, "_poll_pause", lambda _: RARELY)
    await campaign(database, proof, cuts=30)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["random cuts", "random cuts, polling rarely"])
async def test_two_hundred_cuts_hide_no_end_and_turn_nothing_back(
    database: Database, proof: Proof, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name != "random cuts":
        monkeypatch.setattr(LiveTable, "_poll_pause", lambda _: RARELY)
    await campaign(database, proof, cuts=200, name=name)


async def campaign(database: Database, proof: Proof, *, cuts: int, name: str = "random cuts, polling rarely") -> None:
    random.seed(proof.seed)  # the client's jitter
    async with AsyncExitStack() as stack:
        project = await stack.enter_async_context(live_project(database))
        cable = await stack.enter_async_context(cable_to(project.url))
        hand = await stack.enter_async_context(project.hand())
        user = project.user()
        mover = Mover(hand, user, random.Random(proof.seed))  # its own: both go the same way again with the same seed
        stack.callback(mover.stop)
        fila = await stack.enter_async_context(project.client(user, cable.url, realtime=TIMES))
        audience = await stack.enter_async_context(Audience(fila, mover))
        moving = asyncio.create_task(mover.run())
        slowest = 0.0
        for number in range(1, cuts + 1):
            await proof.random.choice(WAYS)(cable, proof.random)
            await asyncio.sleep(proof.random.uniform(0, 0.25))
            if number % 5 == 0:
                slowest = max(slowest, await audience.catches_up_with(await hand.rows(user)))
            if number % 50 == 0:
                await project.stop_realtime()
                await project.start_realtime()
        mover.stop()
        await moving
        await mover.finish()
        ends = await hand.rows(user)
        await audience.shows_exactly(ends)
        missed = await audience.missed_ends(ends)
    over = sum(status not in OPEN for _, status in ends.values())
    proof.record(
        39, name, target="0 missed terminal states and 0 backward steps in 200 random cuts",
        reached=f"{cuts} cuts, {mover.moves} moves of {len(ends)} jobs, {audience.seen} states seen: {missed} missed "
        f"terminal states of {over}, {len(audience.backward)} backward steps; behind by {slowest:.1f} s at most",
        cuts=cuts, jobs=len(ends), moves=mover.moves, ended=over, watches=len(audience.watches), states=audience.seen,
        missed=missed, backward=len(audience.backward), slowest_catch_up_seconds=round(slowest, 2),
    )  # fmt: skip
    assert over > cuts / 2, "jobs ended meanwhile"
    assert missed == 0
    assert not audience.backward, audience.backward[:3]


# The ways to lose a connection ------------------------------------------------------------------------


async def cut(cable: Cable, chance: random.Random) -> None:
    cable.cut()


async def cut_again_at_once(cable: Cable, chance: random.Random) -> None:
    for _ in range(chance.randint(2, 4)):
        cable.cut()
        await asyncio.sleep(chance.uniform(0, 0.05))


async def pull_out(cable: Cable, chance: random.Random) -> None:
    await cable.pull_out()
    await asyncio.sleep(chance.uniform(0, 0.4))
    await cable.plug_in()


async def stall(cable: Cable, chance: random.Random) -> None:
    """Everything is late, and nothing lost."""
    cable.stall()
    await asyncio.sleep(chance.uniform(0, 0.3))
    cable.flow()


async def half_open(cable: Cable, chance: random.Random) -> None:
    """Whoever waits for an answer does so in vain; what was held back is lost."""
    cable.stall()
    await asyncio.sleep(chance.uniform(0.2, 1.0))
    cable.cut()
    cable.flow()


async def slow_down(cable: Cable, chance: random.Random) -> None:
    cable.delay_seconds = chance.uniform(0.01, 0.1)
    await asyncio.sleep(chance.uniform(0, 0.3))
    if chance.random() < 0.5:
        cable.cut()
    cable.delay_seconds = 0.0


WAYS: list[Callable[[Cable, random.Random], Awaitable[None]]] = [
    cut, cut_again_at_once, pull_out, stall, half_open, slow_down
]  # fmt: skip


# Who looks ----------------------------------------------------------------------------------------------


class Audience:
    """Views of all sorts over one user's jobs, and what each has seen."""

    def __init__(self, fila: FilaViva, mover: Mover) -> None:
        self.watches: dict[str, asyncio.Task[tuple[int, str] | None]] = {}
        self.backward: list[str] = []
        self.seen = 0
        self._fila = fila
        self._everything = fila.live_jobs(limit=10_000)
        self._open = fila.live_jobs(status=OPEN, limit=10_000)
        self._window = fila.live_jobs(limit=WINDOW)
        self._posts = fila.publication_status()
        self._mover = mover
        self._views: list[LiveView[object]] = [self._everything, self._open, self._window, self._posts]  # type: ignore[list-item]
        self._stack = AsyncExitStack()
        self._looking: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Audience":
        for view in self._views:
            await self._stack.enter_async_context(view)
            self._looking.append(asyncio.create_task(self._look(view)))
        self._mover.on_enqueued = self._watch
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in [*self._looking, *self.watches.values()]:
            task.cancel()
        await asyncio.wait([*self._looking, *self.watches.values()])
        await self._stack.aclose()

    async def catches_up_with(self, rows: dict[str, tuple[int, str]], seconds: float = 20) -> float:
        """Wait until no job is older than in `rows`; how long that took."""
        began, find = time.monotonic(), self._everything.get
        await until(lambda: all((job := find(each)) and job.version >= rows[each][0] for each in rows), seconds)
        return time.monotonic() - began

    async def shows_exactly(self, rows: dict[str, tuple[int, str]]) -> None:
        """Wait until each view shows just what the database holds."""
        shown_by_window = {*self._mover.enqueued[-WINDOW:]}
        wanted = [
            rows,
            {job_id: row for job_id, row in rows.items() if row[1] in OPEN},
            {job_id: row for job_id, row in rows.items() if job_id in shown_by_window},
            {job_id: rows[job_id] for job_id in self._mover.posts[-POSTS:]},
        ]
        for view, expected in zip(self._views, wanted, strict=True):
            try:
                await until(partial(_is_live_with, view, expected))
            except TimeoutError:
                shown = _rows_of(view)
                differing = {key for key in shown.keys() | expected.keys() if shown.get(key) != expected.get(key)}
                raise AssertionError(f"{view}, live {view.is_live}: {differing} of {len(expected)} differ") from None

    async def missed_ends(self, rows: dict[str, tuple[int, str]]) -> int:
        """How many watches did not end with the end of their job."""
        over = {job_id: row for job_id, row in rows.items() if row[1] not in OPEN and job_id in self.watches}
        await asyncio.wait([self.watches[job_id] for job_id in over], timeout=20)
        watched = {job_id: self.watches[job_id] for job_id in over}
        return sum(not task.done() or task.result() != over[job_id] for job_id, task in watched.items())

    def _watch(self, job_id: str) -> None:
        self.watches[job_id] = asyncio.create_task(self._watch_to_the_end(job_id))

    async def _watch_to_the_end(self, job_id: str) -> tuple[int, str] | None:
        last: Job | None = None
        try:
            async for job in self._fila.watch(job_id):
                self._step(f"watch {job_id}", last, job)
                last = job
        except NotFound:
            self.backward.append(f"{job_id} was said not to be there")
        return None if last is None else (last.version, last.status)

    async def _look(self, view: LiveView[object]) -> None:
        known: dict[str, Job] = {}
        async for _ in view:
            for job in view.jobs:  # type: ignore[attr-defined]
                self._step(type(view).__name__, known.get(str(job.id)), job)
                known[str(job.id)] = job

    def _step(self, where: str, before: Job | None, now: Job) -> None:
        if before is None or now is before:
            return
        self.seen += 1
        if now.version < before.version or (before.status.is_final and not now.status.is_final):
            self.backward.append(f"{where}: {now.id} from {before.version} to {now.version}")


def _rows_of(view: object) -> dict[str, tuple[int, str]]:
    return {str(job.id): (job.version, str(job.status)) for job in view.jobs}  # type: ignore[attr-defined]


def _is_live_with(view: LiveView[object], expected: dict[str, tuple[int, str]]) -> bool:
    return view.is_live and _rows_of(view) == expected
