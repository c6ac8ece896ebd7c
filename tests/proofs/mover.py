"""Moves one user's jobs along every way that jobs can go, at random and without a rest."""

import asyncio
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.proofs.live_project import Hand

OPEN = ("pending", "processing", "retrying")


@dataclass
class Mover:
    """Enqueues, runs, retries, snoozes, fails, cancels and completes; about a third of the jobs are publications."""

    hand: Hand
    user: uuid.UUID
    chance: random.Random
    enqueued: list[str] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)
    moves: int = 0
    on_enqueued: Callable[[str], None] = lambda _: None
    _waiting: list[str] = field(default_factory=list)
    _held: list[dict[str, Any]] = field(default_factory=list)
    _stopped: bool = False

    async def run(self, longest_pause: float = 0.04) -> None:
        """Move until `stop`; a move is never broken off, as that would cost the connection."""
        while not self._stopped:
            await self.step()
            await asyncio.sleep(self.chance.uniform(0, longest_pause))

    def stop(self) -> None:
        """Make no further move."""
        self._stopped = True

    async def step(self) -> None:
        """One move of one job."""
        self.moves += 1
        if not self._waiting or self.chance.random() < 0.15:
            await self._enqueue()
        elif self._held and self.chance.random() < 0.6:
            await self._work_on(self._held.pop(self.chance.randrange(len(self._held))))
        else:
            await self._take(self._waiting.pop(self.chance.randrange(len(self._waiting))))

    async def finish(self) -> None:
        """End what is under way; what waits goes on waiting."""
        for claimed in self._held:
            await self.hand.settle(claimed, "done")
        self._held.clear()

    async def _enqueue(self) -> None:
        kind = "publish_post" if self.chance.random() < 0.3 else "task"
        text = "x" * self.chance.choice((1, 9000))  # a long one is left out of the changes
        post = {"option": "tiktok_video", "platform": "tiktok", "content": {}, "text": text}
        [job_id] = await self.hand.enqueue(self.user, {"kind": kind, "payload": post})
        self._waiting.append(job_id)
        self.enqueued.append(job_id)
        if kind == "publish_post":
            self.posts.append(job_id)
        self.on_enqueued(job_id)

    async def _take(self, job_id: str) -> None:
        if self.chance.random() < 0.1:
            await self.hand.call("cancel_jobs", {"ids": [job_id]}, 1)
        elif claimed := await self.hand.claim(job_id):
            self._held.append(claimed)
        else:
            self._waiting.append(job_id)  # its queue runs no more at once

    async def _work_on(self, claimed: dict[str, Any]) -> None:
        what = self.chance.choice(("note", "note", "done", "done", "retry", "snooze", "reject"))
        if what == "note":
            await self.hand.note(claimed, str(self.moves))
            self._held.append(claimed)
            return
        error = {"error": {"code": "c", "message": "m"}} if what in ("retry", "reject") else {}
        again = {"after_seconds": 0} if what in ("retry", "snooze") else {}
        await self.hand.settle(claimed, what, **error, **again)
        if again:
            self._waiting.append(claimed["job_id"])
