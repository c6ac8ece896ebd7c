"""Facebook: posts, photos, videos, reels and stories of a page; each sort of post goes a way of its own."""

import time
from collections.abc import Callable
from typing import Protocol

import httpx

from functions.jobs.outcomes import JsonObject
from functions.platforms.answers import NotPublished, Pending, Published, Ready
from functions.platforms.calls import Timeouts
from functions.platforms.facebook.config import POLLING, FacebookConfig
from functions.platforms.facebook.errors import ERRORS
from functions.platforms.facebook.options import FACEBOOK_STORY
from functions.platforms.facebook.page_posts import PagePosts
from functions.platforms.facebook.stories import PhotoStories
from functions.platforms.facebook.videos import Videos
from functions.platforms.meta.graph import Graph
from functions.platforms.post import Account, Platform, Post
from functions.settings import Settings


class _Way(Protocol):
    """The steps of one sort of post."""

    async def prepare(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Ready | Pending: ...

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Pending | Published: ...

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished: ...


class Facebook:
    """The adapter of the options `facebook_…`."""

    name = "facebook"

    def __init__(
        self, http: httpx.AsyncClient, config: FacebookConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.polling = config.polling
        graph = Graph(http, ERRORS, config.timeouts, config.waits)
        self._page_posts = PagePosts(graph, config)
        self._photo_stories = PhotoStories(graph, config)
        self._videos = Videos(graph, config, clock)

    async def prepare(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Ready | Pending:
        """Upload what the post shows."""
        return await self._way(post).prepare(post, account, remote, looks)

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Pending | Published:
        """Make it public."""
        return await self._way(post).finish(post, account, remote)

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Find out what became of it."""
        return await self._way(post).poll(post, account, remote, looks)

    def _way(self, post: Post) -> _Way:
        if any(file.is_video for file in post.media):
            return self._videos
        return self._photo_stories if post.option == FACEBOOK_STORY.name else self._page_posts


def build(http: httpx.AsyncClient, settings: Settings) -> Platform:
    """The adapter with its configuration."""
    config = FacebookConfig(
        settings.facebook_base_url,
        settings.facebook_video_base_url,
        settings.facebook_api_version,
        timeouts=Timeouts.of(settings),
        polling=POLLING.scaled(settings.poll_scale),
    )
    return Facebook(http, config)
