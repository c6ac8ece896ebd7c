"""The handler against the doubles: what it does with answers that take long, refuse, or never come."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from functions.handlers import publish_post as module
from functions.handlers.publish_post import find_post, publish_post
from functions.jobs.outcomes import Cancelled, Done, Reject, Retry, Snooze, Unconfirmed
from functions.platforms.calls import Timeouts
from functions.platforms.catalogue import build_platform
from functions.platforms.chunks import MIB
from functions.platforms.post import Platform
from functions.platforms.tiktok.adapter import TikTok, TikTokConfig
from functions.platforms.tiktok.chunks import ChunkRules
from functions.settings import Settings
from tests.functions.publishing import ACCOUNT, ProcessDied, RecordingLease, Stage, new_job, new_lease, open_stage, play

pytestmark = pytest.mark.asyncio(loop_scope="module")
shared = pytest_asyncio.fixture(scope="module", loop_scope="module")


@shared
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("media")) as stage:
        yield stage


def build_with_small_chunks(name: str, http: httpx.AsyncClient, settings: Settings) -> Platform:
    """TikTok's adapter with chunks that suit a test, and every other as it is."""
    if name != "tiktok":
        return build_platform(name, http, settings)
    chunks = ChunkRules(single_up_to=6 * MIB, chunk_size=5 * MIB)
    return TikTok(http, TikTokConfig(settings.tiktok_base_url, timeouts=Timeouts.of(settings), chunks=chunks))


@pytest_asyncio.fixture(loop_scope="module")
async def stage(servers: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    await servers.http.delete(f"{servers.providers}/_state")
    monkeypatch.setattr(module, "build_platform", build_with_small_chunks)
    return servers


@pytest.fixture
def lease() -> RecordingLease:
    return new_lease()


async def test_a_video_in_several_chunks_goes_out_once_even_when_the_worker_dies_before_the_last(
    stage: Stage, lease: RecordingLease
) -> None:
    lease.failing = ProcessDied()
    played = await play(stage, stage.payload("tiktok_video", "long.mp4"), lease)
    assert isinstance(played.last, Done), played.outcomes
    assert played.last.result["permalink"].startswith("https://www.")
    assert (played.count(Unconfirmed), len(lease.commits)) == (1, 1)
    assert len(await stage.ledger()) == 1


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


async def test_a_job_that_names_an_alias_is_published_by_the_option(stage: Stage, lease: RecordingLease) -> None:
    played = await play(stage, stage.payload("instagram_reel", "clip.mp4"), lease)
    assert isinstance(played.last, Done), played.outcomes
    assert played.last.result["option"] == "instagram_reels"


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


@pytest.mark.parametrize(("option", "mime"), [("tiktok_video", "video/mp4"), ("instagram_feed", "image/jpeg")])
async def test_media_that_is_gone_is_rejected_whether_we_or_the_platform_would_fetch_it(
    stage: Stage, lease: RecordingLease, option: str, mime: str
) -> None:
    file = {"name": "x", "size": 9, "type": mime, "url": f"{stage.media}/gone"}
    played = await play(stage, stage.payload(option, mediaFiles=[file]), lease)
    assert isinstance(played.last, Reject)
    assert played.last.error.code == "media_not_available"
    assert await stage.ledger() == []
