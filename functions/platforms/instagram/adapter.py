"""Instagram: an image, a reel, a carousel or a story, published through containers."""

from dataclasses import dataclass

import httpx

from functions.jobs.outcomes import JsonObject
from functions.platforms.answers import Permanent, TryAgain
from functions.platforms.calls import Reply, Timeouts, without_none
from functions.platforms.instagram.errors import ERRORS, GONE, failure_of_container
from functions.platforms.instagram.options import INSTAGRAM_STORY, InstagramReelsSettings, InstagramSettings
from functions.platforms.meta.containers import POLLING, ContainerConfig, ContainerPlatform, ContainerStatus
from functions.platforms.post import Account, MediaFile, Platform, Post
from functions.settings import Settings

INSTAGRAM_LOGIN = "instagram_login"
"""The kind of an account that signed in with Instagram itself, not through a page of Facebook."""


@dataclass(frozen=True, slots=True)
class InstagramConfig(ContainerConfig):
    """The same, and where accounts that signed in with Instagram itself are served."""

    login_base_url: str = "https://graph.instagram.com"


class Instagram(ContainerPlatform):
    """The adapter of the options `instagram_…`."""

    name = "instagram"
    errors = ERRORS
    gone = GONE
    make_edge = "media"
    publish_edge = "media_publish"
    limit_edge = "content_publishing_limit"
    limit_fields = "config,quota_usage"
    status_fields = "status_code,status"

    def __init__(self, http: httpx.AsyncClient, config: InstagramConfig) -> None:
        super().__init__(http, config)
        self.login_base_url = config.login_base_url

    def root(self, account: Account) -> str:
        """The address of the API for this account, with its version."""
        base = self.login_base_url if account.kind == INSTAGRAM_LOGIN else self.config.base_url
        return f"{base}/{self.config.api_version}"

    def item(self, file: MediaFile) -> JsonObject:
        """The parameters of an item of a carousel; the caption belongs to the whole."""
        if file.is_video:
            return {"is_carousel_item": True, "media_type": "VIDEO", "video_url": file.url}
        return {"is_carousel_item": True, "image_url": file.url}

    def container(self, post: Post, children: tuple[str, ...]) -> JsonObject:
        """The parameters of the post's own container."""
        labels = InstagramSettings.model_validate({"aiGenerated": post.settings.get("aiGenerated")})
        common = without_none(caption=post.caption or None, is_ai_generated=labels.ai_generated)
        if children:
            return {"media_type": "CAROUSEL", "children": ",".join(children), **common}
        [file] = post.media
        if post.option == INSTAGRAM_STORY.name:
            return {"media_type": "STORIES", **_source(file), **without_none(is_ai_generated=labels.ai_generated)}
        if not file.is_video:
            return {**_source(file), **common}
        settings = InstagramReelsSettings.model_validate(post.settings)
        reel = without_none(share_to_feed=settings.share_to_feed, thumb_offset=settings.cover_timestamp_ms)
        return {"media_type": "REELS", **_source(file), **reel, **common}

    def read_status(self, reply: Reply) -> ContainerStatus:
        """The status in an answer."""
        return ContainerStatus(str(reply.body.get("status_code", "")), str(reply.body.get("status", "")), reply)

    def failure_of(self, status: ContainerStatus) -> TryAgain | Permanent:
        """The class of a container that ended as ERROR or EXPIRED."""
        return failure_of_container(status.code, status.text, status.reply)


def build(http: httpx.AsyncClient, settings: Settings) -> Platform:
    """The adapter with its configuration."""
    config = InstagramConfig(
        settings.instagram_base_url,
        settings.instagram_api_version,
        timeouts=Timeouts.of(settings),
        polling=POLLING.scaled(settings.poll_scale),
        login_base_url=settings.instagram_login_base_url,
    )
    return Instagram(http, config)


def _source(file: MediaFile) -> JsonObject:
    return {"video_url" if file.is_video else "image_url": file.url}
