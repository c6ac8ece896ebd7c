"""A double of the Threads API: what publishing a text, an image, a video or a carousel needs."""

from collections.abc import Mapping
from typing import Any

from devstack.providers.ledger import media_digest
from devstack.providers.meta.containers import ContainerDouble
from devstack.providers.meta.graph import GraphError, is_true
from devstack.providers.pull import PullError, pull

TEXT_LIMIT = 500
IMAGE_TYPES, VIDEO_TYPES = ("image/jpeg", "image/png"), ("video/mp4", "video/quicktime")
KINDS = {"TEXT": None, "IMAGE": "image_url", "VIDEO": "video_url", "CAROUSEL": None}
FIRST_EMOJI = 0x1F000
"""From here on a character is taken for an emoji, which counts as its bytes."""


class Threads(ContainerDouble):
    """The endpoints."""

    name = "threads"
    steps = ("container", "container_status", "threads_publish", "permalink", "publishing_limit")
    make_edge = "threads"
    publish_edge = "threads_publish"
    limit_edge = "threads_publishing_limit"
    most_children = 20

    @property
    def quota_total(self) -> int:
        """Posts an account may make in 24 hours."""
        return self.world.rules.threads_quota_total

    def check_text(self, parameters: Mapping[str, Any]) -> str:
        """The text; an item of a carousel has none."""
        text, kind = parameters.get("text", ""), parameters.get("media_type")
        if kind not in KINDS:
            raise GraphError(100, None, f"media_type must be one of {', '.join(KINDS)}")
        if not isinstance(text, str) or _length(text) > TEXT_LIMIT:
            raise GraphError(100, None, f"Param text must be at most {TEXT_LIMIT} characters long.")
        if kind == "TEXT" and not text:
            raise GraphError(100, None, "The parameter text is required.")
        if text and is_true(parameters.get("is_carousel_item")):
            raise GraphError(100, None, "The text belongs to the carousel, not to its items")
        return text

    async def pull_media(self, parameters: Mapping[str, Any]) -> str:
        """Fetch the image or video that the parameters name; of a text nothing."""
        kind = str(parameters["media_type"])
        source = KINDS[kind]
        given = [name for name in ("image_url", "video_url") if parameters.get(name)]
        if given != ([source] if source else []):
            raise GraphError(100, None, f"A container {kind} takes {source or 'neither image_url nor video_url'}")
        if source is None:
            return media_digest([])
        try:
            media = await pull(str(parameters[source]), self.world.tls)
        except PullError as failed:
            raise GraphError(9004, 2207052, f"The media could not be fetched from this URI: {failed}") from failed
        if media.content_type not in (IMAGE_TYPES if kind == "IMAGE" else VIDEO_TYPES):
            raise GraphError(100, None, f"The format is not supported: {media.content_type}")
        return media.sha256

    def describe(self, status: str) -> dict[str, str]:
        """A container's status in Threads' fields."""
        return {"status": status}

    def permalink_of(self, media_id: str) -> str:
        """The address of a post."""
        return f"https://www.threads.net/post/{media_id}"

    def unknown_container(self) -> GraphError:
        """The refusal of a container that is not there."""
        return GraphError(100, 33, "Unsupported get request. Object with this ID does not exist")


def _length(text: str) -> int:
    return sum(len(letter.encode()) if ord(letter) >= FIRST_EMOJI else 1 for letter in text)
