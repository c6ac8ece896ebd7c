"""Uploads of many pieces over the doubles: a break in the middle is gone on from, and the post has every byte."""

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from functions.handlers import publish_post as handler
from functions.jobs.outcomes import Done, Retry, Snooze
from functions.platforms.calls import Timeouts
from functions.platforms.chunks import MIB
from functions.platforms.linkedin.adapter import LinkedIn, LinkedInConfig
from functions.platforms.post import Platform
from functions.platforms.tiktok.adapter import TikTok, TikTokConfig
from functions.platforms.tiktok.chunks import ChunkRules
from functions.platforms.x.adapter import X, XConfig
from functions.platforms.youtube.adapter import YouTube, YouTubeConfig
from functions.settings import Settings
from tests.functions.publishing import FILES, Stage, new_lease, open_stage, play

pytestmark = pytest.mark.asyncio(loop_scope="module")
shared = pytest_asyncio.fixture(scope="module", loop_scope="module")

CHUNK = 5 * MIB
"""`long.mp4` has eleven million bytes."""


def _tiktok(http: httpx.AsyncClient, settings: Settings, timeouts: Timeouts, run: float) -> Platform:
    chunks = ChunkRules(single_up_to=CHUNK, chunk_size=CHUNK)
    return TikTok(http, TikTokConfig(settings.tiktok_base_url, timeouts=timeouts, chunks=chunks, run_seconds=run))


def _youtube(http: httpx.AsyncClient, settings: Settings, timeouts: Timeouts, run: float) -> Platform:
    config = YouTubeConfig(settings.youtube_base_url, timeouts=timeouts, chunk_bytes=CHUNK, run_seconds=run)
    return YouTube(http, config)


def _x(http: httpx.AsyncClient, settings: Settings, timeouts: Timeouts, run: float) -> Platform:
    return X(http, XConfig(settings.x_base_url, timeouts=timeouts, segment_bytes=3 * MIB, run_seconds=run))


def _linkedin(http: httpx.AsyncClient, settings: Settings, timeouts: Timeouts, run: float) -> Platform:
    return LinkedIn(http, LinkedInConfig(settings.linkedin_base_url, "202607", timeouts=timeouts, run_seconds=run))


BUILDERS: dict[str, Callable[..., Platform]] = {"tiktok": _tiktok, "youtube": _youtube, "x": _x, "linkedin": _linkedin}
CASES = [
    ("tiktok_video", "upload", {"privacy": "SELF_ONLY"}),
    ("youtube_video", "upload", {}),
    ("x_post", "media_append", {}),
    ("linkedin_video", "upload", {}),
]
DIGEST = hashlib.sha256(FILES["long.mp4"][1]).hexdigest()


@shared
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("media")) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(opened: Stage) -> Stage:
    await opened.http.delete(f"{opened.providers}/_state")
    return opened


def use(monkeypatch: pytest.MonkeyPatch, *, answer: float = 5, run: float = 60) -> None:
    """Give the handler adapters that cut small."""

    def build(name: str, http: httpx.AsyncClient, settings: Settings) -> Platform:
        return BUILDERS[name](http, settings, Timeouts(connect=1, answer=answer, upload=answer), run)

    monkeypatch.setattr(handler, "build_platform", build)


@pytest.mark.parametrize("mode", ["fail_before", "fail_after", "hang", "reset"])
@pytest.mark.parametrize(("option", "step", "settings"), CASES)
async def test_an_upload_that_breaks_in_the_middle_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, option: str, step: str, settings: dict[str, Any], mode: str
) -> None:
    hangs = mode == "hang"
    use(monkeypatch, answer=1 if hangs else 5)
    await stage.order(option.partition("_")[0], step, mode, times=1 if hangs else 2, seconds=30)
    played = await play(stage, stage.payload(option, "long.mp4", settings=settings), new_lease())
    assert isinstance(played.last, Done), played.outcomes
    assert played.count(Retry) == 0
    assert played.count(Snooze) >= 2
    assert [effect["body_sha256"] for effect in await stage.ledger()] == [DIGEST]


@pytest.mark.parametrize(("option", "step", "settings"), CASES)
async def test_an_upload_that_takes_longer_than_a_run_is_spread_over_several(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, option: str, step: str, settings: dict[str, Any]
) -> None:
    use(monkeypatch, run=0.000_001)
    played = await play(stage, stage.payload(option, "long.mp4", settings=settings), new_lease())
    assert isinstance(played.last, Done), played.outcomes
    assert [effect["body_sha256"] for effect in await stage.ledger()] == [DIGEST]
