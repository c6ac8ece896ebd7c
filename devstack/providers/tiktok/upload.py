"""One upload to the TikTok double: the rules for chunks, and how far the post has come."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

MB = 1024 * 1024
SMALLEST_CHUNK, LARGEST_CHUNK, LARGEST_LAST_CHUNK = 5 * MB, 64 * MB, 128 * MB
MOST_CHUNKS = 1000

CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)


class ChunkError(Exception):
    """A chunk does not fit; `status` is the HTTP answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"chunk refused with {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes `first` to `last`, both included, of `total`."""

    first: int
    last: int
    total: int


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """How a video is cut: `count` chunks of `chunk_size`, the last one taking the rest."""

    size: int
    chunk_size: int
    count: int

    @classmethod
    def read(cls, source_info: Mapping[str, Any]) -> Self:
        """The plan of a `source_info`.

        Raises:
            ValueError: it breaks one of TikTok's rules; the message says which.
        """
        numbers: list[Any] = [source_info.get(name) for name in ("video_size", "chunk_size", "total_chunk_count")]
        if not all(isinstance(number, int) and number > 0 for number in numbers):
            raise ValueError("video_size, chunk_size and total_chunk_count must be whole numbers above zero")
        plan = cls(*numbers)
        broken = next((rule for rule, kept in plan._rules().items() if not kept), None)
        if broken:
            raise ValueError(broken)
        return plan

    def _rules(self) -> dict[str, bool]:
        small = self.size < SMALLEST_CHUNK
        return {
            f"total_chunk_count must be from 1 to {MOST_CHUNKS}": self.count <= MOST_CHUNKS,
            "a video below 5 MB must be one chunk of its own size": not small or self.chunk_size == self.size,
            "chunk_size must be from 5 MB to 64 MB": small or SMALLEST_CHUNK <= self.chunk_size <= LARGEST_CHUNK,
            "total_chunk_count must be video_size divided by chunk_size, rounded down": self.count
            == max(1, self.size // self.chunk_size),
            "the last chunk must not exceed 128 MB": self.size - (self.count - 1) * self.chunk_size
            <= LARGEST_LAST_CHUNK,
        }


@dataclass(slots=True)
class Upload:
    """One post on its way."""

    publish_id: str
    account: str
    title: str
    plan: ChunkPlan
    polls_left: int
    received: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    pulling: asyncio.Task[None] | None = None
    """Of one that is pulled from an address."""
    post_id: int | None = None
    fail_reason: str | None = None
    draft: bool = False
    """It ends in the user's inbox, who posts it in the app."""

    @property
    def size(self) -> int:
        """Bytes of the whole video."""
        return self.plan.size

    @property
    def complete(self) -> bool:
        """Whether every byte is in."""
        return self.received == self.size

    def expect(self, span: Span) -> Span:
        """The same span, if it is the chunk that must come next."""
        is_last = span.last == self.size - 1
        chunk_number = span.first // self.plan.chunk_size
        fits = (
            span.total == self.size
            and span.first == self.received < self.size
            and span.first <= span.last < self.size
            and is_last == (chunk_number == self.plan.count - 1)
            and (is_last or span.last - span.first + 1 == self.plan.chunk_size)
        )
        if not fits:
            raise ChunkError(416)
        return span

    def accept(self, span: Span, length: int, digest: Any) -> None:
        """Count a chunk that has arrived whole; another request may have brought it meanwhile."""
        if length != span.last - span.first + 1:
            raise ChunkError(400)
        self.expect(span)
        self.received = span.last + 1
        self.digest = digest

    def status(self) -> dict[str, Any]:
        """The data of `status/fetch`; each call after the last byte is one poll."""
        counter = "downloaded_bytes" if self.pulling else "uploaded_bytes"
        answer: dict[str, Any] = {"status": "PROCESSING_DOWNLOAD" if self.pulling else "PROCESSING_UPLOAD"}
        if self.fail_reason:
            answer = {"status": "FAILED", "fail_reason": self.fail_reason}
        elif self.post_id is not None and self.polls_left <= 0:
            complete = {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": [self.post_id]}
            answer = {"status": "SEND_TO_USER_INBOX"} if self.draft else complete
        elif self.post_id is not None:
            self.polls_left -= 1
        return answer | {counter: self.received}


def parse_range(header: str) -> Span:
    """The `Content-Range` of a chunk."""
    match = CONTENT_RANGE.fullmatch(header)
    if match is None:
        raise ChunkError(416)
    return Span(*(int(number) for number in match.groups()))
