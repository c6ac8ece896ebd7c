"""Bringing a post's media to LinkedIn: images and documents in one piece, videos in the parts that LinkedIn names.

Nothing here can be seen by anybody before a post uses it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from functions.jobs.outcomes import JobError
from functions.platforms import media
from functions.platforms.answers import Auth, CallFailed, Permanent, TryAgain
from functions.platforms.calls import Reply, Timeouts, send
from functions.platforms.chunks import Chunk
from functions.platforms.linkedin.calls import Api, author_of, in_path
from functions.platforms.linkedin.errors import PLATFORM
from functions.platforms.post import Account, MediaFile

COLLECTIONS = {"image": "images", "video": "videos", "application": "documents"}
NAMES = {"images": "image", "videos": "video", "documents": "document"}


class Part(BaseModel):
    """Bytes of a video, and the address that takes them."""

    model_config = ConfigDict(frozen=True)

    url: str
    first: int
    last: int


class Asset(BaseModel):
    """One file on its way, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    urn: str
    collection: str
    token: str = ""
    parts: tuple[Part, ...] = ()
    """Of a video: what is still to be sent."""
    etags: tuple[str, ...] = ()
    """Of the parts that are in."""
    uploaded: bool = False
    ready: bool = False


@dataclass(slots=True)
class Progress:
    """How far the files of a post have come; it outlives a call that fails."""

    assets: list[Asset] = field(default_factory=list)
    failures: int = 0
    """Passing failures since the last progress."""

    def note(self, asset: Asset) -> None:
        """The newest file has come further."""
        self.assets[-1] = asset
        self.failures = 0


@dataclass(frozen=True, slots=True)
class Uploader:
    """The calls for one run of one job."""

    api: Api
    account: Account
    timeouts: Timeouts
    out_of_time: Callable[[], bool]

    async def open(self, file: MediaFile) -> Asset:
        """Announce a file; one that goes up in a single piece goes up at once."""
        collection = COLLECTIONS[file.mime.partition("/")[0]]
        size = await media.measure(self.api.http, file.url, self.timeouts, file.size)
        owner = author_of(self.account)
        if collection == "videos":
            wanted = {"owner": owner, "fileSizeBytes": size, "uploadCaptions": False, "uploadThumbnail": False}
            return _video(await self.api.value(collection, self.account, wanted))
        value = await self.api.value(collection, self.account, {"owner": owner})
        whole = Part(url=str(value.get("uploadUrl", "")), first=0, last=size - 1)
        await self._put(file, whole, size, self.account.authorization | {"Content-Type": file.mime})
        return Asset(urn=str(value.get(NAMES[collection], "")), collection=collection, uploaded=True)

    async def send(self, file: MediaFile, asset: Asset, progress: Progress) -> None:
        """Send the parts of a video that are missing; stops early when the run's time is up."""
        headers = {"Content-Type": "application/octet-stream"}
        while asset.parts:
            reply = await self._put(file, asset.parts[0], asset.parts[-1].last + 1, headers)
            etag = reply.headers.get("etag", "").strip('"')
            asset = asset.model_copy(update={"parts": asset.parts[1:], "etags": (*asset.etags, etag)})
            progress.note(asset)
            if self.out_of_time():
                return

    async def close(self, asset: Asset) -> Asset:
        """Say that all parts of a video are in."""
        body = {"video": asset.urn, "uploadToken": asset.token, "uploadedPartIds": list(asset.etags)}
        await self.api.call("POST", "videos", self.account, {"finalizeUploadRequest": body}, action="finalizeUpload")
        return asset.model_copy(update={"uploaded": True, "etags": ()})

    async def look(self, asset: Asset) -> Asset:
        """Ask whether LinkedIn has processed the file."""
        reply = await self.api.call("GET", f"{asset.collection}/{in_path(asset.urn)}", self.account)
        if reply.body.get("status") == "PROCESSING_FAILED":
            words = reply.body.get("processingFailureReason") or "it gives no reason"
            message = f"LinkedIn could not process the media: {words}"
            raise CallFailed(Permanent(JobError("media_processing_failed", message, {"platform_response": reply.body})))
        return asset.model_copy(update={"ready": reply.body.get("status") == "AVAILABLE"})

    async def _put(self, file: MediaFile, part: Part, size: int, headers: dict[str, str]) -> Reply:
        chunk = Chunk(part.first, part.last)
        length = {"Content-Length": str(chunk.length)}
        timeout = self.timeouts.for_upload()
        async with media.open_chunk(self.api.http, file.url, chunk, self.timeouts, size) as content:
            request = self.api.http.build_request(
                "PUT", part.url, headers=headers | length, content=content, timeout=timeout
            )
            reply = await send(self.api.http, PLATFORM, request)
        if reply.status < 300:
            return reply
        error = reply.error(PLATFORM, f"upload_http_{reply.status}", None)
        raise CallFailed(Auth(error) if reply.status == 401 else TryAgain(error))


def _video(value: dict[str, Any]) -> Asset:
    try:
        parts = tuple(
            Part(url=each["uploadUrl"], first=each["firstByte"], last=each["lastByte"])
            for each in value["uploadInstructions"]
        )
        return Asset(urn=value["video"], collection="videos", token=value.get("uploadToken") or "", parts=parts)
    except (KeyError, TypeError, ValueError) as error:
        reason = JobError("platform_answer_unexpected", "LinkedIn's answer to a new video has an unknown shape.")
        raise CallFailed(TryAgain(reason)) from error
