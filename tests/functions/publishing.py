"""Running the handler of publications against the doubles, as a drain would, without a queue."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx
import structlog
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from devstack.providers.app import STEPS, make_providers
from devstack.providers.server import serving
from devstack.providers.world import token_for
from functions.handlers.publish_post import PublishPost, find_post, publish_post
from functions.jobs.accounts import RefreshRight
from functions.jobs.context import ClaimedJob, CommitRefused, Context
from functions.jobs.outcomes import Hold, JobError, JsonObject, Outcome, Retry, Snooze, Unconfirmed
from functions.settings import Settings

ACCOUNT = "17841400000000001"
FILES = {
    "clip.mp4": ("video/mp4", b"video" * 1000),
    "long.mp4": ("video/mp4", bytes(range(256)) * 45_000),
    "a.jpg": ("image/jpeg", b"image a"),
    "b.jpg": ("image/jpeg", b"image b"),
    "pages.pdf": ("application/pdf", b"%PDF pages"),
}


class ProcessDied(BaseException):
    """Stands for kill -9: nothing of the worker runs after it."""


@dataclass
class RecordingLease:
    """The worker's side of a context: keeps what is committed, and can fail there."""

    account: JsonObject | None
    commits: list[JsonObject] = field(default_factory=list)
    failing: BaseException | None = None
    dead_tokens: list[str] = field(default_factory=list)
    """Why a token was said to be accepted no longer."""
    committed: Callable[[], Awaitable[None]] | None = None
    """What happens directly after the commit, before the call that publishes."""

    async def commit(self, checkpoint: JsonObject, *, reconcilable: bool) -> None:
        assert reconcilable
        if isinstance(self.failing, CommitRefused):
            raise self.failing
        self.commits.append(checkpoint)
        if self.committed:
            await self.committed()
        if self.failing:
            failing, self.failing = self.failing, None
            raise failing

    def note_progress(self, percent: float, note: str | None) -> None:
        assert 0 <= percent <= 100

    async def credentials(self, platform: str) -> JsonObject | None:
        if self.account is None:
            return None
        return {"account_id": str(UUID(int=7)), "token_version": 1, "status": "connected", **self.account}

    @property
    def accounts(self) -> "RecordingLease":
        return self

    async def begin_refresh(self, account_id: UUID, token_version: int, lease_seconds: int) -> RefreshRight:
        return RefreshRight(state="reconnect")

    async def store_refreshed(
        self, account_id: UUID, fence: int, secrets: JsonObject, expires_at: datetime | None
    ) -> JsonObject | None:
        return None

    async def abandon_refresh(self, account_id: UUID, fence: int) -> None:
        pass

    async def mark_reconnect(self, account_id: UUID, token_version: int, reason: str) -> None:
        self.dead_tokens.append(reason)


@dataclass
class Stage:
    """The doubles, the media, and a client."""

    providers: str
    media: str
    http: httpx.AsyncClient

    async def ledger(self) -> list[dict[str, str]]:
        effects: list[dict[str, str]] = (await self.http.get(f"{self.providers}/_ledger")).json()
        return effects

    async def order(self, provider: str, step: str, mode: str, **rest: Any) -> None:
        fault = {"provider": provider, "step": step, "mode": mode, **rest}
        (await self.http.put(f"{self.providers}/_faults", json=fault)).raise_for_status()

    def payload(self, option: str, *names: str, **changes: Any) -> PublishPost:
        """A post by `option` of some of `FILES`; `changes` are parts of its content."""
        files = [
            {"name": name, "size": len(FILES[name][1]), "type": FILES[name][0], "url": f"{self.media}/{name}"}
            for name in names
        ]
        settings = {"privacy": "SELF_ONLY"} if option == "tiktok_video" else {}
        content = {"mediaFiles": files, "caption": f"caption of {option}", "settings": settings} | changes
        return PublishPost.model_validate({"option": option, "platform": option.partition("_")[0], "content": content})

    def context(self, lease: RecordingLease) -> Context:
        environ = {
            "SUPABASE_URL": "http://127.0.0.1:54321",
            "SUPABASE_ANON_KEY": "anon",
            "SUPABASE_SERVICE_ROLE_KEY": "service",
            "CRON_SECRET": "secret",
            "MEDIA_ALLOWED_HOSTS": "127.0.0.1",
            "FILAVIVA_PLATFORM_CONNECT_SECONDS": "1",
            "FILAVIVA_PLATFORM_ANSWER_SECONDS": "0.25",
            "FILAVIVA_PLATFORM_UPLOAD_SECONDS": "0.25",
            "FACEBOOK_VIDEO_BASE_URL": f"{self.providers}/facebook",
            **{f"{name.upper()}_BASE_URL": f"{self.providers}/{name}" for name in STEPS},
        }
        log = structlog.stdlib.get_logger()
        return Context(self.http, Settings.from_environ(environ), log, 0.0, lease, reconcilable=True)


@asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    """The doubles and a server of `FILES`, for a module."""
    for name, (_, content) in FILES.items():
        (folder / name).write_bytes(content)
    media = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
    async with serving(make_providers()) as providers, serving(media) as files, httpx.AsyncClient() as http:
        yield Stage(providers, files, http)


def new_lease(kind: str = "", extra: JsonObject | None = None) -> RecordingLease:
    """The lease of a job whose owner has connected an account that the doubles know."""
    account = {"external_id": ACCOUNT, "access_token": token_for(ACCOUNT), "kind": kind, "extra": extra or {}}
    return RecordingLease(account)


@dataclass(frozen=True)
class Played:
    """How a job ended, and each outcome on the way."""

    outcomes: tuple[Outcome, ...]

    @property
    def last(self) -> Outcome:
        return self.outcomes[-1]

    def count(self, kind: type[Any]) -> int:
        return sum(isinstance(outcome, kind) for outcome in self.outcomes)


def new_job(mode: Literal["run", "reconcile"] = "run", **changes: Any) -> ClaimedJob:
    now = datetime.now(UTC)
    job = ClaimedJob(
        job_id=uuid4(),
        claim_id=1,
        mode=mode,
        attempt=1,
        max_attempts=3,
        queue="publication_queue",
        kind="publish_post",
        payload={},
        metadata={},
        timeout_seconds=60,
        lease_seconds=30,
        lease_expires_at=now,
        created_at=now,
    )
    return job.model_copy(update=changes)


async def play(stage: Stage, payload: PublishPost, lease: RecordingLease, most_runs: int = 20) -> Played:
    """Run a job to its end, doing between runs what `settle_jobs` does with each outcome, without the waiting."""
    job, outcomes = new_job(), list[Outcome]()
    while len(outcomes) < most_runs:
        run = find_post if job.mode == "reconcile" else publish_post
        commits = len(lease.commits)
        try:
            outcome = await run(job, payload, stage.context(lease))
        except ProcessDied:
            outcome = Unconfirmed(JobError("worker_lost", "The worker was lost."))
        if len(lease.commits) > commits:
            job = job.model_copy(update={"committed": True, "checkpoint": lease.commits[-1]})
        outcomes.append(outcome)
        match outcome:
            case Snooze(_, checkpoint):
                job = job.model_copy(update={"checkpoint": checkpoint or job.checkpoint})
            case Hold(_, _, _, checkpoint):
                kept = {"checkpoint": job.checkpoint if checkpoint is None else checkpoint}
                job = job.model_copy(update=kept | {"mode": "run", "committed": False})
            case Retry() if job.attempt < job.max_attempts:
                again = {"attempt": job.attempt + 1, "mode": "run", "committed": False, "checkpoint": None}
                job = job.model_copy(update=again)
            case Unconfirmed() if job.committed and job.mode == "run":
                job = job.model_copy(update={"mode": "reconcile"})
            case _:
                return Played(tuple(outcomes))
    raise AssertionError(f"the job does not end: {outcomes}")
