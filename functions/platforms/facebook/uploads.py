"""Bringing a video to Facebook: streamed from where it lies, and gone on with where it broke off.

A reel or a story is uploaded in one call to an address of its own; a video of the feed in parts whose ranges Facebook
names. Either has the video's id before anything is public, and by this id its fate can be read.
"""

from dataclasses import dataclass
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms import media
from functions.platforms.answers import CallFailed, TryAgain
from functions.platforms.calls import Reply
from functions.platforms.chunks import Chunk
from functions.platforms.facebook.config import FacebookConfig
from functions.platforms.facebook.errors import WRONG_OFFSET
from functions.platforms.meta.errors import numbers_in
from functions.platforms.meta.graph import Graph
from functions.platforms.multipart import Multipart
from functions.platforms.post import Account, MediaFile

Edge = Literal["videos", "video_reels", "video_stories"]


class Upload(BaseModel):
    """A video on its way, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    video_id: str
    size: int
    upload_url: str = ""
    """Of a reel or a story."""
    upload_session_id: str = ""
    """Of a video of the feed."""
    start_offset: int = 0
    end_offset: int = 0
    """The range that Facebook wants next."""
    uploaded: bool = False
    failures: int = 0
    """Parts that failed in passing since the last that succeeded."""
    finishes: int = 0
    """How often its end was sent again."""
    accepted: bool = False
    """Facebook has acknowledged its end."""


@dataclass(frozen=True, slots=True)
class Uploader:
    """Opens uploads and fills them."""

    graph: Graph
    config: FacebookConfig

    async def open(self, edge: Edge, account: Account, file: MediaFile) -> Upload:
        """Tell Facebook of a video; a repetition leaves an empty one behind, which nobody sees."""
        size = await media.measure(self.graph.http, file.url, self.config.timeouts, file.size)
        if edge == "videos":
            url, start = self.config.videos(account), {"upload_phase": "start", "file_size": size}
        else:
            url, start = self.config.page(account, edge), {"upload_phase": "start"}
        reply = await self.graph.call("POST", url, account, body=start)
        self.graph.check_usage(reply)
        upload = self._read({"end_offset": size} | reply.body | {"size": size}, reply)
        if not (upload.upload_session_id if edge == "videos" else upload.upload_url):
            raise self._unexpected(reply)
        return upload

    async def go_on(self, upload: Upload, account: Account, file: MediaFile) -> Upload:
        """Send the next part.

        Raises:
            CallFailed: the part did not arrive, or it is not known whether it did.
        """
        if upload.upload_url:
            return await self._send_rest(upload, account, file)
        return await self._send_part(upload, account, file)

    async def look_at(self, upload: Upload, account: Account) -> Upload:
        """The upload as Facebook sees it, after a part that failed."""
        if upload.upload_session_id:
            return upload  # the next part is answered with the right place where this one is wrong
        reply = await self.graph.call("GET", self.config.object(upload.video_id), account, query={"fields": "status"})
        status = reply.part("status").get("uploading_phase")
        phase: dict[str, Any] = status if isinstance(status, dict) else {}
        arrived = phase.get("bytes_transferred")
        there = arrived if isinstance(arrived, int) and 0 <= arrived <= upload.size else 0
        done = phase.get("status") == "complete" or there == upload.size
        return upload.model_copy(update={"start_offset": there, "uploaded": done})

    async def _send_rest(self, upload: Upload, account: Account, file: MediaFile) -> Upload:
        """All that is missing of a reel or a story, in one call."""
        rest = Chunk(upload.start_offset, upload.size - 1)
        headers = {
            "Authorization": f"OAuth {account.access_token}",
            "offset": str(rest.first),
            "file_size": str(upload.size),
            "Content-Length": str(rest.length),
            "Content-Type": "application/octet-stream",
        }
        timeouts = self.config.timeouts
        async with media.open_chunk(self.graph.http, file.url, rest, timeouts, upload.size) as content:
            reply = await self.graph.send(self._request(upload.upload_url, headers, content))
        if reply.body.get("success") is not True:
            raise self._unexpected(reply)
        return upload.model_copy(update={"uploaded": True, "failures": 0})

    async def _send_part(self, upload: Upload, account: Account, file: MediaFile) -> Upload:
        """The range of a video of the feed that Facebook wants next."""
        last = min(upload.end_offset, upload.start_offset + self.config.most_bytes_a_part, upload.size) - 1
        part = Chunk(upload.start_offset, last)
        if part.length < 1:
            raise _stuck()
        fields = {
            "upload_phase": "transfer",
            "upload_session_id": upload.upload_session_id,
            "start_offset": str(part.first),
        }
        multipart = Multipart(fields, "video_file_chunk", part.length)
        url, headers = self.config.videos(account), account.authorization | multipart.headers
        try:
            timeouts = self.config.timeouts
            async with media.open_chunk(self.graph.http, file.url, part, timeouts, upload.size) as content:
                reply = await self.graph.send(self._request(url, headers, multipart.stream(content)))
        except CallFailed as failed:
            return self._moved(upload, failed)
        sent = self._at(upload, reply.body, reply)
        if sent.start_offset <= upload.start_offset:
            raise _stuck()
        return sent

    def _moved(self, upload: Upload, failed: CallFailed) -> Upload:
        """The upload at the place that a refusal names: a part may have arrived although its answer was lost."""
        error = failed.failure.error
        if WRONG_OFFSET not in numbers_in(error):
            raise failed
        named = error.details["platform_response"]["error"].get("error_data")
        moved = self._at(upload, named if isinstance(named, dict) else {}, None)
        if moved.start_offset == upload.start_offset:
            raise failed
        return moved

    def _at(self, upload: Upload, offsets: JsonObject, reply: Reply | None) -> Upload:
        try:
            first, end = int(offsets["start_offset"]), int(offsets["end_offset"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected(reply or Reply(400, httpx.Headers(), offsets)) from error
        at = {"start_offset": first, "end_offset": end, "failures": 0, "uploaded": first >= upload.size}
        return upload.model_copy(update=at)

    def _request(self, url: str, headers: dict[str, str], content: Any) -> httpx.Request:
        timeout = self.config.timeouts.for_upload()
        return self.graph.http.build_request("POST", url, headers=headers, content=content, timeout=timeout)

    def _read(self, fields: JsonObject, reply: Reply) -> Upload:
        try:
            return Upload.model_validate(fields)
        except ValidationError as error:
            raise self._unexpected(reply) from error

    def _unexpected(self, reply: Reply) -> CallFailed:
        words = "its fields are others than documented"
        return CallFailed(TryAgain(reply.error(self.graph.errors.platform, "platform_answer_unexpected", words)))


def _stuck() -> CallFailed:
    return CallFailed(TryAgain(JobError("upload_stuck", "Facebook takes no more of the video.")))
