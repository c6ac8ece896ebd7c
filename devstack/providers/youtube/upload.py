"""One resumable upload to the YouTube double, and the rules for what is told of a video."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

UNIT = 256 * 1024
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)
PROBE = re.compile(r"bytes \*/(\d+)", re.ASCII)

TITLE_LIMIT, DESCRIPTION_LIMIT_BYTES, TAGS_LIMIT = 100, 5000, 500
PRIVACY = ("public", "unlisted", "private")
SNIPPET = {"title", "description", "tags", "categoryId", "defaultLanguage"}
STATUS = {"privacyStatus", "selfDeclaredMadeForKids", "containsSyntheticMedia", "publishAt", "embeddable", "license"}


class MetadataError(ValueError):
    """What is told of a video breaks a rule; `reason` is YouTube's word for it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class Upload:
    """One session, and the video that it makes."""

    account: str
    title: str
    description: str
    privacy: str
    size: int
    polls_left: int
    received: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    video_id: str | None = None

    def fits(self, content_range: str) -> int | None:
        """How many bytes the chunk must have; None where it is not the one that must come next."""
        match = CONTENT_RANGE.fullmatch(content_range)
        if match is None:
            return None
        first, last, total = (int(number) for number in match.groups())
        is_last, length = last == self.size - 1, last - first + 1
        in_order = total == self.size and first == self.received <= last < self.size
        return length if in_order and (is_last or length % UNIT == 0) else None

    def state(self) -> dict[str, Any]:
        """The item of `videos.list`; each call is one poll."""
        done = self.polls_left <= 0
        self.polls_left -= 1
        status = {"uploadStatus": "processed" if done else "uploaded", "privacyStatus": self.privacy}
        processing = {"processingStatus": "succeeded" if done else "processing"}
        return {"kind": "youtube#video", "id": self.video_id, "status": status, "processingDetails": processing}


def read_video(body: Mapping[str, Any]) -> tuple[str, str, str]:
    """Title, description and privacy of what `videos.insert` is told."""
    snippet, status = body.get("snippet"), body.get("status")
    if not isinstance(snippet, dict) or not isinstance(status, dict):
        raise MetadataError("invalidVideoMetadata", "snippet and status are required")
    if unknown := (set(snippet) - SNIPPET) | (set(status) - STATUS):
        raise MetadataError("invalidVideoMetadata", f"unknown fields {sorted(unknown)}")
    title, description = snippet.get("title"), snippet.get("description", "")
    if not _plain(title) or not 0 < len(title) <= TITLE_LIMIT:
        raise MetadataError("invalidTitle", f"the title must have 1 to {TITLE_LIMIT} characters, none of them < or >")
    if not _plain(description) or len(description.encode()) > DESCRIPTION_LIMIT_BYTES:
        message = f"the description must have at most {DESCRIPTION_LIMIT_BYTES} bytes, and neither < nor >"
        raise MetadataError("invalidDescription", message)
    if len(",".join(snippet.get("tags", []))) > TAGS_LIMIT:
        raise MetadataError("invalidTags", f"the tags must have at most {TAGS_LIMIT} characters")
    privacy = status.get("privacyStatus")
    if privacy not in PRIVACY:
        raise MetadataError("invalidVideoMetadata", f"privacyStatus must be one of {', '.join(PRIVACY)}")
    if "publishAt" in status and privacy != "private":
        raise MetadataError("invalidPublishAt", "publishAt needs privacyStatus private")
    return title, description, privacy


def _plain(text: object) -> TypeGuard[str]:
    return isinstance(text, str) and not set("<>") & set(text)
