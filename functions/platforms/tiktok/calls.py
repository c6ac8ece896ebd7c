"""One call to TikTok's API, with the class of its answer, and what every post asks first: who posts."""

from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms.answers import Ambiguous, CallFailed, Permanent, TryAgain
from functions.platforms.calls import Reply, Timeouts, send
from functions.platforms.post import Account
from functions.platforms.tiktok import errors
from functions.platforms.tiktok.errors import PLATFORM

Model = TypeVar("Model", bound=BaseModel)


class Creator(BaseModel):
    """The account as TikTok describes it before a post."""

    creator_username: str = ""
    privacy_level_options: tuple[str, ...] = ()
    comment_disabled: bool = False
    duet_disabled: bool = False
    stitch_disabled: bool = False
    max_video_post_duration_sec: float | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """Where TikTok is, and how to call it."""

    http: httpx.AsyncClient
    base_url: str
    timeouts: Timeouts
    rate_limit_seconds: float
    quota_seconds: float

    async def call(self, path: str, account: Account, body: JsonObject | None, *, irreversible: bool = False) -> Reply:
        """Send a request below `/v2/post/publish` and read a successful answer.

        Raises:
            CallFailed: for any other answer, or none.
        """
        headers = {**account.authorization, "Content-Type": "application/json; charset=UTF-8"}
        url, timeout = f"{self.base_url}/v2/post/publish/{path}/", self.timeouts.for_answer()
        request = self.http.build_request("POST", url, headers=headers, json=body, timeout=timeout)
        reply = await send(self.http, PLATFORM, request, irreversible=irreversible)
        failure = errors.failure_of(
            reply,
            rate_limit_seconds=self.rate_limit_seconds,
            quota_seconds=self.quota_seconds,
            irreversible=irreversible,
        )
        if failure:
            raise CallFailed(failure)
        return reply

    async def creator(self, account: Account, privacy: str) -> Creator:
        """Who posts; TikTok wants this asked before each post.

        Raises:
            CallFailed: also permanent, when the account does not allow `privacy`.
        """
        creator = read(Creator, await self.call("creator_info/query", account, None))
        if privacy not in creator.privacy_level_options:
            allowed = ", ".join(creator.privacy_level_options) or "none"
            message = f"The TikTok account does not allow the privacy {privacy}; it allows {allowed}."
            raise CallFailed(Permanent(JobError("privacy_level_option_mismatch", message)))
        return creator


def read(model: type[Model], reply: Reply, *, irreversible: bool = False, **known: Any) -> Model:
    """The data of an answer; TikTok said ok, so data of another shape is a fault that may pass."""
    try:
        return model.model_validate(reply.part("data") | known)
    except ValidationError as error:
        reason = reply.error(PLATFORM, "platform_answer_unexpected", "its data has another shape than documented")
        raise CallFailed(Ambiguous(reason) if irreversible else TryAgain(reason)) from error
