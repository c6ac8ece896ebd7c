"""X: a post of text with up to four images, a GIF or a video.

Media can be brought up at will. `POST /2/tweets` is the irreversible call, and X takes no key that would make it
repeatable: after an unclear answer the account's recent posts are looked through. A post that is found there is
the one; one that is not found may still be under way, so nothing is ever posted again on that ground.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel, ConfigDict

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms.answers import Ambiguous, CallFailed, Pending, Permanent, Published, Ready, TryAgain
from functions.platforms.calls import Timeouts, without_none
from functions.platforms.post import Account, Platform, PollPlan, Post
from functions.platforms.progress import keep
from functions.platforms.x.calls import Api
from functions.platforms.x.errors import PLATFORM, Waits, is_duplicate
from functions.platforms.x.media import Progress, Upload, Uploader
from functions.platforms.x.options import XPostSettings
from functions.platforms.x.recent import RecentPost, find, read_posts
from functions.settings import Settings

POLLING = PollPlan(delays_seconds=(5, 10, 20, 30, 60), most_looks=60)
"""Videos are processed within minutes; these looks cover almost an hour."""


@dataclass(frozen=True, slots=True)
class XConfig:
    """Where X is, and its numbers."""

    base_url: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    waits: Waits = field(default_factory=Waits)
    polling: PollPlan = POLLING
    segment_bytes: int = 1024 * 1024
    """Of an upload; X takes up to 1000 segments."""
    run_seconds: float = 180
    """How long one run uploads before it hands over to the next, below the time limit of the kind."""
    most_failures: int = 5
    """Passing failures in a row that an upload bears."""
    recent_posts: int = 20
    """Posts of the account that are looked through after an unclear answer; X takes 5 to 100."""
    quiet_looks: int = 8
    """After so many looks a post that does not show stays unconfirmed."""
    clock_skew_seconds: float = 120
    """How far X's clock may lie behind ours."""


class Draft(BaseModel):
    """A post on its way, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    uploads: tuple[Upload, ...] = ()
    failures: int = 0
    began_at: float = 0
    """Unix time just before the irreversible call."""

    @property
    def media_keys(self) -> frozenset[str]:
        """The names under which the account's posts show this media."""
        return frozenset(upload.media_key for upload in self.uploads)


class X:
    """The adapter of `x_post`."""

    name = "x"

    def __init__(self, http: httpx.AsyncClient, config: XConfig, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.clock = clock
        self.polling = config.polling
        self.api = Api(http, config.base_url, config.timeouts, config.waits, clock)

    async def prepare(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Ready | Pending:
        """Bring the media up, going on where an earlier run stopped."""
        draft = Draft.model_validate(remote)
        progress = Progress(list(draft.uploads), draft.failures)
        try:
            unfinished = await self._bring_up(post, account, progress)
        except CallFailed as failed:
            if not progress.uploads:
                raise
            failures = progress.failures + 1
            kept = Draft(uploads=tuple(progress.uploads), failures=failures).model_dump()
            most = self.config.most_failures
            return keep(failed, kept, failures=failures, most=most, delay=self.polling.delay(failures - 1))
        uploads = tuple(progress.uploads)
        if unfinished is not None:
            return Pending(Draft(uploads=uploads).model_dump(), self._pause(unfinished, looks))
        return Ready(Draft(uploads=uploads, began_at=self.clock()).model_dump())

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Published:
        """Publish the post."""
        draft = Draft.model_validate(remote)
        try:
            reply = await self.api.call("POST", "/2/tweets", account, json=_body(post, draft), irreversible=True)
        except CallFailed as failed:
            if is_duplicate(failed.failure):
                return await self._explain_duplicate(post, account, draft, failed)
            raise
        post_id = reply.part("data").get("id")
        if not isinstance(post_id, str):
            raise CallFailed(Ambiguous(reply.error(PLATFORM, "platform_answer_unexpected", "no id of the post")))
        return Published(_result(post, account, post_id, reply.body))

    async def poll(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Pending | Published:
        """Look for the post among the account's recent ones."""
        draft = Draft.model_validate(remote)
        found = find(await self._recent(account), post, draft.media_keys, since=self._since(draft))
        if found is not None:
            return Published(_result(post, account, found.id, {"data": found.raw}))
        if looks >= self.config.quiet_looks:
            message = (
                "X gave no clear answer, and the post does not show among the account's recent ones."
                " Look at the account before you publish it again."
            )
            raise CallFailed(Permanent(JobError("outcome_unknown", message)))
        return Pending(remote, self.polling.delay(looks))

    async def _bring_up(self, post: Post, account: Account, progress: Progress) -> Upload | None:
        """Advance every file; the answer is one that is not ready yet."""
        ends = self.clock() + self.config.run_seconds
        config = self.config
        uploader = Uploader(self.api, account, config.segment_bytes, config.timeouts, lambda: self.clock() > ends)
        for index, file in enumerate(post.media):
            if index == len(progress.uploads):
                progress.uploads.append(await uploader.open(file))
            if not progress.uploads[index].closed:
                await uploader.send(file, progress.uploads[index], progress)
                if progress.uploads[index].sent * config.segment_bytes < progress.uploads[index].size:
                    return progress.uploads[index]
                await self._close(uploader, progress)
            elif not progress.uploads[index].ready:
                progress.uploads[index] = await uploader.look(progress.uploads[index])
        return next((upload for upload in progress.uploads if not upload.ready), None)

    async def _close(self, uploader: Uploader, progress: Progress) -> None:
        try:
            progress.note(await uploader.close(progress.uploads[-1]))
        except CallFailed as failed:
            if isinstance(failed.failure, TryAgain):
                progress.uploads.clear()  # it may be closed, and cannot be closed twice: begin afresh
            raise

    def _pause(self, unfinished: Upload, looks: int) -> float:
        """No pause where only the run's time was up."""
        asked = unfinished.check_after_seconds
        return 0 if not unfinished.closed else self.polling.delay(looks) if asked is None else asked

    async def _explain_duplicate(self, post: Post, account: Account, draft: Draft, failed: CallFailed) -> Published:
        """X refused the post because it has an identical one: this job's own, or one from before?"""
        try:
            recent = await self._recent(account)
        except CallFailed:
            recent = []
        if found := find(recent, post, draft.media_keys, since=self._since(draft)):
            return Published(_result(post, account, found.id, {"data": found.raw}))
        if find(recent, post, None, since=None):
            raise failed
        raise CallFailed(Ambiguous(failed.failure.error)) from failed

    async def _recent(self, account: Account) -> Sequence[RecentPost]:
        query = {
            "max_results": str(self.config.recent_posts),
            "tweet.fields": "created_at,text,entities,attachments",
            "exclude": "retweets",
        }
        return read_posts(await self.api.call("GET", f"/2/users/{account.external_id}/tweets", account, params=query))

    def _since(self, draft: Draft) -> float:
        return draft.began_at - self.config.clock_skew_seconds


def build(http: httpx.AsyncClient, settings: Settings) -> Platform:
    """The adapter with its configuration."""
    polling = POLLING.scaled(settings.poll_scale)
    return X(http, XConfig(settings.x_base_url, timeouts=Timeouts.of(settings), polling=polling))


def _body(post: Post, draft: Draft) -> JsonObject:
    settings = XPostSettings.model_validate(post.settings)
    return without_none(
        text=post.caption or None,
        media={"media_ids": [upload.media_id for upload in draft.uploads]} if draft.uploads else None,
        reply_settings=settings.reply_settings,
        made_with_ai=settings.ai_generated,
        paid_partnership=settings.paid_partnership,
    )


def _result(post: Post, account: Account, post_id: str, response: JsonObject) -> JsonObject:
    return {
        "platform": "x",
        "option": post.option,
        "account": account.external_id,
        "post_id": post_id,
        "permalink": f"https://x.com/i/status/{post_id}",
        "platform_response": response,
    }
