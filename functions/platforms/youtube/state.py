"""What YouTube says of a video after it is in."""

from dataclasses import dataclass, field

from functions.jobs.outcomes import JsonObject
from functions.platforms.calls import Reply

BROKEN = frozenset({"failed", "rejected", "deleted"})
PROCESSING_BROKEN = frozenset({"failed", "terminated"})


@dataclass(frozen=True, slots=True)
class VideoState:
    """One look at a video; empty where YouTube told nothing."""

    processed: bool = False
    failure: str = ""
    """Why the video is not shown, in YouTube's word; empty where it is."""
    privacy: str | None = None
    """Who sees it: YouTube may have made a video private that was to be public."""
    raw: JsonObject = field(default_factory=dict)


def read_state(reply: Reply) -> VideoState:
    """The state in an answer of `videos.list`; a video that is not listed yet has an empty one."""
    items = reply.body.get("items")
    raw = items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}
    status, processing = raw.get("status") or {}, raw.get("processingDetails") or {}
    upload = status.get("uploadStatus")
    failure = ""
    if upload in BROKEN:
        failure = status.get("failureReason") or status.get("rejectionReason") or upload
    elif processing.get("processingStatus") in PROCESSING_BROKEN:
        failure = processing.get("processingFailureReason") or "processing failed"
    return VideoState(upload == "processed", failure, status.get("privacyStatus"), raw)
