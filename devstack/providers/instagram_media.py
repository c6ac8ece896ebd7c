"""The Instagram double's containers, and its rules for captions, children and media."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devstack.providers.pull import PullError, pull

CAPTION_LIMIT = 2200
FEWEST_CHILDREN, MOST_CHILDREN = 2, 10
IMAGE_TYPES, VIDEO_TYPES = ("image/jpeg",), ("video/mp4", "video/quicktime")
IMAGE_LIMIT_BYTES = 8 * 1024 * 1024


class GraphError(Exception):
    """A request is refused, in the words of the Graph API."""

    def __init__(self, code: int, subcode: int | None, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.subcode = subcode
        self.status = status


@dataclass(slots=True)
class Container:
    """Media that is, or will be, ready to publish."""

    account: str
    caption: str
    sha256: str
    polls_left: int
    is_child: bool = False
    published: bool = False

    def poll(self) -> str:
        """Its `status_code`; each call is one poll."""
        if self.published:
            return "PUBLISHED"
        if self.polls_left <= 0:
            return "FINISHED"
        self.polls_left -= 1
        return "IN_PROGRESS"


def check_caption(caption: object) -> str:
    """The caption, if it is text that is not too long."""
    if not isinstance(caption, str) or len(caption) > CAPTION_LIMIT:
        raise GraphError(36004, 2207010, f"The caption must be text of at most {CAPTION_LIMIT} characters")
    return caption


def check_children(children: object, containers: Mapping[str, Container]) -> list[Container]:
    """The containers a carousel names, given as `id1,id2` or as a list."""
    names = children.split(",") if isinstance(children, str) else children
    if not isinstance(names, list) or not FEWEST_CHILDREN <= len(names) <= MOST_CHILDREN:
        raise GraphError(100, 2207028, f"A carousel needs {FEWEST_CHILDREN} to {MOST_CHILDREN} children")
    found = [containers.get(str(name)) for name in names]
    ready = [child for child in found if child is not None and child.is_child and child.polls_left <= 0]
    if len(ready) != len(names):
        raise GraphError(9007, 2207027, "Every child must be a finished item of a carousel")
    return ready


async def pull_media(parameters: Mapping[str, Any], tls: ssl.SSLContext) -> str:
    """Fetch the one image or video that the parameters name; answers its digest."""
    is_reel = parameters.get("media_type") == "REELS"
    is_child = parameters.get("is_carousel_item") in (True, "true")
    if parameters.get("media_type") == "VIDEO" and not is_child:
        raise GraphError(100, 2207023, "The media type VIDEO is no longer supported. Use REELS")
    video, image = parameters.get("video_url"), parameters.get("image_url")
    if bool(video) == bool(image) or (is_reel and not video):
        raise GraphError(100, None, "Give image_url, or video_url with media_type REELS")
    if video and not is_reel and parameters.get("media_type") != "VIDEO":
        raise GraphError(100, 2207023, "A video needs the media type REELS, or VIDEO in a carousel")
    try:
        media = await pull(str(video or image), tls)
    except PullError as failed:
        raise GraphError(9004, 2207052, f"The media could not be fetched from this URI: {failed}") from failed
    if video and media.content_type not in VIDEO_TYPES:
        raise GraphError(352, 2207026, f"The video format is not supported: {media.content_type}")
    if image and media.content_type not in IMAGE_TYPES:
        raise GraphError(36001, 2207005, f"The image format is not supported: {media.content_type}")
    if image and media.size > IMAGE_LIMIT_BYTES:
        raise GraphError(36000, 2207004, "The image is too large")
    return media.sha256
