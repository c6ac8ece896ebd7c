"""TikTok: videos and photos, posted directly or left as drafts. Videos go up in chunks; photos are pulled."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from functions.jobs.outcomes import JsonObject
from functions.platforms.answers import NotPublished, Pending, Published, Ready
from functions.platforms.calls import Timeouts
from functions.platforms.post import Account, Platform, PollPlan, Post
from functions.platforms.tiktok.calls import Api
from functions.platforms.tiktok.chunks import ChunkRules
from functions.platforms.tiktok.photos import Photos
from functions.platforms.tiktok.videos import UploadRules, Videos
from functions.settings import Settings

PHOTO_OPTIONS = ("tiktok_photo", "tiktok_photo_draft")

POLLING = PollPlan(delays_seconds=(5, 10, 20, 30), most_looks=150)
"""Moderation usually takes less than a minute; these looks cover the hour of an upload, and what comes after it."""


@dataclass(frozen=True, slots=True)
class TikTokConfig:
    """Where TikTok is, and its numbers."""

    base_url: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    chunks: ChunkRules = field(default_factory=ChunkRules)
    polling: PollPlan = POLLING
    upload_url_seconds: float = 3600
    """An upload address is valid for an hour."""
    upload_lag_seconds: float = 600
    """TikTok's count of the bytes that are in may lie so far behind."""
    most_sends: int = 4
    """How often the last chunk is sent to one upload."""
    run_seconds: float = 180
    """How long one run uploads before it hands over to the next, below the time limit of the kind."""
    most_failures: int = 8
    """Passing failures in a row that an upload bears."""
    rate_limit_seconds: float = 60
    """The limits count over a sliding minute."""
    quota_seconds: float = 86_400
    """The caps on posts count over 24 hours."""


class TikTok:
    """The adapter of TikTok's options."""

    name = "tiktok"

    def __init__(self, http: httpx.AsyncClient, config: TikTokConfig, clock: Callable[[], float] = time.time) -> None:
        self.polling = config.polling
        api = Api(http, config.base_url, config.timeouts, config.rate_limit_seconds, config.quota_seconds)
        rules = UploadRules(
            chunks=config.chunks,
            url_seconds=config.upload_url_seconds,
            lag_seconds=config.upload_lag_seconds,
            most_sends=config.most_sends,
            run_seconds=config.run_seconds,
            most_failures=config.most_failures,
        )
        self.photos = Photos(api, config.polling)
        self.videos = Videos(api, config.polling, rules, clock)

    async def prepare(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Ready | Pending:
        """Send all of a video but its last chunk; of photos, make sure that they can be pulled."""
        if post.option in PHOTO_OPTIONS:
            return await self.photos.prepare(post, account)
        return await self.videos.prepare(post, account, remote)

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Pending:
        """Send the last chunk of a video, or tell TikTok to pull the photos."""
        if post.option in PHOTO_OPTIONS:
            return await self.photos.finish(post, account, remote)
        return await self.videos.finish(post, remote)

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Ask for the post's status."""
        steps = self.photos if post.option in PHOTO_OPTIONS else self.videos
        return await steps.poll(post, account, remote, looks)


def build(http: httpx.AsyncClient, settings: Settings) -> Platform:
    """The adapter with its configuration."""
    polling = POLLING.scaled(settings.poll_scale)
    config = TikTokConfig(settings.tiktok_base_url, timeouts=Timeouts.of(settings), polling=polling)
    return TikTok(http, config)
