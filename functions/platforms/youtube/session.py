"""One resumable upload: a session at YouTube takes a video in chunks, in order, and tells how far it has come.

A session makes at most one video, whatever is sent to it and however often.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ConfigDict

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms import media
from functions.platforms.answers import Ambiguous, CallFailed, TryAgain
from functions.platforms.calls import Reply, Timeouts, send
from functions.platforms.chunks import Chunk
from functions.platforms.post import Account, MediaFile
from functions.platforms.youtube import errors
from functions.platforms.youtube.errors import PLATFORM, SESSION_GONE, Waits

GOES_ON = 308
COMPLETE = (200, 201)
GONE = (404, 410)
COMMITTED = re.compile(r"bytes=0-(\d+)", re.ASCII)


class Upload(BaseModel):
    """A video on its way, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    session: str
    """The address of the session."""
    size: int
    offset: int = 0
    """Bytes that YouTube has said to have."""
    failures: int = 0
    """Passing failures since the last progress."""
    sends: int = 0
    """How often the end was sent with an unclear answer."""
    video_id: str | None = None

    @property
    def rest(self) -> Chunk:
        """What is missing."""
        return Chunk(self.offset, self.size - 1)


@dataclass(frozen=True, slots=True)
class Sessions:
    """The calls of the resumable protocol."""

    http: httpx.AsyncClient
    base_url: str
    timeouts: Timeouts
    waits: Waits
    clock: Callable[[], float]

    async def open(self, file: MediaFile, size: int, video: JsonObject, account: Account, *, notify: bool) -> Upload:
        """Announce a video with its description."""
        headers = {
            **account.authorization,
            "Content-Type": "application/json; charset=UTF-8",
            "X-Upload-Content-Type": file.mime,
            "X-Upload-Content-Length": str(size),
        }
        query = {"uploadType": "resumable", "part": "snippet,status"} | (
            {} if notify else {"notifySubscribers": "false"}
        )
        url, timeout = f"{self.base_url}/upload/youtube/v3/videos", self.timeouts.for_answer()
        reply = await self._send(
            self.http.build_request("POST", url, headers=headers, params=query, json=video, timeout=timeout)
        )
        if not (location := reply.headers.get("location")):
            error = reply.error(PLATFORM, "platform_answer_unexpected", "no address of the upload")
            raise CallFailed(TryAgain(error))
        return Upload(session=location, size=size)

    async def send(
        self, file: MediaFile, upload: Upload, chunk: Chunk, account: Account, *, last: bool = False
    ) -> Upload:
        """Send a chunk, streamed from where the file lies; with `last`, the answer may be ambiguous."""
        headers = {
            **account.authorization,
            "Content-Type": file.mime,
            "Content-Length": str(chunk.length),
            "Content-Range": f"bytes {chunk.first}-{chunk.last}/{upload.size}",
        }
        timeout = self.timeouts.for_upload()
        async with media.open_chunk(self.http, file.url, chunk, self.timeouts, upload.size) as content:
            request = self.http.build_request("PUT", upload.session, headers=headers, content=content, timeout=timeout)
            reply = await self._send(request, session=True, last=last)
        return _advanced(upload, reply)

    async def probe(self, upload: Upload, account: Account) -> Upload:
        """Ask how far the upload has come."""
        headers = {**account.authorization, "Content-Length": "0", "Content-Range": f"bytes */{upload.size}"}
        timeout = self.timeouts.for_answer()
        request = self.http.build_request("PUT", upload.session, headers=headers, timeout=timeout)
        return _advanced(upload, await self._send(request, session=True))

    async def look(self, video_id: str, account: Account) -> Reply:
        """What YouTube says of a video that is in."""
        query = {"part": "status,processingDetails", "id": video_id}
        url, timeout = f"{self.base_url}/youtube/v3/videos", self.timeouts.for_answer()
        headers = account.authorization
        return await self._send(self.http.build_request("GET", url, headers=headers, params=query, timeout=timeout))

    async def _send(self, request: httpx.Request, *, session: bool = False, last: bool = False) -> Reply:
        reply = await send(self.http, PLATFORM, request, irreversible=last)
        if session and reply.status in GONE:
            error = JobError(SESSION_GONE, "YouTube does not know the upload any more.")
            raise CallFailed(Ambiguous(error) if last else TryAgain(error))
        if failure := errors.failure_of(reply, self.waits, self.clock(), irreversible=last):
            raise CallFailed(failure)
        return reply


def _advanced(upload: Upload, reply: Reply) -> Upload:
    """The upload as far as the answer says that it has come."""
    if reply.status in COMPLETE:
        video_id = reply.body.get("id")
        if not isinstance(video_id, str):
            raise CallFailed(Ambiguous(reply.error(PLATFORM, "platform_answer_unexpected", "no id of the video")))
        return upload.model_copy(update={"offset": upload.size, "video_id": video_id, "failures": 0})
    match = COMMITTED.fullmatch(reply.headers.get("range", ""))
    offset = int(match.group(1)) + 1 if match else 0
    return upload.model_copy(update={"offset": offset, "failures": 0 if offset > upload.offset else upload.failures})
