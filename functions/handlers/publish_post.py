"""`publish_post`: publishes one post by one option, and never twice.

The platform's adapter prepares all that can be undone; `ctx.commit` records the point of no return; one
irreversible call follows. From there on the job only asks the platform what became of the post.
"""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import (
    Cancelled,
    Done,
    JobError,
    JsonObject,
    Outcome,
    Reject,
    Retry,
    Snooze,
    Unconfirmed,
)
from functions.jobs.registry import handler, reconcile
from functions.platforms.answers import (
    Ambiguous,
    Auth,
    CallFailed,
    Failure,
    NotPublished,
    Pending,
    Permanent,
    Published,
    Quota,
    Ready,
    TryAgain,
)
from functions.platforms.catalogue import build_platform
from functions.platforms.media import check_media_url
from functions.platforms.options import OPTIONS, validate
from functions.platforms.post import Account, MediaFile, Platform, Post

LONGEST_QUOTA_WAIT_SECONDS = 86_400
"""The platforms count their caps over a day; a longer wait would publish a post nobody expects any more."""


class Content(BaseModel):
    """What is published; the caption is already the one for the option."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    media_files: tuple[MediaFile, ...] = Field(alias="mediaFiles")
    caption: str = ""
    settings: JsonObject = Field(default_factory=dict)


class PublishPost(BaseModel):
    """The payload of `publish_post`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    option: str
    platform: str
    """The option's platform; limits count by it."""
    content: Content

    def post(self) -> Post:
        """The post as adapters take it."""
        return Post(self.option, self.content.media_files, self.content.caption, self.content.settings)


class Checkpoint(BaseModel):
    """What one run leaves for the next."""

    model_config = ConfigDict(frozen=True)

    remote: JsonObject = Field(default_factory=dict)
    """The adapter's own state: ids of containers and uploads."""
    looks: int = 0
    """Looks made since the platform began its present piece of work."""


@handler("publish_post", payload=PublishPost)
async def publish_post(job: ClaimedJob, payload: PublishPost, ctx: Context) -> Outcome:
    """Publish the post, or go on with one that an earlier run has begun."""
    if job.committed:
        return await find_post(job, payload, ctx)
    try:
        _check_option(payload)
        _check_content(payload, ctx)
        publication = await _begin(job, payload, ctx)
    except JobError as error:
        return Reject(error)
    return await publication.run()


@reconcile("publish_post")
async def find_post(job: ClaimedJob, payload: PublishPost, ctx: Context) -> Outcome:
    """Find out what became of a post whose irreversible call was made, or may have been made."""
    try:
        _check_option(payload)
        publication = await _begin(job, payload, ctx)
    except JobError as error:
        return Unconfirmed(error)
    return await publication.follow()


def _check_option(payload: PublishPost) -> None:
    option = OPTIONS.get(payload.option)
    if option is None:
        raise JobError("unknown_option", f"There is no option {payload.option}; there are {', '.join(OPTIONS)}.")
    if payload.platform != option.platform:
        raise JobError("platform_mismatch", f"The platform of {option.name} is {option.platform}.")


def _check_content(payload: PublishPost, ctx: Context) -> None:
    """The enqueue endpoint has looked already, but it is not the only way in."""
    content = payload.content
    problems = validate(OPTIONS[payload.option], content.media_files, content.caption, content.settings)
    if problems:
        fields = [problem.field for problem in problems]
        raise JobError(problems[0].code, problems[0].message, {"fields": fields})
    for file in content.media_files:
        check_media_url(file.url, ctx.settings)


async def _begin(job: ClaimedJob, payload: PublishPost, ctx: Context) -> "_Publication":
    credentials = await ctx.account(payload.platform)
    if credentials is None:
        message = f"No {payload.platform} account is connected. Connect one, then try again."
        raise JobError("account_missing", message)
    return _Publication(
        ctx=ctx,
        platform=build_platform(payload.platform, ctx.http, ctx.settings),
        post=payload.post(),
        account=Account(credentials["external_id"], credentials["access_token"]),
        checkpoint=Checkpoint.model_validate(job.checkpoint or {}),
    )


@dataclass(frozen=True, slots=True)
class _Publication:
    """One run at one post."""

    ctx: Context
    platform: Platform
    post: Post
    account: Account
    checkpoint: Checkpoint

    async def run(self) -> Outcome:
        """Prepare, commit, and make the irreversible call."""
        try:
            prepared = await self.platform.prepare(
                self.post, self.account, self.checkpoint.remote, self.checkpoint.looks
            )
        except CallFailed as failed:
            return self._not_begun(failed.failure)
        if isinstance(prepared, Pending):
            return self._wait(prepared, Retry(self._too_slow()))
        if isinstance(prepared, Published):
            return Done(prepared.result)
        if self.ctx.cancelled.is_set():
            return Cancelled()
        return await self._finish(prepared)

    async def follow(self) -> Outcome:
        """Ask the platform what became of the post."""
        looks = self.checkpoint.looks
        try:
            found = await self.platform.poll(self.post, self.account, self.checkpoint.remote, looks)
        except CallFailed as failed:
            return self._not_seen(failed.failure)
        if isinstance(found, Published):
            return Done(found.result)
        if isinstance(found, NotPublished):
            return _not_published(found.reason)
        return self._wait(found, Unconfirmed(self._unknown()))

    async def _finish(self, ready: Ready) -> Outcome:
        self.ctx.progress(50, "publishing")
        await self.ctx.commit(Checkpoint(remote=ready.remote).model_dump())
        try:
            finished = await self.platform.finish(self.post, self.account, ready.remote)
        except CallFailed as failed:
            self.ctx.log.warning("publishing_call_failed", code=failed.failure.error.code)
            return _not_published(failed.failure)
        if isinstance(finished, Published):
            return Done(finished.result)
        self.ctx.progress(75, "the platform is processing the post")
        return Snooze(timedelta(seconds=finished.after_seconds), Checkpoint(remote=finished.remote).model_dump())

    def _wait(self, pending: Pending, too_long: Outcome) -> Outcome:
        looks = self.checkpoint.looks + 1
        if looks > self.platform.polling.most_looks:
            return too_long
        checkpoint = Checkpoint(remote=pending.remote, looks=looks)
        return Snooze(timedelta(seconds=pending.after_seconds), checkpoint.model_dump())

    def _not_begun(self, failure: Failure) -> Outcome:
        """The outcome of a failure before the commit: nothing can have been published."""
        match failure:
            case Quota(error, after) if after <= LONGEST_QUOTA_WAIT_SECONDS:
                self.ctx.progress(0, error.message)
                return Snooze(timedelta(seconds=after))
            case Quota(error):
                return Reject(error)
            case _:
                return _not_published(failure)

    def _not_seen(self, failure: Failure) -> Outcome:
        """The outcome of a look that failed: it says nothing about the post."""
        if isinstance(failure, Auth | Permanent):
            return Unconfirmed(failure.error)
        pause = failure.after_seconds if isinstance(failure, TryAgain | Quota) else None
        delay = max(pause or 0, self.platform.polling.delay(self.checkpoint.looks))
        return self._wait(Pending(self.checkpoint.remote, delay), Unconfirmed(self._unknown()))

    def _too_slow(self) -> JobError:
        return JobError("processing_too_slow", f"{self.platform.name} took too long to process the media.")

    def _unknown(self) -> JobError:
        message = (
            f"It is not known whether the post went out on {self.platform.name}."
            " Look at the account before you publish it again."
        )
        return JobError("outcome_unknown", message)


def _not_published(failure: Failure) -> Outcome:
    """The outcome of a failure that is certain not to have published, unless it is ambiguous."""
    match failure:
        case TryAgain(error, after) | Quota(error, after):
            return Retry(error, after)
        case Auth(error):
            message = f"{error.message.rstrip('.')}. Connect the account again."
            return Reject(JobError("reconnect_required", message, error.details))
        case Permanent(error):
            return Reject(error)
        case Ambiguous(error):
            return Unconfirmed(error)
