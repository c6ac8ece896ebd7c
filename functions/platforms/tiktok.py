"""TikTok: one video, posted directly through an upload in chunks.

The post is out when its last chunk is in, so that chunk is the irreversible call. An upload belongs to one
`publish_id` and a `publish_id` to one post: after an unclear answer the same chunk is sent to the same upload
again and never to a new one, so no repetition can make a second post.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms import media, tiktok_errors
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
from functions.platforms.calls import Reply, Timeouts, send, without_none
from functions.platforms.chunks import Chunk, ChunkRules, plan_chunks
from functions.platforms.option_settings import TikTokVideoSettings
from functions.platforms.options import OPTIONS
from functions.platforms.post import Account, PollPlan, Post
from functions.platforms.tiktok_errors import PLATFORM

UPLOAD_COMPLETE = (200, 201)
UPLOAD_CONTINUES = 206

Model = TypeVar("Model", bound=BaseModel)

POLLING = PollPlan(delays_seconds=(5, 10, 20, 30), most_looks=130)
"""Moderation usually takes less than a minute; these looks cover a bit more than an hour."""


@dataclass(frozen=True, slots=True)
class TikTokConfig:
    """Where TikTok is, and its numbers."""

    base_url: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    chunks: ChunkRules = field(default_factory=ChunkRules)
    polling: PollPlan = POLLING
    upload_url_seconds: float = 3600
    """An upload address is valid for an hour."""
    most_sends: int = 4
    """How often the last chunk is sent to one upload."""
    rate_limit_seconds: float = 60
    """The limits count over a sliding minute."""
    quota_seconds: float = 86_400
    """The caps on posts count over 24 hours."""


class Upload(BaseModel):
    """A post on its way, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    publish_id: str
    upload_url: str
    username: str
    size: int
    opened_at: float
    """Unix time."""
    sends: int = 0
    """How often the last chunk was sent with an unclear answer."""
    accepted: bool = False
    """TikTok has said that the last chunk is in."""


class _Creator(BaseModel):
    creator_username: str = ""
    privacy_level_options: tuple[str, ...] = ()
    comment_disabled: bool = False
    duet_disabled: bool = False
    stitch_disabled: bool = False


class _Status(BaseModel):
    status: str
    fail_reason: str = "unknown"
    # TikTok spells it so.
    post_ids: tuple[int | str, ...] = Field((), validation_alias="publicaly_available_post_id")
    uploaded_bytes: int | None = None


class TikTok:
    """The adapter of `tiktok_video`."""

    name = "tiktok"

    def __init__(self, http: httpx.AsyncClient, config: TikTokConfig, clock: Callable[[], float] = time.time) -> None:
        self.http = http
        self.config = config
        self.clock = clock
        self.polling = config.polling

    async def prepare(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Ready:
        """Open an upload and send all chunks but the last. Nothing of an earlier attempt is used."""
        settings = TikTokVideoSettings.model_validate(post.settings)
        creator = await self._creator(account, settings)
        size = await self._measure(post)
        upload = await self._open(post, account, settings, creator, size)
        for chunk in self._chunks(upload)[:-1]:
            await self._send(post, upload, chunk, irreversible=False)
        return Ready(upload.model_dump())

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Pending:
        """Send the last chunk."""
        upload = Upload.model_validate(remote)
        await self._send(post, upload, self._chunks(upload)[-1], irreversible=True)
        return self._pending(upload.model_copy(update={"accepted": True}), 0)

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Ask for the post's status; send the last chunk again where TikTok does not have it."""
        upload = Upload.model_validate(remote)
        reply = await self._call("/v2/post/publish/status/fetch/", account, {"publish_id": upload.publish_id})
        status = _read(_Status, reply)
        if status.status == "PUBLISH_COMPLETE":
            return Published(_result(post, account, upload, status, reply))
        if status.status == "FAILED":
            quota = self.config.quota_seconds
            return NotPublished(tiktok_errors.failure_of_post(reply, status.fail_reason, quota_seconds=quota))
        if upload.accepted or status.uploaded_bytes is None or status.uploaded_bytes >= upload.size:
            return self._pending(upload, looks)
        return await self._send_again(post, upload, looks)

    async def _send_again(self, post: Post, upload: Upload, looks: int) -> Pending | NotPublished:
        if self.clock() > upload.opened_at + self.config.upload_url_seconds:
            error = JobError("upload_expired", "The video did not reach TikTok within the hour that an upload is open.")
            return NotPublished(TryAgain(error))
        if upload.sends >= self.config.most_sends:
            return self._pending(upload, looks)
        try:
            await self._send(post, upload, self._chunks(upload)[-1], irreversible=True)
        except CallFailed:
            return self._pending(upload.model_copy(update={"sends": upload.sends + 1}), looks)
        return self._pending(upload.model_copy(update={"accepted": True}), looks)

    def _pending(self, upload: Upload, looks: int) -> Pending:
        return Pending(upload.model_dump(), self.polling.delay(looks))

    def _chunks(self, upload: Upload) -> list[Chunk]:
        return plan_chunks(upload.size, self.config.chunks).chunks()

    async def _creator(self, account: Account, settings: TikTokVideoSettings) -> _Creator:
        reply = await self._call("/v2/post/publish/creator_info/query/", account, None)
        creator = _read(_Creator, reply)
        if settings.privacy not in creator.privacy_level_options:
            allowed = ", ".join(creator.privacy_level_options) or "none"
            message = f"The TikTok account does not allow the privacy {settings.privacy}; it allows {allowed}."
            raise CallFailed(Permanent(JobError("privacy_level_option_mismatch", message)))
        return creator

    async def _measure(self, post: Post) -> int:
        [file] = post.media
        size = await media.measure(self.http, file.url, self.config.timeouts)
        most = OPTIONS[post.option].most_bytes[file.type.lower()]
        if size > most:
            message = f"The video has {size} bytes; TikTok takes {most}."
            raise CallFailed(Permanent(JobError("media_too_large", message)))
        return size

    async def _open(
        self, post: Post, account: Account, settings: TikTokVideoSettings, creator: _Creator, size: int
    ) -> Upload:
        plan = plan_chunks(size, self.config.chunks)
        source = {
            "source": "FILE_UPLOAD",
            "video_size": plan.size,
            "chunk_size": plan.chunk_size,
            "total_chunk_count": plan.count,
        }
        body = {"post_info": _post_info(post, settings, creator), "source_info": source}
        reply = await self._call("/v2/post/publish/video/init/", account, body)
        known = {"username": creator.creator_username, "size": size, "opened_at": self.clock()}
        return _read(Upload, reply, **known)

    async def _send(self, post: Post, upload: Upload, chunk: Chunk, *, irreversible: bool) -> None:
        [file] = post.media
        headers = {
            "Content-Type": file.type.lower(),
            "Content-Length": str(chunk.length),
            "Content-Range": f"bytes {chunk.first}-{chunk.last}/{upload.size}",
        }
        timeouts = self.config.timeouts
        async with media.open_chunk(self.http, file.url, chunk, timeouts) as content:
            request = self.http.build_request(
                "PUT", upload.upload_url, headers=headers, content=content, timeout=timeouts.for_upload()
            )
            reply = await send(self.http, PLATFORM, request, irreversible=irreversible)
        is_last = chunk.last == upload.size - 1
        if reply.status in UPLOAD_COMPLETE or (reply.status == UPLOAD_CONTINUES and not is_last):
            return
        error = reply.error(PLATFORM, f"upload_http_{reply.status}", None)
        raise CallFailed(Ambiguous(error) if irreversible else TryAgain(error))

    async def _call(self, path: str, account: Account, body: JsonObject | None) -> Reply:
        headers = {**account.authorization, "Content-Type": "application/json; charset=UTF-8"}
        timeout = self.config.timeouts.for_answer()
        request = self.http.build_request(
            "POST", self.config.base_url + path, headers=headers, json=body, timeout=timeout
        )
        reply = await send(self.http, PLATFORM, request)
        failure = tiktok_errors.failure_of(
            reply, rate_limit_seconds=self.config.rate_limit_seconds, quota_seconds=self.config.quota_seconds
        )
        if failure:
            raise CallFailed(failure)
        return reply


def _post_info(post: Post, settings: TikTokVideoSettings, creator: _Creator) -> JsonObject:
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


def _result(post: Post, account: Account, upload: Upload, status: _Status, reply: Reply) -> JsonObject:
    # 64-bit ids lose digits in JavaScript unless they are text.
    post_ids = [str(post_id) for post_id in status.post_ids]
    permalink = (
        f"https://www.tiktok.com/@{upload.username}/video/{post_ids[0]}" if post_ids and upload.username else None
    )
    return {
        "platform": "tiktok",
        "option": post.option,
        "account": account.external_id,
        "publish_id": upload.publish_id,
        "post_ids": post_ids,
        "permalink": permalink,
        "platform_response": reply.body,
    }


def _read(model: type[Model], reply: Reply, **known: Any) -> Model:
    """The data of an answer; TikTok said ok, so data of another shape is a fault that may pass."""
    try:
        return model.model_validate(reply.part("data") | known)
    except ValidationError as error:
        reason = reply.error(PLATFORM, "platform_answer_unexpected", "its data has another shape than documented")
        raise CallFailed(TryAgain(reason)) from error
