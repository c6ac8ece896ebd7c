"""A company at work, for the proofs of who hears of it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from filaviva import FilaViva
from filaviva.live.private_channel import Heard, PrivateChannel
from tests.conftest import Database
from tests.proofs.conftest import until
from tests.proofs.live_project import Hand, LiveProject, live_project


@dataclass
class Company:
    """Ana's company, in which Rui works, and what happens in it."""

    project: LiveProject
    hand: Hand
    ana: uuid.UUID
    rui: uuid.UUID
    id: str
    said: int = 0
    job_events: int = 0
    is_closed: bool = False

    @property
    def topics(self) -> tuple[str, str, str]:
        """The private topics on which its people talk."""
        return f"empresa:{self.id}", f"presence:{self.id}", f"atendente:{self.ana}"

    async def work(self, speaker: PrivateChannel, count: int) -> None:
        """Run jobs, say something, and so on, until `count` events have happened or `is_closed` is set."""
        while self.said + self.job_events < count and not self.is_closed:
            jobs = [{"company_id": self.id}] * 4
            for job_id in await self.hand.enqueue(self.ana, *jobs):
                claimed = await self.hand.claim(job_id)
                assert claimed is not None
                await self.hand.settle(claimed, "done")
            self.job_events += 3 * len(jobs)
            await asyncio.gather(*(speaker.send("said", {"n": self.said + n}) for n in range(8)))
            self.said += 8


@asynccontextmanager
async def a_company(database: Database) -> AsyncIterator[Company]:
    async with AsyncExitStack() as stack:
        project = await stack.enter_async_context(live_project(database))
        hand = await stack.enter_async_context(project.hand())
        ana, rui = project.users(2)
        yield Company(project, hand, ana, rui, project.company(ana, rui))


@asynccontextmanager
async def talking(
    speaking: FilaViva, hearing: FilaViva, topic: str, heard: Heard
) -> AsyncIterator[tuple[PrivateChannel, PrivateChannel]]:
    """A channel that speaks on `topic`, and one that hands `heard` what it hears; both are live."""
    speaker = PrivateChannel(speaking._live.rooms, topic)
    listener = PrivateChannel(hearing._live.rooms, topic, on_broadcast=heard)
    async with speaker, listener:
        await until(lambda: speaker.is_live and listener.is_live)
        yield speaker, listener
