"""Videos of a page on their way, in the three phases that Facebook knows: start, the bytes, finish."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

PART_BYTES = 4 * 1024 * 1024
"""The range that is asked for next of a video of the feed."""


@dataclass(slots=True)
class Video:
    """One upload, and the post that becomes of it."""

    video_id: str
    account: str
    edge: str
    """`videos`, `video_reels` or `video_stories`."""
    polls_left: int
    size: int | None = None
    """Unknown for a reel or a story until its bytes come."""
    received: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    finished: bool = False

    @property
    def complete(self) -> bool:
        """Whether every byte is in."""
        return self.received == self.size

    @property
    def session_id(self) -> str:
        """The id that the phases of a video of the feed go by."""
        return f"9{self.video_id}"

    def wanted(self) -> dict[str, str]:
        """The range that is to come next, as text, as Facebook gives it."""
        size = self.size or 0
        return {"start_offset": str(self.received), "end_offset": str(min(size, self.received + PART_BYTES))}

    def receive(self, part: bytes) -> None:
        """Count bytes that have arrived."""
        self.digest.update(part)
        self.received += len(part)

    def status(self) -> dict[str, Any]:
        """What `fields=status` shows; each call after the finish is one poll."""
        uploading: dict[str, Any] = {"status": "complete" if self.complete else "in_progress"}
        if not self.complete:
            uploading["bytes_transferred"] = self.received
        word, processing, publishing = "upload_complete", "not_started", {"status": "not_started"}
        if self.finished and self.polls_left > 0:
            self.polls_left -= 1
            word, processing = "processing", "in_progress"
        elif self.finished:
            word, processing = "ready", "complete"
            publishing = {"status": "complete", "publish_status": "published"}
        phases = {"uploading_phase": uploading, "processing_phase": {"status": processing}}
        return {"video_status": word, **phases, "publishing_phase": publishing}
