"""`publish_post`: publishes one post by one option, and never twice.

The platform's adapter prepares all that can be undone; `ctx.commit` records the point of no return; one
irreversible call follows. From there on the job only asks the platform what became of the post.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import (
    Cancelled,
    Done,
    Hold,
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
from functions.platforms.media_urls import check_media_url
from functions.platforms.oauth.session import AccountBusy, AccountSession
from functions.platforms.options import OPTIONS, find_option
from functions.platforms.post import Account, MediaFile, Platform, Post
from functions.platforms.rules import Option
from functions.platforms.stored_media import with_fresh_urls
from functions.platforms.validation import validate

LONGEST_QUOTA_WAIT_SECONDS = 86_400
"""The platforms count their caps over a day; a longer wait would publish a post nobody expects any more."""

LIMITERS = {"account": "account_posts", "calls": "account_calls", "app": "{platform}_app"}
"""The rate limit that cools down when an allowance is used up, by whom it concerns; docs/publications.md tells them."""

RECONNECT_LOOK_SECONDS = 300
"""How often to see whether the owner has connected the account again, where the post may be out already."""


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

    def post(self, option: Option) -> Post:
        """The post as adapters take it."""
        return Post(option.name, self.content.media_files, self.content.caption, self.content.settings)


class Checkpoint(BaseModel):
    """What one run leaves for the next."""

    model_config = ConfigDict(frozen=True)

    remote: JsonObject = Field(default_factory=dict)
    """The adapter's own state: ids of containers and uploads."""
    looks: int = 0
    """Looks made since the platform began its present piece of work."""
    account: str = ""
    """The account that `remote` belongs to, by the platform's id."""


@handler("publish_post", payload=PublishPost)
async def publish_post(job: ClaimedJob, payload: PublishPost, ctx: Context) -> Outcome:
    """Publish the post, or go on with one that an earlier run has begun."""
    if job.committed:
        return await find_post(job, payload, ctx)
    try:
        option = _option(payload)
        _check_content(job, option, payload, ctx)
        publication = await _begin(job, option, payload, ctx)
    except JobError as error:
        return Reject(error)
    return await publication.run()


@reconcile("publish_post")
async def find_post(job: ClaimedJob, payload: PublishPost, ctx: Context) -> Outcome:
    """Find out what became of a post whose irreversible call was made, or may have been made."""
    try:
        publication = await _begin(job, _option(payload), payload, ctx)
    except JobError as error:
        return Unconfirmed(error)
    return await publication.follow()


def _option(payload: PublishPost) -> Option:
    option = find_option(payload.option)
    if option is None:
        raise JobError("unknown_option", f"There is no option {payload.option}; there are {', '.join(OPTIONS)}.")
    if payload.platform != option.platform:
        raise JobError("platform_mismatch", f"The platform of {option.name} is {option.platform}.")
    return option


def _check_content(job: ClaimedJob, option: Option, payload: PublishPost, ctx: Context) -> None:
    """The enqueue endpoint has looked already, but it is not the only way in."""
    content = payload.content
    problems = validate(option, content.media_files, content.caption, content.settings)
    if problems:
        fields = [problem.field for problem in problems]
        raise JobError(problems[0].code, problems[0].message, {"fields": fields})
    for file in content.media_files:
        check_media_url(file.url, ctx.settings, job.user_id)


async def _begin(job: ClaimedJob, option: Option, payload: PublishPost, ctx: Context) -> "_Publication":
    credentials = await ctx.account(option.platform)
    if credentials is None:
        message = f"No {option.platform} account is connected. Connect one, then try again."
        raise JobError("account_missing", message)
    return _Publication(
        ctx=ctx,
        platform=build_platform(option.platform, ctx.http, ctx.settings),
        owner=job.user_id,
        post=payload.post(option),
        session=AccountSession(ctx, option.platform, credentials),
        checkpoint=_checkpoint(job, credentials["external_id"]),
    )


def _checkpoint(job: ClaimedJob, account: str) -> Checkpoint:
    """Where an earlier run has left off. What it began on another account is of no use to this one."""
    checkpoint = Checkpoint.model_validate(job.checkpoint or {})
    if checkpoint.account in {"", account}:
        return checkpoint.model_copy(update={"account": account})
    if job.committed:
        raise JobError("account_changed", "Another account was connected since. Look at the one that the post went to.")
    return Checkpoint(account=account)


@dataclass(frozen=True, slots=True)
class _Publication:
    """One run at one post."""

    ctx: Context
    platform: Platform
    owner: UUID | None
    post: Post
    session: AccountSession
    checkpoint: Checkpoint

    async def run(self) -> Outcome:
        """Prepare, commit, and make the irreversible call."""
        try:
            await self.session.freshen()
            readable = await self._with_fresh_urls()
            prepared = await self.session.call(readable._prepare)
        except AccountBusy as busy:
            return Snooze(timedelta(seconds=busy.after_seconds))
        except CallFailed as failed:
            return self._not_begun(failed.failure)
        if isinstance(prepared, Pending):
            return self._wait(prepared, Retry(self._too_slow()))
        if isinstance(prepared, Published):
            return Done(prepared.result)
        if self.ctx.cancelled.is_set():
            return Cancelled()
        return await readable._finish(prepared)

    async def follow(self) -> Outcome:
        """Ask the platform what became of the post."""
        try:
            await self.session.freshen()
            found = await self.session.call((await self._with_urls_if_possible())._poll)
        except AccountBusy as busy:  # the platform was not asked: no look, since adapters count time in looks
            checkpoint = self._next(self.checkpoint.remote, self.checkpoint.looks)
            return Snooze(timedelta(seconds=busy.after_seconds), checkpoint)
        except CallFailed as failed:
            return self._not_seen(failed.failure)
        if isinstance(found, Published):
            return Done(found.result)
        if isinstance(found, NotPublished):
            return self._not_published(found.reason)
        return self._wait(found, Unconfirmed(self._unknown()))

    async def _with_fresh_urls(self) -> "_Publication":
        return replace(self, post=await with_fresh_urls(self.post, self.owner, self.ctx.http, self.ctx.settings))

    async def _with_urls_if_possible(self) -> "_Publication":
        """What became of the post can be asked although its files are gone; sending the rest of one is then refused."""
        try:
            return await self._with_fresh_urls()
        except CallFailed as failed:
            self.ctx.log.info("media_without_address", code=failed.failure.error.code)
            return self

    async def _prepare(self, account: Account) -> Ready | Pending | Published:
        return await self.platform.prepare(self.post, account, self.checkpoint.remote, self.checkpoint.looks)

    async def _poll(self, account: Account) -> Pending | Published | NotPublished:
        return await self.platform.poll(self.post, account, self.checkpoint.remote, self.checkpoint.looks)

    async def _finish(self, ready: Ready) -> Outcome:
        self.ctx.progress(50, "publishing")
        await self.ctx.commit(self._next(ready.remote))
        try:
            finished = await self.platform.finish(self.post, self.session.account, ready.remote)
        except CallFailed as failed:
            self.ctx.log.warning("publishing_call_failed", code=failed.failure.error.code)
            if isinstance(failed.failure, Auth):
                return await self._refused_at_last(failed.failure)
            return self._not_published(failed.failure)
        if isinstance(finished, Published):
            return Done(finished.result)
        self.ctx.progress(75, "the platform is processing the post")
        return Snooze(timedelta(seconds=finished.after_seconds), self._next(finished.remote))

    async def _refused_at_last(self, refusal: Auth) -> Outcome:
        """The irreversible call was refused with its token. It is not repeated here: the next attempt begins anew."""
        try:
            await self.session.replace_refused(refusal)
        except AccountBusy as busy:
            return Retry(refusal.error, busy.after_seconds)
        except CallFailed as failed:
            return self._not_published(failed.failure)
        except Exception:  # such as a database that does not answer: what is certain is that nothing was published
            self.ctx.log.exception("the account's token could not be renewed")
        return Retry(refusal.error)

    def _next(self, remote: JsonObject, looks: int = 0) -> JsonObject:
        """The checkpoint for the next run."""
        return Checkpoint(remote=remote, looks=looks, account=self.checkpoint.account).model_dump()

    def _wait(self, pending: Pending, too_long: Outcome) -> Outcome:
        looks = self.checkpoint.looks + 1
        if looks > self.platform.polling.most_looks:
            return too_long
        return Snooze(timedelta(seconds=pending.after_seconds), self._next(pending.remote, looks))

    def _not_begun(self, failure: Failure) -> Outcome:
        """The outcome of a failure before the commit: nothing can have been published."""
        return self._held(failure) if isinstance(failure, Quota) else self._not_published(failure)

    def _not_published(self, failure: Failure) -> Outcome:
        """The outcome of a failure that is certain not to have published, unless it is ambiguous."""
        match failure:
            case Quota():
                return self._held(failure, checkpoint={})  # what was prepared may have been used up: begin afresh
            case TryAgain(error, after):
                return Retry(error, after)
            case Auth(error):
                message = f"{error.message.rstrip('.')}. Connect the account again."
                return Reject(JobError("reconnect_required", message, error.details))
            case Permanent(error):
                return Reject(error)
            case Ambiguous(error):
                return Unconfirmed(error)

    def _held(self, quota: Quota, checkpoint: JsonObject | None = None) -> Outcome:
        """Wait until there is an allowance again, together with all whom it concerns."""
        if quota.after_seconds > LONGEST_QUOTA_WAIT_SECONDS:
            return Reject(quota.error)
        return Hold(quota.error, quota.after_seconds, self._limiter(quota), checkpoint)

    def _limiter(self, quota: Quota) -> str | None:
        limiter = LIMITERS.get(quota.scope)
        return limiter and limiter.format(platform=self.platform.name)

    def _not_seen(self, failure: Failure) -> Outcome:
        """The outcome of a look that failed: it says nothing about the post."""
        if isinstance(failure, Permanent):
            return Unconfirmed(failure.error)
        if isinstance(failure, Auth):  # with a new sign-in the next look may tell
            self.ctx.progress(75, f"connect the {self.platform.name} account again to see whether the post went out")
            return self._wait(Pending(self.checkpoint.remote, RECONNECT_LOOK_SECONDS), Unconfirmed(self._unknown()))
        delay = self.platform.polling.delay(self.checkpoint.looks)
        if isinstance(failure, Quota):  # the platform was not asked, so it is no look
            checkpoint = self._next(self.checkpoint.remote, self.checkpoint.looks)
            limiter = self._limiter(failure) if failure.scope == "calls" else None
            return Snooze(timedelta(seconds=max(failure.after_seconds, delay)), checkpoint, limiter)
        if isinstance(failure, TryAgain):
            delay = max(failure.after_seconds or 0, delay)
        return self._wait(Pending(self.checkpoint.remote, delay), Unconfirmed(self._unknown()))

    def _too_slow(self) -> JobError:
        return JobError("processing_too_slow", f"{self.platform.name} took too long to process the media.")

    def _unknown(self) -> JobError:
        message = (
            f"It is not known whether the post went out on {self.platform.name}."
            " Look at the account before you publish it again."
        )
        return JobError("outcome_unknown", message)
