"""The X double's media: announced, sent in segments, closed, processed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CATEGORIES = {"tweet_image": "image/", "tweet_gif": "image/gif", "tweet_video": "video/"}
LARGEST = {"tweet_image": 5_000_000, "tweet_gif": 15_000_000, "tweet_video": 512_000_000}
MEDIA_TYPES = frozenset(
    {
        "video/mp4",
        "video/webm",
        "video/mp2t",
        "video/quicktime",
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "image/bmp",
        "image/pjpeg",
        "image/tiff",
    }
)
LARGEST_SEGMENT, MOST_SEGMENTS = 5 * 1024 * 1024, 1000
ANNOUNCEMENT = {"media_type", "media_category", "total_bytes"}
CHECK_AFTER_SECONDS = 1


class MediaError(ValueError):
    """The media or its announcement breaks a rule; the message says which."""


@dataclass(slots=True)
class Media:
    """One file."""

    id: str
    key: str
    account: str
    category: str
    total: int
    polls_left: int
    segments: dict[int, bytes] = field(default_factory=dict)
    sha256: str = ""

    @property
    def ready(self) -> bool:
        """Whether a post can use it."""
        return bool(self.sha256) and self.polls_left <= 0

    def take(self, index: object, content: bytes) -> None:
        """Keep one segment; the same one again replaces it."""
        number = int(index) if isinstance(index, str) and index.isdecimal() else -1
        if not 0 <= number < MOST_SEGMENTS:
            raise MediaError(f"segment_index must be from 0 to {MOST_SEGMENTS - 1}")
        if not 0 < len(content) <= LARGEST_SEGMENT:
            raise MediaError(f"media must have 1 to {LARGEST_SEGMENT} bytes")
        if self.sha256:
            raise MediaError("the media is closed")
        self.segments[number] = content

    def close(self) -> None:
        """Join the segments, which must be all of them."""
        if sorted(self.segments) != list(range(len(self.segments))):
            raise MediaError("a segment is missing")
        digest, size = hashlib.sha256(), 0
        for number in range(len(self.segments)):
            digest.update(self.segments[number])
            size += len(self.segments[number])
        if size != self.total:
            raise MediaError(f"total_bytes is {self.total}, but {size} have arrived")
        self.sha256 = digest.hexdigest()
        self.segments.clear()

    def answer(self) -> dict[str, Any]:
        """The data of `finalize` and of `STATUS`."""
        data: dict[str, Any] = {"id": self.id, "media_key": self.key, "size": self.total, "expires_after_secs": 86400}
        if self.category == "tweet_image":
            return data
        if self.polls_left <= 0:
            return data | {"processing_info": {"state": "succeeded", "progress_percent": 100}}
        return data | {"processing_info": {"state": "in_progress", "check_after_secs": CHECK_AFTER_SECONDS}}


def check_announcement(body: Mapping[str, Any]) -> tuple[str, int]:
    """Category and size of a file that `initialize` announces."""
    if set(body) != ANNOUNCEMENT:
        raise MediaError(f"the body must have exactly {', '.join(sorted(ANNOUNCEMENT))}")
    mime, category, total = body["media_type"], body["media_category"], body["total_bytes"]
    if mime not in MEDIA_TYPES or category not in CATEGORIES or not str(mime).startswith(CATEGORIES[category]):
        raise MediaError("media_type and media_category do not go together")
    if not isinstance(total, int) or not 0 < total <= LARGEST[category]:
        raise MediaError(f"total_bytes of {category} must be from 1 to {LARGEST[category]}")
    return category, total


def check_choice(media: list[Media]) -> None:
    """Four images, or one GIF, or one video."""
    categories = [each.category for each in media]
    if len(media) > 1 and (len(media) > 4 or set(categories) != {"tweet_image"}):
        raise MediaError("a post takes up to 4 images, or one GIF, or one video")
    if not all(each.ready for each in media):
        raise MediaError("media_ids must name media that is processed")
