"""Bringing a post's media to X: opened, sent in segments, closed, and then processed by X.

Nothing here can be seen by anybody: media that no post uses vanishes within a day.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms import media
from functions.platforms.answers import CallFailed, Permanent, TryAgain
from functions.platforms.calls import Reply, Timeouts
from functions.platforms.chunks import Chunk
from functions.platforms.post import Account, MediaFile
from functions.platforms.x.calls import Api
from functions.platforms.x.errors import PLATFORM

CATEGORIES = {"image/gif": "tweet_gif", "video": "tweet_video", "image": "tweet_image"}


class Upload(BaseModel):
    """One file on its way, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    media_id: str
    media_key: str = ""
    size: int
    sent: int = 0
    """Segments that are in."""
    closed: bool = False
    ready: bool = False
    check_after_seconds: float | None = None
    """What X said when it was last asked."""


@dataclass(frozen=True, slots=True)
class Uploader:
    """The calls for one run of one job; each answers the upload as far as it has come."""

    api: Api
    account: Account
    segment_bytes: int
    timeouts: Timeouts
    out_of_time: Callable[[], bool]

    async def open(self, file: MediaFile) -> Upload:
        """Announce a file."""
        size = await media.measure(self.api.http, file.url, self.timeouts, file.size)
        category = CATEGORIES.get(file.mime) or CATEGORIES[file.mime.partition("/")[0]]
        body = {"media_type": file.mime, "media_category": category, "total_bytes": size}
        reply = await self.api.call("POST", "/2/media/upload/initialize", self.account, json=body)
        opened = _data(reply)
        return Upload(media_id=str(opened["id"]), media_key=str(opened.get("media_key", "")), size=size)

    async def send(self, file: MediaFile, upload: Upload, progress: "Progress") -> None:
        """Send what is missing, noting each segment that is in; stops early when the run's time is up."""
        first = upload.sent * self.segment_bytes
        if first >= upload.size:
            return
        chunk = Chunk(first, upload.size - 1)
        async with media.open_chunk(self.api.http, file.url, chunk, self.timeouts, upload.size) as content:
            async for segment in _segments(content, self.segment_bytes):
                await self._append(upload, segment)
                upload = upload.model_copy(update={"sent": upload.sent + 1})
                progress.note(upload)
                if self.out_of_time():
                    return

    async def close(self, upload: Upload) -> Upload:
        """Say that all segments are in."""
        path = f"/2/media/upload/{upload.media_id}/finalize"
        return _processed(upload, _data(await self.api.call("POST", path, self.account)))

    async def look(self, upload: Upload) -> Upload:
        """Ask whether X has processed the file."""
        query = {"command": "STATUS", "media_id": upload.media_id}
        return _processed(upload, _data(await self.api.call("GET", "/2/media/upload", self.account, params=query)))

    async def _append(self, upload: Upload, segment: bytes) -> None:
        path = f"/2/media/upload/{upload.media_id}/append"
        form = {"segment_index": str(upload.sent)}
        await self.api.call("POST", path, self.account, data=form, files={"media": ("segment", segment)})


@dataclass(slots=True)
class Progress:
    """How far the files of a post have come; it outlives a call that fails."""

    uploads: list[Upload] = field(default_factory=list)
    failures: int = 0
    """Passing failures since the last progress."""

    def note(self, upload: Upload) -> None:
        """The newest file has come further."""
        self.uploads[-1] = upload
        self.failures = 0


def _processed(upload: Upload, data: JsonObject) -> Upload:
    """Closed, and what `processing_info` says; without it the file is ready."""
    processing = data.get("processing_info") or {}
    state = processing.get("state", "succeeded")
    if state == "failed":
        words = (processing.get("error") or {}).get("message") or "it gives no reason"
        message = f"{PLATFORM} could not process the media: {words}"
        raise CallFailed(Permanent(JobError("media_processing_failed", message, {"platform_response": data})))
    pause = processing.get("check_after_secs")
    wait = float(pause) if isinstance(pause, int | float) else None
    return upload.model_copy(
        update={"closed": True, "ready": state == "succeeded", "check_after_seconds": wait},
    )


def _data(reply: Reply) -> JsonObject:
    data = reply.part("data")
    if not isinstance(data.get("id"), str):
        raise CallFailed(TryAgain(reply.error(PLATFORM, "platform_answer_unexpected", "no id of the media")))
    return data


async def _segments(content: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The bytes in pieces of `size`; the last takes the rest."""
    held = bytearray()
    async for part in content:
        held += part
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)
