"""TikTok: one video, posted directly or left as a draft in the user's inbox, through an upload in chunks.

The post is out when its last chunk is in, so that chunk is the irreversible call. An upload belongs to one
`publish_id` and a `publish_id` to one post: after an unclear answer the same chunk is sent to the same upload
again and never to a new one, so no repetition can make a second post.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms import media
from functions.platforms.answers import (
    Ambiguous,
    CallFailed,
    NotPublished,
    Pending,
    Permanent,
    Published,
    Ready,
    TryAgain,
)
from functions.platforms.calls import send, without_none
from functions.platforms.chunks import Chunk
from functions.platforms.post import Account, MediaFile, PollPlan, Post
from functions.platforms.progress import keep
from functions.platforms.tiktok import status
from functions.platforms.tiktok.calls import Api, Creator, read
from functions.platforms.tiktok.chunks import ChunkRules, plan_chunks
from functions.platforms.tiktok.errors import PLATFORM
from functions.platforms.tiktok.options import TikTokVideoSettings

UPLOAD_COMPLETE = (200, 201)
UPLOAD_CONTINUES = 206


@dataclass(frozen=True, slots=True)
class UploadRules:
    """The numbers of an upload."""

    chunks: ChunkRules
    url_seconds: float
    """How long an upload's address is valid."""
    lag_seconds: float
    """How long after that a last chunk that was sent in time may still come to count."""
    most_sends: int
    """How often the last chunk is sent to one upload."""
    run_seconds: float
    """How long one run uploads before it hands over to the next."""
    most_failures: int
    """Passing failures in a row that an upload bears."""


class Upload(BaseModel):
    """A post on its way, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    publish_id: str
    upload_url: str
    username: str
    size: int
    opened_at: float
    """Unix time."""
    sent: int = 0
    """Chunks that TikTok has."""
    failures: int = 0
    """Passing failures since the last progress."""
    sends: int = 0
    """How often the last chunk was sent with an unclear answer."""
    accepted: bool = False
    """TikTok has said that the last chunk is in."""


@dataclass(frozen=True, slots=True)
class Videos:
    """The steps of `tiktok_video` and `tiktok_video_draft`."""

    api: Api
    polling: PollPlan
    rules: UploadRules
    clock: Callable[[], float]

    async def prepare(self, post: Post, account: Account, remote: JsonObject) -> Ready | Pending:
        """Open an upload, or go on with that of an earlier run, and send all chunks but the last."""
        ends = self.clock() + self.rules.run_seconds
        upload = Upload.model_validate(remote) if remote else await self._open(post, account)
        try:
            if remote:
                upload = await self._resumed(post, account, upload)
            for chunk in self._chunks(upload)[upload.sent : -1]:
                await self._send(post, upload, chunk, irreversible=False)
                upload = upload.model_copy(update={"sent": upload.sent + 1, "failures": 0})
                if self.clock() > ends:
                    return Pending(upload.model_dump(), 0)
        except CallFailed as failed:
            if self._is_over(upload):
                raise
            return self._keep(failed, upload)
        return Ready(upload.model_dump())

    async def finish(self, post: Post, remote: JsonObject) -> Pending:
        """Send the last chunk."""
        upload = Upload.model_validate(remote)
        await self._send(post, upload, self._chunks(upload)[-1], irreversible=True)
        return self._pending(upload.model_copy(update={"accepted": True}), 0)

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Ask for the post's status; send the last chunk again where TikTok does not have it."""
        upload = Upload.model_validate(remote)
        seen, end = await status.look(self.api, post, account, upload.publish_id, upload.username)
        if end is not None:
            return end
        if upload.accepted or seen.uploaded_bytes is None or seen.uploaded_bytes >= upload.size:
            return self._pending(upload, looks)
        return await self._send_again(post, upload, looks)

    async def _open(self, post: Post, account: Account) -> Upload:
        [file] = post.media
        draft = post.option == "tiktok_video_draft"
        settings = None if draft else TikTokVideoSettings.model_validate(post.settings)
        creator = await self.api.creator(account, settings.privacy) if settings else Creator()
        _check_duration(file, creator)
        size = await media.measure(self.api.http, file.url, self.api.timeouts, file.size)
        plan = plan_chunks(size, self.rules.chunks)
        source = {
            "source": "FILE_UPLOAD",
            "video_size": plan.size,
            "chunk_size": plan.chunk_size,
            "total_chunk_count": plan.count,
        }
        info = {"post_info": _post_info(post, settings, creator)} if settings else {}
        path = "video/init" if settings else "inbox/video/init"
        reply = await self.api.call(path, account, {**info, "source_info": source})
        return read(Upload, reply, username=creator.creator_username, size=size, opened_at=self.clock())

    async def _resumed(self, post: Post, account: Account, upload: Upload) -> Upload:
        """The upload as TikTok knows it: an answer may have been lost, and with it a chunk that is in."""
        seen, end = await status.look(self.api, post, account, upload.publish_id, upload.username)
        if isinstance(end, NotPublished):
            raise CallFailed(end.reason)
        chunks = self._chunks(upload)
        sent = sum(chunk.last < (seen.uploaded_bytes or 0) for chunk in chunks[:-1])
        return upload.model_copy(update={"sent": max(sent, upload.sent)})

    def _keep(self, failed: CallFailed, upload: Upload) -> Pending:
        failures = upload.failures + 1
        remote = upload.model_copy(update={"failures": failures}).model_dump()
        delay = self.polling.delay(failures - 1)
        return keep(failed, remote, failures=failures, most=self.rules.most_failures, delay=delay)

    async def _send_again(self, post: Post, upload: Upload, looks: int) -> Pending | NotPublished:
        if self._is_over(upload, self.rules.lag_seconds):
            error = JobError("upload_expired", "The video did not reach TikTok within the hour that an upload is open.")
            return NotPublished(TryAgain(error))
        if upload.sends >= self.rules.most_sends or self._is_over(upload):
            return self._pending(upload, looks)
        try:
            await self._send(post, upload, self._chunks(upload)[-1], irreversible=True)
        except CallFailed:
            return self._pending(upload.model_copy(update={"sends": upload.sends + 1}), looks)
        return self._pending(upload.model_copy(update={"accepted": True}), looks)

    def _is_over(self, upload: Upload, lag_seconds: float = 0) -> bool:
        return self.clock() > upload.opened_at + self.rules.url_seconds + lag_seconds

    def _pending(self, upload: Upload, looks: int) -> Pending:
        return Pending(upload.model_dump(), self.polling.delay(looks))

    def _chunks(self, upload: Upload) -> list[Chunk]:
        return plan_chunks(upload.size, self.rules.chunks).chunks()

    async def _send(self, post: Post, upload: Upload, chunk: Chunk, *, irreversible: bool) -> None:
        [file] = post.media
        headers = {
            "Content-Type": file.mime,
            "Content-Length": str(chunk.length),
            "Content-Range": f"bytes {chunk.first}-{chunk.last}/{upload.size}",
        }
        http, timeouts = self.api.http, self.api.timeouts
        async with media.open_chunk(http, file.url, chunk, timeouts, upload.size) as content:
            request = http.build_request(
                "PUT", upload.upload_url, headers=headers, content=content, timeout=timeouts.for_upload()
            )
            reply = await send(http, PLATFORM, request, irreversible=irreversible)
        is_last = chunk.last == upload.size - 1
        if reply.status in UPLOAD_COMPLETE or (reply.status == UPLOAD_CONTINUES and not is_last):
            return
        error = reply.error(PLATFORM, f"upload_http_{reply.status}", None)
        raise CallFailed(Ambiguous(error) if irreversible else TryAgain(error))


def _check_duration(file: MediaFile, creator: Creator) -> None:
    most, seconds = creator.max_video_post_duration_sec, file.duration_seconds
    if most is not None and seconds is not None and seconds > most:
        message = f"The TikTok account may post videos of up to {most:g} seconds; this one lasts {seconds:g}."
        raise CallFailed(Permanent(JobError("media_duration", message)))


def _post_info(post: Post, settings: TikTokVideoSettings, creator: Creator) -> JsonObject:
    return without_none(
        title=post.caption,
        privacy_level=settings.privacy,
        disable_comment=creator.comment_disabled or not settings.allow_comments,
        disable_duet=creator.duet_disabled or not settings.allow_duet,
        disable_stitch=creator.stitch_disabled or not settings.allow_stitch,
        brand_content_toggle=settings.brand_content,
        brand_organic_toggle=settings.brand_organic,
        is_aigc=settings.ai_generated,
        video_cover_timestamp_ms=settings.cover_timestamp_ms,
    )
