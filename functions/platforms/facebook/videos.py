"""Videos of a page: in the feed, as a reel, or as a story.

The upload has its video's id before anything is public. The irreversible call ends the upload; the same end sent
again to the same video cannot make a second post, so an unclear answer is settled by the video's own status.
"""

from collections.abc import Callable
from typing import Any

from functions.jobs.outcomes import JobError, JsonObject
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
from functions.platforms.calls import Reply, without_none
from functions.platforms.facebook.config import FacebookConfig
from functions.platforms.facebook.options import FACEBOOK_REELS, FACEBOOK_STORY, FacebookVideoSettings
from functions.platforms.facebook.results import result_of
from functions.platforms.facebook.stories import unknown_story
from functions.platforms.facebook.uploads import Edge, Upload, Uploader
from functions.platforms.meta.graph import Graph
from functions.platforms.post import Account, Post
from functions.platforms.progress import keep

LOST = frozenset({"expired", "upload_failed"})


class Videos:
    """`facebook_video`, `facebook_reels`, and the other options where their media is a video."""

    def __init__(self, graph: Graph, config: FacebookConfig, clock: Callable[[], float]) -> None:
        self.graph = graph
        self.config = config
        self.clock = clock
        self.uploader = Uploader(graph, config)

    async def prepare(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Ready | Pending:
        """Upload the video; a part that fails in passing is sent again by a later run."""
        [file] = post.media
        ends = self.clock() + self.config.run_seconds
        if not remote:
            upload = await self.uploader.open(_edge(post), account, file)
        else:
            upload = Upload.model_validate(remote)
        try:
            if upload.failures:
                upload = await self.uploader.look_at(upload, account)
            while not upload.uploaded:
                upload = await self.uploader.go_on(upload, account, file)
                if not upload.uploaded and self.clock() > ends:
                    return Pending(upload.model_dump(), 0)
        except CallFailed as failed:
            upload = upload.model_copy(update={"failures": upload.failures + 1})
            most, delay = self.config.most_failures, self.config.polling.delay(0)
            return keep(failed, upload.model_dump(), failures=upload.failures, most=most, delay=delay)
        return Ready(upload.model_dump())

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Pending | Published:
        """End the upload, which publishes the video."""
        upload = Upload.model_validate(remote)
        reply = await self._end(post, account, upload)
        if _edge(post) == "video_stories":
            post_id = reply.body.get("post_id")
            return Published(
                result_of(post, account, reply.body, post_id=post_id and str(post_id), video_id=upload.video_id)
            )
        return self._pending(upload.model_copy(update={"accepted": True}), 0)

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Ask for the video's status; end its upload again where Facebook has not heard of the end."""
        if _edge(post) == "video_stories":
            raise CallFailed(Permanent(unknown_story()))
        upload = Upload.model_validate(remote)
        url, query = self.config.object(upload.video_id), {"fields": "status,permalink_url"}
        reply = await self.graph.call("GET", url, account, query=query)
        status = _Status(reply)
        if status.is_published:
            link = reply.body.get("permalink_url")
            return Published(result_of(post, account, reply.body, video_id=upload.video_id, permalink=link))
        if failure := status.failure():
            return NotPublished(failure)
        unheard = not upload.accepted and not status.has_begun and looks >= self.config.quiet_looks
        if unheard and upload.finishes < self.config.most_finishes:
            return await self._end_again(post, account, upload, looks)
        return self._pending(upload, looks)

    async def _end_again(self, post: Post, account: Account, upload: Upload, looks: int) -> Pending:
        upload = upload.model_copy(update={"finishes": upload.finishes + 1})
        try:
            await self._end(post, account, upload)
        except CallFailed:
            return self._pending(upload, looks)
        return self._pending(upload.model_copy(update={"accepted": True}), looks)

    async def _end(self, post: Post, account: Account, upload: Upload) -> Reply:
        edge = _edge(post)
        url = self.config.videos(account) if edge == "videos" else self.config.page(account, edge)
        reply = await self.graph.call("POST", url, account, body=_ending(post, upload), irreversible=True)
        if reply.body.get("success") is not True:
            words = "no success"
            raise CallFailed(Ambiguous(reply.error(self.graph.errors.platform, "platform_answer_unexpected", words)))
        return reply

    def _pending(self, upload: Upload, looks: int) -> Pending:
        return Pending(upload.model_dump(), self.config.polling.delay(looks))


def _edge(post: Post) -> Edge:
    match post.option:
        case FACEBOOK_REELS.name:
            return "video_reels"
        case FACEBOOK_STORY.name:
            return "video_stories"
        case _:
            return "videos"


def _ending(post: Post, upload: Upload) -> JsonObject:
    edge = _edge(post)
    if edge == "video_stories":
        return {"upload_phase": "finish", "video_id": upload.video_id}
    settings = FacebookVideoSettings.model_validate(post.settings)
    words = without_none(description=post.caption or None, title=settings.title)
    if edge == "video_reels":
        return {"upload_phase": "finish", "video_id": upload.video_id, "video_state": "PUBLISHED", **words}
    return {"upload_phase": "finish", "upload_session_id": upload.upload_session_id, "published": True, **words}


class _Status:
    """What Facebook says of a video: one word for the whole, and one for each of its phases."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.whole = reply.part("status")
        self.word = self.whole.get("video_status")
        self.phases = {name: self._phase(name) for name in ("uploading", "processing", "publishing")}

    @property
    def is_published(self) -> bool:
        """Whether it is out; a video of the feed may have no publishing phase of its own."""
        publishing = self.phases["publishing"]
        if not publishing:
            return bool(self.word == "ready")
        return publishing.get("status") == "complete" and publishing.get("publish_status") in (None, "published")

    @property
    def has_begun(self) -> bool:
        """Whether Facebook works at it, which it does only after the upload was ended."""
        words = [self.phases[name].get("status", "not_started") for name in ("processing", "publishing")]
        return self.word in ("processing", "ready") or any(word != "not_started" for word in words)

    def failure(self) -> TryAgain | Permanent | None:
        """The class of a video that can never be published."""
        failed = next((name for name, phase in self.phases.items() if phase.get("status") == "error"), None)
        if failed is None and self.word not in LOST | {"error"}:
            return None
        words = self._words(self.phases.get(failed or "", {})) or self._words(self.whole)
        error: JobError = self.reply.error("Facebook", f"video_{failed or self.word}", words)
        return TryAgain(error) if failed == "uploading" or self.word in LOST else Permanent(error)

    def _phase(self, name: str) -> JsonObject:
        phase = self.whole.get(f"{name}_phase")
        return phase if isinstance(phase, dict) else {}

    @staticmethod
    def _words(place: JsonObject) -> Any:
        errors = place.get("errors")
        error = errors[0] if isinstance(errors, list) and errors else place.get("error")
        return error.get("message") if isinstance(error, dict) else error
