"""Many clients of one project, for the proofs of how they come back together."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import cache

import httpx
import pytest

from filaviva import FilaVivaError, JobStatus
from filaviva.live.jobs import LiveJobs
from filaviva.realtime.connection import Connection
from filaviva.realtime.feed import Change, Feeds
from filaviva.realtime.settings import RealtimeSettings
from tests.conftest import Database
from tests.e2e.proxy import Cable, cable_to
from tests.proofs.conftest import until
from tests.proofs.live_project import Hand, LiveProject, live_project

AT_ONCE = 20
"""How many clients may be on their way in, when it is not their coming that is looked at."""


class Ear:
    """Follows a user's jobs as a view does, without reading any."""

    is_live = False

    def joined(self) -> None:
        self.is_live = True

    def lost(self) -> None:
        self.is_live = False

    def refused(self, error: FilaVivaError) -> None:
        """It is tried again."""

    def renewed(self) -> None:
        """Nothing to read."""

    def changed(self, change: Change) -> None:
        """Nothing to show."""


class Crowd:
    """Clients behind one cable, each with a user of its own who has one job; most look at it, others only listen."""

    def __init__(self, project: LiveProject, cable: Cable, hand: Hand) -> None:
        self.project = project
        self.cable = cable
        self.hand = hand
        self.views: list[LiveJobs] = []
        self.ears: list[Ear] = []

    async def come(self, stack: AsyncExitStack, count: int, times: RealtimeSettings, *, views: int) -> None:
        """Let everybody in, and wait until all are live; `views` of them have a view, the others a connection alone."""
        users = self.project.users(count)
        await self.hand.call("enqueue_jobs", [{"kind": "task", "user_id": str(user)} for user in users[:views]])
        for number, user in enumerate(users):
            if number < views:
                fila = await stack.enter_async_context(self.project.client(user, self.cable.url, realtime=times))
                self.views.append(await stack.enter_async_context(fila.live_jobs()))
            else:
                await self._listen(stack, user, times)
            await until(lambda number=number: number - self.live() < AT_ONCE, 60)  # type: ignore[misc]
        await self.becomes(lambda: self.live() == count and all(len(view.jobs) == 1 for view in self.views))

    async def _listen(self, stack: AsyncExitStack, user: uuid.UUID, times: RealtimeSettings) -> None:
        project, ear = self.project, Ear()
        connection = Connection(self.cable.url, project.keys.anon_key, project.token(user), settings=times)
        stack.push_async_callback(connection.close)
        Feeds(connection).follow(ear, "jobs", f"user_id=eq.{user}")
        self.ears.append(ear)

    async def becomes(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for something that many have to do; asked seldom, since looking at all of them is work too."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - each client has events of its own
                await asyncio.sleep(0.1)

    def live(self) -> int:
        """How many are live."""
        return sum(view.is_live for view in self.views) + sum(ear.is_live for ear in self.ears)

    async def finish_jobs(self) -> None:
        """Complete what everybody looks at."""
        claimed = await self.hand.call("claim_jobs", "work", len(self.views), "w", uuid.uuid4())
        assert len(claimed["jobs"]) == len(self.views)
        done = [{"job_id": job["job_id"], "claim_id": job["claim_id"], "outcome": "done"} for job in claimed["jobs"]]
        await self.hand.call("settle_jobs", done)

    def missed(self) -> int:
        """How many do not show that their job is over."""
        return sum([job.status for job in view.jobs] != [JobStatus.COMPLETED] for view in self.views)


@contextlib.asynccontextmanager
async def crowd_of(
    database: Database, count: int, times: RealtimeSettings, *, views: int | None = None
) -> AsyncIterator[Crowd]:
    async with AsyncExitStack() as stack:
        project = await stack.enter_async_context(live_project(database))
        cable = await stack.enter_async_context(cable_to(project.url))
        hand = await stack.enter_async_context(project.hand())
        # What TLS needs, and nobody speaks here, takes 25 ms and a megabyte a client.
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        monkeypatch.setattr(httpx._transports.default, "create_ssl_context", cache(httpx.create_ssl_context))
        crowd = Crowd(project, cable, hand)
        await crowd.come(stack, count, times, views=count if views is None else views)
        yield crowd
