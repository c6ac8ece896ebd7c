"""Threads: a text, an image, a video or a carousel, published through containers."""

import httpx

from functions.jobs.outcomes import JsonObject
from functions.platforms.answers import Permanent, TryAgain
from functions.platforms.calls import Reply, Timeouts, without_none
from functions.platforms.meta.containers import POLLING, ContainerConfig, ContainerPlatform, ContainerStatus
from functions.platforms.post import MediaFile, Platform, Post
from functions.platforms.threads.errors import ERRORS, GONE, failure_of_container
from functions.platforms.threads.options import ThreadsSettings
from functions.settings import Settings


class Threads(ContainerPlatform):
    """The adapter of the options `threads_…`."""

    name = "threads"
    errors = ERRORS
    gone = GONE
    make_edge = "threads"
    publish_edge = "threads_publish"
    limit_edge = "threads_publishing_limit"
    limit_fields = "config,quota_usage"
    status_fields = "status,error_message"
    takes_forms = True

    def item(self, file: MediaFile) -> JsonObject:
        """The parameters of an item of a carousel; the text belongs to the whole."""
        return {"is_carousel_item": "true", **_source(file)}

    def container(self, post: Post, children: tuple[str, ...]) -> JsonObject:
        """The parameters of the post's own container."""
        settings = ThreadsSettings.model_validate(post.settings)
        common = without_none(
            text=post.caption or None, reply_control=settings.reply_control, topic_tag=settings.topic_tag
        )
        if children:
            return {"media_type": "CAROUSEL", "children": ",".join(children), **common}
        if not post.media:
            return {"media_type": "TEXT", **common}
        [file] = post.media
        return {**_source(file), **common}

    def read_status(self, reply: Reply) -> ContainerStatus:
        """The status in an answer."""
        return ContainerStatus(str(reply.body.get("status", "")), str(reply.body.get("error_message") or ""), reply)

    def failure_of(self, status: ContainerStatus) -> TryAgain | Permanent:
        """The class of a container that ended as ERROR or EXPIRED."""
        return failure_of_container(status.code, status.text, status.reply)


def build(http: httpx.AsyncClient, settings: Settings) -> Platform:
    """The adapter with its configuration."""
    config = ContainerConfig(
        settings.threads_base_url,
        settings.threads_api_version,
        timeouts=Timeouts.of(settings),
        polling=POLLING.scaled(settings.poll_scale),
    )
    return Threads(http, config)


def _source(file: MediaFile) -> JsonObject:
    if file.is_video:
        return {"media_type": "VIDEO", "video_url": file.url}
    return {"media_type": "IMAGE", "image_url": file.url}
