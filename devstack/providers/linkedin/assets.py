"""The LinkedIn double's media: announced, sent whole or in parts, processed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PART_BYTES = 4 * 1024 * 1024
SMALLEST_VIDEO, LARGEST_VIDEO = 1, 500_000_000
"""The real one takes no video below 75 KB; tests send small ones."""
SINGULAR = {"images": "image", "videos": "video", "documents": "document"}


class AssetError(ValueError):
    """What is announced or sent breaks a rule; the message says which."""


@dataclass(slots=True)
class Asset:
    """One file."""

    urn: str
    collection: str
    owner: str
    size: int | None
    """Of a video; other files have the size with which they arrive."""
    polls_left: int
    token: str = ""
    parts: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    """Each part's ETag and bytes; the bytes go when the file is joined."""
    sha256: str = ""

    @property
    def ready(self) -> bool:
        """Whether a post can use it."""
        return bool(self.sha256) and self.polls_left <= 0

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and last byte of each part of a video."""
        size = self.size or 0
        return [(first, min(first + PART_BYTES, size) - 1) for first in range(0, size, PART_BYTES)]

    def take(self, number: int, content: bytes) -> str:
        """Keep one part; answers its ETag."""
        if self.collection == "videos":
            first, last = self.spans[number]
            if len(content) != last - first + 1:
                raise AssetError(f"part {number} must have {last - first + 1} bytes")
        if not content:
            raise AssetError("the file is empty")
        etag = hashlib.sha256(content).hexdigest()[:32]
        self.parts[number] = (etag, content)
        if self.collection != "videos":
            self._join([number])
        return etag

    def close(self, etags: object) -> None:
        """Join the parts of a video, which are named in order by their ETags."""
        if self.sha256:
            raise AssetError("the upload is finalized")
        numbers = list(range(len(self.spans)))
        if etags != [self.parts[number][0] for number in numbers if number in self.parts] or len(self.parts) < len(
            numbers
        ):
            raise AssetError("uploadedPartIds must name every part in order")
        self._join(numbers)

    def status(self) -> str:
        """How far it has come; each call is one poll."""
        if not self.sha256:
            return "WAITING_UPLOAD"
        if self.polls_left <= 0:
            return "AVAILABLE"
        self.polls_left -= 1
        return "PROCESSING"

    def _join(self, numbers: list[int]) -> None:
        digest = hashlib.sha256()
        for number in numbers:
            digest.update(self.parts[number][1])
        self.sha256 = digest.hexdigest()
        self.parts = {number: (etag, b"") for number, (etag, _) in self.parts.items()}


def read_video_size(wanted: Mapping[str, Any]) -> int:
    """The size that a new video is announced with."""
    size = wanted.get("fileSizeBytes")
    if not isinstance(size, int) or not SMALLEST_VIDEO <= size <= LARGEST_VIDEO:
        raise AssetError(f"fileSizeBytes must be from {SMALLEST_VIDEO} to {LARGEST_VIDEO}")
    return size
