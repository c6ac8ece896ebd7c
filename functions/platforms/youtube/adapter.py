"""YouTube: one video, through a resumable upload.

The video is out when its last byte is in, so the last chunk is the irreversible call. A session makes at most
one video: after an unclear answer it is asked how far it has come, and gets what is missing; no repetition can
make a second video.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import httpx

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms import media
from functions.platforms.answers import (
    Ambiguous,
    CallFailed,
    NotPublished,
    Pending,
    Permanent,
    Published,
    Quota,
    Ready,
    TryAgain,
)
from functions.platforms.calls import Timeouts, without_none
from functions.platforms.chunks import Chunk
from functions.platforms.post import Account, Platform, PollPlan, Post
from functions.platforms.progress import keep
from functions.platforms.youtube.errors import PLATFORM, Waits, is_gone
from functions.platforms.youtube.options import FORBIDDEN, LONGEST_TITLE, YouTubeSettings
from functions.platforms.youtube.session import Sessions, Upload
from functions.platforms.youtube.state import VideoState, read_state
from functions.settings import Settings

POLLING = PollPlan(delays_seconds=(5, 10, 20, 30, 60), most_looks=120)
"""An upload of many gigabytes takes many runs."""


@dataclass(frozen=True, slots=True)
class YouTubeConfig:
    """Where YouTube is, and its numbers."""

    base_url: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    waits: Waits = field(default_factory=Waits)
    polling: PollPlan = POLLING
    chunk_bytes: int = 16 * 1024 * 1024
    """A multiple of 256 KiB, as YouTube wants all chunks but the last to be."""
    run_seconds: float = 180
    """How long one run uploads before it hands over to the next, below the time limit of the kind."""
    most_failures: int = 8
    """Passing failures in a row that an upload bears."""
    most_sends: int = 4
    """How often the end is sent again to a session that lacks it."""
    processing_looks: int = 12
    """A video that is still being processed then counts as published: it is in, and YouTube takes its time."""


class YouTube:
    """The adapter of `youtube_video` and `youtube_shorts`."""

    name = "youtube"

    def __init__(self, http: httpx.AsyncClient, config: YouTubeConfig, clock: Callable[[], float] = time.time) -> None:
        self.http = http
        self.config = config
        self.clock = clock
        self.polling = config.polling
        self.sessions = Sessions(http, config.base_url, config.timeouts, config.waits, clock)

    async def prepare(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Ready | Pending | Published:
        """Open a session, or go on with that of an earlier run, and send all but the last chunk."""
        ends = self.clock() + self.config.run_seconds
        upload = Upload.model_validate(remote) if remote else await self._open(post, account)
        try:
            if remote:
                upload = await self.sessions.probe(upload, account)
            while not self._is_last(upload):
                upload = await self._send_next(post, account, upload)
                if self.clock() > ends:
                    return Pending(upload.model_dump(), 0)
        except CallFailed as failed:
            if is_gone(failed.failure):
                raise
            return self._keep(failed, upload)
        if upload.video_id is not None:
            return Published(_result(post, account, upload.video_id, VideoState()))
        return Ready(upload.model_dump())

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Pending:
        """Send the last chunk."""
        upload = Upload.model_validate(remote)
        [file] = post.media
        upload = await self.sessions.send(file, upload, upload.rest, account, last=True)
        if upload.video_id is None:
            error = JobError("upload_incomplete", "YouTube has not taken the end of the video.")
            raise CallFailed(Ambiguous(error))
        return Pending(upload.model_dump(), self.polling.delay(0))

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Ask the session whether the video is in, and YouTube what became of it."""
        upload = Upload.model_validate(remote)
        if upload.video_id is None:
            upload = await self._settle(upload, account)
        if upload.video_id is None:
            return await self._send_again(post, account, upload, looks)
        return await self._look(post, account, upload, upload.video_id, looks)

    async def _open(self, post: Post, account: Account) -> Upload:
        [file] = post.media
        settings = YouTubeSettings.model_validate(post.settings)
        video = _video(post, settings)
        size = await media.measure(self.http, file.url, self.config.timeouts, file.size)
        return await self.sessions.open(file, size, video, account, notify=settings.notify_subscribers)

    def _is_last(self, upload: Upload) -> bool:
        return upload.rest.length <= self.config.chunk_bytes

    async def _send_next(self, post: Post, account: Account, upload: Upload) -> Upload:
        [file] = post.media
        chunk = Chunk(upload.offset, upload.offset + self.config.chunk_bytes - 1)
        sent = await self.sessions.send(file, upload, chunk, account)
        if sent.offset <= upload.offset:
            error = JobError("upload_stuck", "YouTube takes no more of the video.")
            raise CallFailed(TryAgain(error))
        return sent

    def _keep(self, failed: CallFailed, upload: Upload) -> Pending:
        failures = upload.failures + 1
        remote = upload.model_copy(update={"failures": failures}).model_dump()
        delay = self.polling.delay(failures - 1)
        return keep(failed, remote, failures=failures, most=self.config.most_failures, delay=delay)

    async def _settle(self, upload: Upload, account: Account) -> Upload:
        """The upload as the session knows it."""
        try:
            return await self.sessions.probe(upload, account)
        except CallFailed as failed:
            if not is_gone(failed.failure):
                raise
            message = (
                "YouTube has closed the upload without saying whether the video is in."
                " Look at the channel before you publish it again."
            )
            raise CallFailed(Permanent(JobError("outcome_unknown", message))) from failed

    async def _send_again(self, post: Post, account: Account, upload: Upload, looks: int) -> Pending | NotPublished:
        """The session has just said that it lacks the end, and only a run of this job sends to it."""
        if upload.sends >= self.config.most_sends:
            error = JobError("upload_incomplete", "The end of the video did not reach YouTube.")
            return NotPublished(TryAgain(error))
        sends = upload.sends + 1
        [file] = post.media
        # A send that fails again says no more than the first one did: the next look asks the session.
        with suppress(CallFailed):
            if upload.rest.length:
                upload = await self.sessions.send(file, upload, upload.rest, account, last=True)
        return Pending(upload.model_copy(update={"sends": sends}).model_dump(), self.polling.delay(looks))

    async def _look(
        self, post: Post, account: Account, upload: Upload, video_id: str, looks: int
    ) -> Pending | Published | NotPublished:
        """The video is in; wait a while for what YouTube makes of it."""
        last = looks >= self.config.processing_looks
        try:
            state = read_state(await self.sessions.look(video_id, account))
        except CallFailed as failed:
            if last or not isinstance(failed.failure, TryAgain | Quota):
                return Published(_result(post, account, video_id, VideoState()))
            return Pending(upload.model_dump(), self.polling.delay(looks))
        if state.failure:
            message = f"{PLATFORM} did not publish the video: {state.failure}."
            return NotPublished(Permanent(JobError("video_refused", message, {"platform_response": state.raw})))
        if state.processed or last:
            return Published(_result(post, account, video_id, state))
        return Pending(upload.model_dump(), self.polling.delay(looks))


def build(http: httpx.AsyncClient, settings: Settings) -> Platform:
    """The adapter with its configuration."""
    polling = POLLING.scaled(settings.poll_scale)
    return YouTube(http, YouTubeConfig(settings.youtube_base_url, timeouts=Timeouts.of(settings), polling=polling))


def _video(post: Post, settings: YouTubeSettings) -> JsonObject:
    """What YouTube is told of the video."""
    publish_at = settings.publish_at.isoformat() if settings.publish_at else None
    return {
        "snippet": without_none(
            title=settings.title or _title(post),
            description=post.caption or None,
            tags=list(settings.tags) or None,
            categoryId=settings.category_id,
            defaultLanguage=settings.language,
        ),
        "status": without_none(
            privacyStatus=settings.privacy,
            selfDeclaredMadeForKids=settings.made_for_kids,
            containsSyntheticMedia=settings.ai_generated,
            publishAt=publish_at,
            embeddable=settings.allow_embedding,
            license=settings.license,
        ),
    }


def _title(post: Post) -> str:
    """The caption's first line, cut to what a title may have: the description repeats it whole."""
    first = next((line.strip() for line in post.caption.splitlines() if line.strip()), "")
    if not first:
        first = PurePosixPath(post.media[0].name).stem.translate(str.maketrans("", "", FORBIDDEN)) or "Video"
    return first if len(first) <= LONGEST_TITLE else first[: LONGEST_TITLE - 1].rstrip() + "…"


def _result(post: Post, account: Account, video_id: str, state: VideoState) -> JsonObject:
    shorts = post.option == "youtube_shorts"
    address = "https://www.youtube.com/shorts/" if shorts else "https://www.youtube.com/watch?v="
    return {
        "platform": "youtube",
        "option": post.option,
        "account": account.external_id,
        "video_id": video_id,
        "privacy": state.privacy,
        "permalink": address + video_id,
        "platform_response": state.raw,
    }
