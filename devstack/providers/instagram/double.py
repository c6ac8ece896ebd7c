"""A double of Instagram's part of the Graph API: what publishing an image, a reel, a carousel or a story needs."""

from collections.abc import Mapping
from typing import Any

from devstack.providers.meta.containers import ContainerDouble
from devstack.providers.meta.graph import GraphError, is_true
from devstack.providers.pull import PullError, pull

CAPTION_LIMIT = 2200
IMAGE_TYPES, VIDEO_TYPES = ("image/jpeg",), ("video/mp4", "video/quicktime")
IMAGE_LIMIT_BYTES = 8 * 1024 * 1024
STORY_LIMIT_BYTES, REEL_LIMIT_BYTES = 100_000_000, 300_000_000


class Instagram(ContainerDouble):
    """The endpoints."""

    name = "instagram"
    steps = ("container", "container_status", "media_publish", "permalink", "publishing_limit")
    make_edge = "media"
    publish_edge = "media_publish"
    limit_edge = "content_publishing_limit"
    most_children = 10

    @property
    def quota_total(self) -> int:
        """Posts an account may make in 24 hours."""
        return self.world.rules.instagram_quota_total

    def check_text(self, parameters: Mapping[str, Any]) -> str:
        """The caption; an item of a carousel has none, and a story shows none."""
        caption = parameters.get("caption", "")
        if not isinstance(caption, str) or len(caption) > CAPTION_LIMIT:
            raise GraphError(36004, 2207010, f"The caption must be text of at most {CAPTION_LIMIT} characters")
        if caption and is_true(parameters.get("is_carousel_item")):
            raise GraphError(100, None, "The caption belongs to the carousel, not to its items")
        return "" if parameters.get("media_type") == "STORIES" else caption

    async def pull_media(self, parameters: Mapping[str, Any]) -> str:
        """Fetch the one image or video that the parameters name."""
        kind, video, image = (parameters.get(name) for name in ("media_type", "video_url", "image_url"))
        _check_kind(kind, video, image, is_child=is_true(parameters.get("is_carousel_item")))
        try:
            media = await pull(str(video or image), self.world.tls)
        except PullError as failed:
            raise GraphError(9004, 2207052, f"The media could not be fetched from this URI: {failed}") from failed
        if video and media.content_type not in VIDEO_TYPES:
            raise GraphError(352, 2207026, f"The video format is not supported: {media.content_type}")
        if image and media.content_type not in IMAGE_TYPES:
            raise GraphError(36001, 2207005, f"The image format is not supported: {media.content_type}")
        video_limit = STORY_LIMIT_BYTES if kind == "STORIES" else REEL_LIMIT_BYTES
        if media.size > (video_limit if video else IMAGE_LIMIT_BYTES):
            raise GraphError(36000, 2207004, "The media is too large")
        return media.sha256

    def describe(self, status: str) -> dict[str, str]:
        """A container's status in Instagram's fields."""
        return {"status_code": status, "status": status.capitalize()}

    def permalink_of(self, media_id: str) -> str:
        """The address of a post."""
        return f"https://www.instagram.com/p/{media_id}/"

    def unknown_container(self) -> GraphError:
        """The refusal of a container that is not there."""
        return GraphError(24, 2207006, "The requested resource does not exist")


def _check_kind(kind: object, video: object, image: object, *, is_child: bool) -> None:
    """Whether this kind of container takes this sort of media."""
    if kind not in (None, "IMAGE", "VIDEO", "REELS", "STORIES"):
        raise GraphError(100, 2207023, f"The media type {kind} is not known")
    if kind == "VIDEO" and not is_child:
        raise GraphError(100, 2207023, "The media type VIDEO is no longer supported. Use REELS")
    if bool(video) == bool(image) or (kind == "REELS" and not video):
        raise GraphError(100, None, "Give image_url, or video_url with media_type REELS")
    if video and kind not in ("REELS", "STORIES", "VIDEO"):
        raise GraphError(100, 2207023, "A video needs the media type REELS or STORIES, or VIDEO in a carousel")
