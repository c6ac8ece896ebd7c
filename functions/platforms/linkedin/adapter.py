"""LinkedIn: a post of text, images, a video, a document or a link, by a person or an organization.

`POST /rest/posts` is the irreversible call. LinkedIn refuses a post that is identical to a live one and names it:
so after an unclear answer the same post, with the same media, is sent again, after a pause in which the first
call ends for certain. Either it goes out now, or the refusal names the one that did.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel, ConfigDict

from functions.jobs.outcomes import JobError, JsonObject
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
from functions.platforms.calls import Timeouts
from functions.platforms.linkedin.body import post_body
from functions.platforms.linkedin.calls import Api
from functions.platforms.linkedin.errors import PLATFORM, duplicate_of, is_throttled
from functions.platforms.linkedin.media import Asset, Progress, Uploader
from functions.platforms.post import Account, Platform, PollPlan, Post
from functions.platforms.progress import keep
from functions.settings import Settings

POLLING = PollPlan(delays_seconds=(5, 10, 20, 30, 60), most_looks=60)
"""Videos are processed within minutes; these looks cover almost an hour."""
SETTLE_SECONDS = 15
LARGEST_CHECKPOINT_BYTES = 48_000
"""Of the 64 KB that a checkpoint may have: the addresses of a long video's parts can be more."""


@dataclass(frozen=True, slots=True)
class LinkedInConfig:
    """Where LinkedIn is, and its numbers."""

    base_url: str
    version: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    polling: PollPlan = POLLING
    run_seconds: float = 180
    """How long one run uploads before it hands over to the next, below the time limit of the kind."""
    most_failures: int = 5
    """Passing failures in a row that an upload bears."""
    settle_seconds: float = SETTLE_SECONDS
    """Images and documents of a person cannot be asked whether they are ready: they get this time."""
    throttle_seconds: float = 60
    short_throttles: int = 2
    """A 429 may be a moment's protection: so often it is waited out shortly, then until the day is over."""
    quiet_looks: int = 7
    """Looks after an unclear answer at which nothing is sent: in these four minutes the unclear call ends for certain,
    and LinkedIn comes to know its post as one that it must not take again."""
    most_sends: int = 4
    """How often a post is sent again."""


class Draft(BaseModel):
    """A post on its way, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    assets: tuple[Asset, ...] = ()
    failures: int = 0
    throttles: int = 0
    settled: bool = False
    """The media has had its time."""
    refused: bool = False
    """Every answer to the irreversible call so far was a clear refusal."""
    sends: int = 0

    @property
    def urns(self) -> tuple[str, ...]:
        """Of the media."""
        return tuple(asset.urn for asset in self.assets)


class LinkedIn:
    """The adapter of LinkedIn's options."""

    name = "linkedin"

    def __init__(self, http: httpx.AsyncClient, config: LinkedInConfig, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.clock = clock
        self.polling = config.polling
        self.api = Api(http, config.base_url, config.version, config.timeouts, clock)

    async def prepare(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Ready | Pending:
        """Bring the media up, going on where an earlier run stopped, and wait until it can be used."""
        draft = Draft.model_validate(remote)
        progress = Progress(list(draft.assets), draft.failures)
        try:
            await self._bring_up(post, account, progress)
        except CallFailed as failed:
            return self._keep(failed, draft, progress)
        draft = draft.model_copy(update={"assets": tuple(progress.assets), "failures": 0, "throttles": 0})
        if not all(asset.uploaded for asset in draft.assets):
            return Pending(draft.model_dump(), 0)
        if not all(asset.ready or _cannot_be_asked(asset, account) for asset in draft.assets):
            return Pending(draft.model_dump(), self.polling.delay(looks))
        if not draft.settled and any(_cannot_be_asked(asset, account) for asset in draft.assets):
            return Pending(draft.model_copy(update={"settled": True}).model_dump(), self.config.settle_seconds)
        return Ready(draft.model_dump())

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Pending | Published:
        """Publish the post; a refusal that may pass is met once more, without spending an attempt."""
        draft = Draft.model_validate(remote)
        try:
            return await self._publish(post, account, draft)
        except CallFailed as failed:
            refused = draft.model_copy(update={"refused": True})
            if is_throttled(failed.failure):
                return self._throttled(refused)
            if isinstance(failed.failure, TryAgain):
                return Pending(refused.model_dump(), self.polling.delay(0))
            raise

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Send the same post again: it goes out, or LinkedIn names the one that did."""
        draft = Draft.model_validate(remote)
        if not draft.refused and looks < self.config.quiet_looks:
            return Pending(remote, self.polling.delay(looks))
        if draft.sends >= self.config.most_sends:
            message = "LinkedIn gave no clear answer. Look at the account before you publish the post again."
            raise CallFailed(Permanent(JobError("outcome_unknown", message)))
        try:
            return await self._publish(post, account, draft)
        except CallFailed as failed:
            return self._not_sent(failed, account, post, draft, looks)

    async def _bring_up(self, post: Post, account: Account, progress: Progress) -> None:
        ends = self.clock() + self.config.run_seconds

        def out_of_time() -> bool:
            return self.clock() > ends and _fits(Draft(assets=tuple(progress.assets)))

        uploader = Uploader(self.api, account, self.config.timeouts, out_of_time)
        for index, file in enumerate(post.media):
            if index == len(progress.assets):
                progress.assets.append(await uploader.open(file))
            if not progress.assets[index].uploaded:
                await uploader.send(file, progress.assets[index], progress)
                if progress.assets[index].parts:
                    return
                await self._close(uploader, progress)
            elif not progress.assets[index].ready and not _cannot_be_asked(progress.assets[index], account):
                progress.assets[index] = await uploader.look(progress.assets[index])

    async def _close(self, uploader: Uploader, progress: Progress) -> None:
        try:
            progress.note(await uploader.close(progress.assets[-1]))
        except CallFailed as failed:
            if isinstance(failed.failure, TryAgain):
                progress.assets.clear()  # it may be closed, and cannot be closed twice: begin afresh
            raise

    def _keep(self, failed: CallFailed, draft: Draft, progress: Progress) -> Pending:
        if is_throttled(failed.failure) and draft.throttles < self.config.short_throttles:
            return self._throttled(draft.model_copy(update={"assets": tuple(progress.assets)}))
        failures = progress.failures + 1
        kept = draft.model_copy(update={"assets": tuple(progress.assets), "failures": failures})
        if not progress.assets or not _fits(kept):
            raise failed
        delay = self.polling.delay(failures - 1)
        most = self.config.most_failures
        return keep(failed, kept.model_dump(), failures=failures, most=most, delay=delay)

    def _throttled(self, draft: Draft) -> Pending:
        waiting = draft.model_copy(update={"throttles": draft.throttles + 1})
        return Pending(waiting.model_dump(), self.config.throttle_seconds)

    async def _publish(self, post: Post, account: Account, draft: Draft) -> Published:
        body = post_body(post, account, draft.urns)
        reply = await self.api.call("POST", "posts", account, body, irreversible=True)
        urn = reply.headers.get("x-restli-id", "")
        if not urn.startswith("urn:li:"):
            raise CallFailed(Ambiguous(reply.error(PLATFORM, "platform_answer_unexpected", "no id of the post")))
        return Published(_result(post, account, urn, {"x-restli-id": urn, **reply.body}))

    def _not_sent(
        self, failed: CallFailed, account: Account, post: Post, draft: Draft, looks: int
    ) -> Pending | Published | NotPublished:
        """What a repeated post's refusal or silence says."""
        failure = failed.failure
        if (urn := duplicate_of(failure)) and not draft.refused:
            return Published(_result(post, account, urn, failure.error.details.get("platform_response", {})))
        if is_throttled(failure) and draft.throttles < self.config.short_throttles:
            return self._throttled(draft)
        if draft.refused and isinstance(failure, TryAgain | Quota | Permanent):
            return NotPublished(failure)
        if isinstance(failure, TryAgain | Ambiguous):
            sent = draft.model_copy(update={"sends": draft.sends + 1, "refused": False})
            return Pending(sent.model_dump(), self.polling.delay(looks))
        raise failed


def build(http: httpx.AsyncClient, settings: Settings) -> Platform:
    """The adapter with its configuration."""
    config = LinkedInConfig(
        settings.linkedin_base_url,
        settings.linkedin_api_version,
        timeouts=Timeouts.of(settings),
        polling=POLLING.scaled(settings.poll_scale),
        settle_seconds=SETTLE_SECONDS * settings.poll_scale,
    )
    return LinkedIn(http, config)


def _fits(draft: Draft) -> bool:
    """Whether it can be kept; while it cannot, a run goes on uploading after its time."""
    return len(draft.model_dump_json()) <= LARGEST_CHECKPOINT_BYTES


def _cannot_be_asked(asset: Asset, account: Account) -> bool:
    """Only an organization's token may read images and documents."""
    return asset.collection != "videos" and account.kind != "organization"


def _result(post: Post, account: Account, urn: str, response: JsonObject) -> JsonObject:
    return {
        "platform": "linkedin",
        "option": post.option,
        "account": account.external_id,
        "post_urn": urn,
        "permalink": f"https://www.linkedin.com/feed/update/{urn}/",
        "platform_response": response,
    }
