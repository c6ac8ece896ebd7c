"""The handler against the doubles: every step with every fault, and never more than one post a job."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
import structlog
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from devstack.providers.app import STEPS, make_providers
from devstack.providers.server import serving
from devstack.providers.world import token_for
from functions.handlers import publish_post as module
from functions.handlers.publish_post import PublishPost, find_post, publish_post
from functions.jobs.context import ClaimedJob, CommitRefused, Context
from functions.jobs.outcomes import (
    Cancelled,
    Done,
    JobError,
    JsonObject,
    Outcome,
    Reject,
    Retry,
    Snooze,
    Unconfirmed,
)
from functions.platforms.calls import Timeouts
from functions.platforms.chunks import MIB, ChunkRules
from functions.platforms.instagram import Instagram, InstagramConfig
from functions.platforms.post import Platform
from functions.platforms.tiktok import TikTok, TikTokConfig
from functions.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")
shared = pytest_asyncio.fixture(scope="module", loop_scope="module")

ACCOUNT = "17841400000000001"
FILES = {
    "clip.mp4": ("video/mp4", b"video" * 1000),
    "long.mp4": ("video/mp4", bytes(range(256)) * 45_000),
    "a.jpg": ("image/jpeg", b"image a"),
    "b.jpg": ("image/jpeg", b"image b"),
}
SHORT = Timeouts(connect=1, answer=0.25, upload=0.25)


class ProcessDied(BaseException):
    """Stands for kill -9: nothing of the worker runs after it."""


@dataclass
class RecordingLease:
    """The worker's side of a context: keeps what is committed, and can fail there."""

    account: JsonObject | None
    commits: list[JsonObject] = field(default_factory=list)
    failing: BaseException | None = None

    async def commit(self, checkpoint: JsonObject, *, reconcilable: bool) -> None:
        assert reconcilable
        if isinstance(self.failing, CommitRefused):
            raise self.failing
        self.commits.append(checkpoint)
        if self.failing:
            failing, self.failing = self.failing, None
            raise failing

    def note_progress(self, percent: float, note: str | None) -> None:
        assert 0 <= percent <= 100

    async def credentials(self, platform: str) -> JsonObject | None:
        return self.account


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
            "TIKTOK_BASE_URL": f"{self.providers}/tiktok",
            "INSTAGRAM_BASE_URL": f"{self.providers}/instagram",
        }
        log = structlog.stdlib.get_logger()
        return Context(self.http, Settings.from_environ(environ), log, 0.0, lease, reconcilable=True)


@shared
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("media")
    for name, (_, content) in FILES.items():
        (folder / name).write_bytes(content)
    media = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
    async with serving(make_providers()) as providers, serving(media) as files, httpx.AsyncClient() as http:
        yield Stage(providers, files, http)


def build_impatient(name: str, http: httpx.AsyncClient, settings: Settings) -> Platform:
    """The adapters with time limits and chunks that suit a test."""
    if name == "tiktok":
        chunks = ChunkRules(single_up_to=6 * MIB, chunk_size=5 * MIB)
        return TikTok(http, TikTokConfig(settings.tiktok_base_url, timeouts=SHORT, chunks=chunks))
    return Instagram(http, InstagramConfig(settings.instagram_base_url, "v26.0", timeouts=SHORT))


@pytest_asyncio.fixture(loop_scope="module")
async def stage(servers: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    await servers.http.delete(f"{servers.providers}/_state")
    monkeypatch.setattr(module, "build_platform", build_impatient)
    return servers


@pytest.fixture
def lease() -> RecordingLease:
    return RecordingLease({"external_id": ACCOUNT, "access_token": token_for(ACCOUNT)})


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


async def play(stage: Stage, payload: PublishPost, lease: RecordingLease) -> Played:
    """Run a job to its end, doing between runs what `settle_jobs` does with each outcome, without the waiting."""
    job, outcomes = new_job(), list[Outcome]()
    while len(outcomes) < 20:
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
            case Retry() if job.attempt < job.max_attempts:
                again = {"attempt": job.attempt + 1, "mode": "run", "committed": False, "checkpoint": None}
                job = job.model_copy(update=again)
            case Unconfirmed() if job.committed and job.mode == "run":
                job = job.model_copy(update={"mode": "reconcile"})
            case _:
                return Played(tuple(outcomes))
    raise AssertionError(f"the job does not end: {outcomes}")


OPTIONS = [
    ("tiktok_video", ("clip.mp4",)),
    ("tiktok_video", ("long.mp4",)),
    ("instagram_feed", ("a.jpg",)),
    ("instagram_feed", ("clip.mp4",)),
    ("instagram_feed", ("a.jpg", "b.jpg", "clip.mp4")),
]


@pytest.mark.parametrize(("option", "names"), OPTIONS)
async def test_a_post_goes_out_once_with_its_media_and_its_answer_is_kept(
    stage: Stage, lease: RecordingLease, option: str, names: tuple[str, ...]
) -> None:
    played = await play(stage, stage.payload(option, *names), lease)
    assert isinstance(played.last, Done)
    assert played.last.result["option"] == option
    assert played.last.result["permalink"].startswith("https://www.")
    assert played.last.result["platform_response"]
    assert played.count(Snooze) >= 1
    assert len(lease.commits) == 1

    [effect] = await stage.ledger()
    assert effect["key"] == f"{ACCOUNT}:caption of {option}"
    digests = [hashlib.sha256(FILES[name][1]).hexdigest() for name in names]
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    assert effect["body_sha256"] == whole


MODES = ("fail_before", "fail_after", "hang", "reset", "rate_limit")
FAULTS = [(provider, step, mode) for provider, steps in STEPS.items() for step in steps for mode in MODES]


@pytest.mark.parametrize(("provider", "step", "mode"), FAULTS)
async def test_one_fault_at_any_step_still_makes_exactly_one_post(
    stage: Stage, lease: RecordingLease, provider: str, step: str, mode: str
) -> None:
    option, name = ("tiktok_video", "clip.mp4") if provider == "tiktok" else ("instagram_feed", "a.jpg")
    await stage.order(provider, step, mode, seconds=5)
    played = await play(stage, stage.payload(option, name), lease)
    assert isinstance(played.last, Done), played.outcomes
    assert len(await stage.ledger()) == 1


@pytest.mark.parametrize(("option", "names"), OPTIONS)
async def test_a_worker_that_dies_right_after_the_commit_leaves_one_post(
    stage: Stage, lease: RecordingLease, option: str, names: tuple[str, ...]
) -> None:
    lease.failing = ProcessDied()
    played = await play(stage, stage.payload(option, *names), lease)
    assert isinstance(played.last, Done), played.outcomes
    assert played.count(Unconfirmed) == 1
    assert len(await stage.ledger()) == 1


@pytest.mark.parametrize(("option", "names"), OPTIONS)
async def test_nothing_is_published_when_the_commit_is_refused(
    stage: Stage, lease: RecordingLease, option: str, names: tuple[str, ...]
) -> None:
    lease.failing = CommitRefused("cancel_requested", "The owner has asked to cancel this job.")
    with pytest.raises(CommitRefused):
        await play(stage, stage.payload(option, *names), lease)
    assert await stage.ledger() == []


@pytest.mark.parametrize(("option", "step"), [("tiktok_video", "video_init"), ("instagram_feed", "container")])
async def test_a_platform_that_stays_broken_uses_up_the_attempts_and_publishes_nothing(
    stage: Stage, lease: RecordingLease, option: str, step: str
) -> None:
    await stage.order(option.partition("_")[0], step, "fail_before", times=100)
    played = await play(stage, stage.payload(option, "clip.mp4"), lease)
    assert played.count(Retry) == len(played.outcomes) == 3
    assert lease.commits == []
    assert await stage.ledger() == []


@pytest.mark.parametrize(("option", "step"), [("tiktok_video", "status_fetch"), ("instagram_feed", "container_status")])
async def test_a_platform_that_never_tells_ends_as_unconfirmed(
    stage: Stage, lease: RecordingLease, option: str, step: str
) -> None:
    payload = stage.payload(option, "clip.mp4")
    lease.failing = ProcessDied()
    with pytest.raises(ProcessDied):
        job = new_job()
        while isinstance(outcome := await publish_post(job, payload, stage.context(lease)), Snooze):
            job = new_job(checkpoint=outcome.checkpoint)
    await stage.order(option.partition("_")[0], step, "fail_before", times=100)
    checkpoint = lease.commits[0]
    early = await find_post(new_job(committed=True, checkpoint=checkpoint), payload, stage.context(lease))
    assert isinstance(early, Snooze)
    assert early.checkpoint == checkpoint | {"looks": 1}
    late = new_job(committed=True, checkpoint=checkpoint | {"looks": 1000})
    outcome = await find_post(late, payload, stage.context(lease))
    assert isinstance(outcome, Unconfirmed)
    assert outcome.error.code == "outcome_unknown"


async def test_a_wish_to_cancel_is_seen_before_the_commit(stage: Stage, lease: RecordingLease) -> None:
    context = stage.context(lease)
    context.cancelled.set()
    assert await publish_post(new_job(), stage.payload("tiktok_video", "clip.mp4"), context) == Cancelled()
    assert lease.commits == []


@pytest.mark.parametrize("option", ["tiktok_video", "instagram_feed"])
async def test_a_refused_token_asks_the_owner_to_connect_again(stage: Stage, option: str) -> None:
    lease = RecordingLease({"external_id": ACCOUNT, "access_token": "expired"})
    played = await play(stage, stage.payload(option, "clip.mp4"), lease)
    assert isinstance(played.last, Reject)
    assert played.last.error.code == "reconnect_required"
    assert "Bearer" not in str(played.last.error.to_json())


async def test_media_that_is_gone_is_rejected_by_either_platform(stage: Stage, lease: RecordingLease) -> None:
    def gone(option: str, name: str, mime: str) -> PublishPost:
        file = {"name": name, "size": 9, "type": mime, "url": f"{stage.media}/gone"}
        return stage.payload(option, mediaFiles=[file])

    tiktok = await play(stage, gone("tiktok_video", "x.mp4", "video/mp4"), lease)
    assert isinstance(tiktok.last, Reject)
    assert tiktok.last.error.code == "media_not_available"
    instagram = await play(stage, gone("instagram_feed", "x.jpg", "image/jpeg"), lease)
    assert isinstance(instagram.last, Retry)
    assert instagram.last.error.code == "graph_9004_2207052"
    assert await stage.ledger() == []
