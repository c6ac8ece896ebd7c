"""Instagram: an image, a reel or a carousel, published through containers that Instagram fills by pulling media.

Making containers can be repeated at will: what is never published vanishes within a day. `media_publish` is the
irreversible call; whether it took effect can be read from the container's status afterwards.
"""

from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel, ConfigDict

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms import instagram_errors
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
from functions.platforms.calls import Reply, Timeouts, send, without_none
from functions.platforms.instagram_errors import PLATFORM, ThrottleWaits
from functions.platforms.option_settings import InstagramFeedSettings
from functions.platforms.post import Account, MediaFile, PollPlan, Post

POLLING = PollPlan(delays_seconds=(5, 10, 20, 30, 60), most_looks=35)
"""Images are ready at once, reels within minutes; these looks cover half an hour."""


@dataclass(frozen=True, slots=True)
class InstagramConfig:
    """Where Instagram is, and its numbers."""

    base_url: str
    api_version: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    waits: ThrottleWaits = field(default_factory=ThrottleWaits)
    polling: PollPlan = POLLING
    quiet_looks: int = 3
    """A container still unpublished at this look after the call was not published: the call itself is long over."""
    most_rebuilds: int = 2
    """How often failed containers are made anew before the media counts as unusable."""


class Containers(BaseModel):
    """What was made for a post, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    children: tuple[str, ...] = ()
    """The items of a carousel, in order."""
    container: str | None = None
    """The container of the post itself."""
    rebuilds: int = 0


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """What Instagram says of a container: IN_PROGRESS, FINISHED, ERROR, EXPIRED or PUBLISHED."""

    code: str
    text: str
    reply: Reply

    @property
    def has_failed(self) -> bool:
        """Whether it can never be published."""
        return self.code in ("ERROR", "EXPIRED")


class Instagram:
    """The adapter of `instagram_feed`."""

    name = "instagram"

    def __init__(self, http: httpx.AsyncClient, config: InstagramConfig) -> None:
        self.http = http
        self.config = config
        self.polling = config.polling

    async def prepare(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Ready | Pending | Published:
        """Make the containers, then wait until Instagram has filled them."""
        made = Containers.model_validate(remote)
        if not made.children and made.container is None:
            await self._check_quota(account)
        if len(post.media) > 1 and not made.children:
            made = made.model_copy(update={"children": await self._make_items(post, account)})
        if made.container is None:
            if unfinished := await self._first_unfinished(made.children, account):
                return self._wait(made, unfinished, looks)
            made = made.model_copy(update={"container": await self._make(account, _container(post, made.children))})
        status = await self._status_if_there(str(made.container), account)
        if status.code == "PUBLISHED":
            return Published(_result(post, account, made, None, None, status.reply))
        return Ready(made.model_dump()) if status.code == "FINISHED" else self._wait(made, status, looks)

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Published:
        """Publish the container."""
        made = Containers.model_validate(remote)
        path, body = f"{account.external_id}/media_publish", {"creation_id": made.container}
        reply = await self._call("POST", path, account, body=body, irreversible=True)
        media_id = reply.body.get("id")
        if not isinstance(media_id, str):
            raise CallFailed(Ambiguous(reply.error(PLATFORM, "platform_answer_unexpected", "no id of the post")))
        return Published(_result(post, account, made, media_id, await self._permalink(media_id, account), reply))

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Read from the container whether it was published."""
        made = Containers.model_validate(remote)
        status = await self._status(str(made.container), account)
        if status.code == "PUBLISHED":
            return Published(_result(post, account, made, None, None, status.reply))
        if status.has_failed:
            return NotPublished(instagram_errors.failure_of_container(status.code, status.text, status.reply))
        if status.code == "FINISHED" and looks >= self.config.quiet_looks:
            error = JobError("not_published", "Instagram has not published the post; its container is still waiting.")
            return NotPublished(TryAgain(error))
        return Pending(remote, self.polling.delay(looks))

    def _wait(self, made: Containers, status: ContainerStatus, looks: int) -> Pending:
        if not status.has_failed:
            return Pending(made.model_dump(), self.polling.delay(looks))
        failure = instagram_errors.failure_of_container(status.code, status.text, status.reply)
        if isinstance(failure, Permanent) or made.rebuilds >= self.config.most_rebuilds:
            raise CallFailed(Permanent(failure.error))
        return Pending(Containers(rebuilds=made.rebuilds + 1).model_dump(), self.polling.delay(0))

    async def _make_items(self, post: Post, account: Account) -> tuple[str, ...]:
        return tuple([await self._make(account, _item(file)) for file in post.media])

    async def _make(self, account: Account, body: JsonObject) -> str:
        reply = await self._call("POST", f"{account.external_id}/media", account, body=body)
        container = reply.body.get("id")
        if not isinstance(container, str):
            error = reply.error(PLATFORM, "platform_answer_unexpected", "no id of the container")
            raise CallFailed(TryAgain(error))
        return container

    async def _first_unfinished(self, names: tuple[str, ...], account: Account) -> ContainerStatus | None:
        for name in names:
            status = await self._status_if_there(name, account)
            if status.code != "FINISHED":
                return status
        return None

    async def _status_if_there(self, name: str, account: Account) -> ContainerStatus:
        try:
            return await self._status(name, account)
        except CallFailed as failed:
            if not instagram_errors.is_gone(failed.failure):
                raise
            return ContainerStatus("EXPIRED", failed.failure.error.message, Reply(400, httpx.Headers(), {}))

    async def _status(self, name: str, account: Account) -> ContainerStatus:
        reply = await self._call("GET", name, account, query={"fields": "status_code,status"})
        return ContainerStatus(str(reply.body.get("status_code", "")), str(reply.body.get("status", "")), reply)

    async def _check_quota(self, account: Account) -> None:
        path = f"{account.external_id}/content_publishing_limit"
        reply = await self._call("GET", path, account, query={"fields": "config,quota_usage"})
        try:
            [limit] = reply.body["data"]
            used, total = int(limit["quota_usage"]), int(limit["config"]["quota_total"])
        except (KeyError, ValueError, TypeError):
            return  # advice only: the call that publishes is told when the quota is used up
        if used >= total:
            message = f"The Instagram account has made {used} of the {total} posts that it may make in 24 hours."
            raise CallFailed(Quota(JobError("quota_reached", message), self.config.waits.quota))

    async def _permalink(self, media_id: str, account: Account) -> str | None:
        """The post's address; the post is out, so nothing that goes wrong here matters."""
        try:
            reply = await self._call("GET", media_id, account, query={"fields": "permalink"})
        except CallFailed:
            return None
        permalink = reply.body.get("permalink")
        return permalink if isinstance(permalink, str) else None

    async def _call(
        self,
        method: str,
        path: str,
        account: Account,
        *,
        body: JsonObject | None = None,
        query: dict[str, str] | None = None,
        irreversible: bool = False,
    ) -> Reply:
        url = f"{self.config.base_url}/{self.config.api_version}/{path}"
        timeout = self.config.timeouts.for_answer()
        headers = account.authorization
        request = self.http.build_request(method, url, headers=headers, json=body, params=query, timeout=timeout)
        reply = await send(self.http, PLATFORM, request, irreversible=irreversible)
        if failure := instagram_errors.failure_of(reply, self.config.waits, irreversible=irreversible):
            raise CallFailed(failure)
        return reply


def _item(file: MediaFile) -> JsonObject:
    """An item of a carousel; the caption belongs to the whole."""
    if file.type.lower().startswith("video/"):
        return {"is_carousel_item": True, "media_type": "VIDEO", "video_url": file.url}
    return {"is_carousel_item": True, "image_url": file.url}


def _container(post: Post, children: tuple[str, ...]) -> JsonObject:
    settings = InstagramFeedSettings.model_validate(post.settings)
    common = without_none(caption=post.caption or None, is_ai_generated=settings.ai_generated)
    if children:
        return {"media_type": "CAROUSEL", "children": ",".join(children), **common}
    [file] = post.media
    if not file.type.lower().startswith("video/"):
        return {"image_url": file.url, **common}
    reel = without_none(share_to_feed=True, thumb_offset=settings.cover_timestamp_ms)
    return {"media_type": "REELS", "video_url": file.url, **reel, **common}


def _result(
    post: Post, account: Account, made: Containers, media_id: str | None, permalink: str | None, reply: Reply
) -> JsonObject:
    """The job's result. The id of the post is unknown where only its container could be asked."""
    return {
        "platform": "instagram",
        "option": post.option,
        "account": account.external_id,
        "container_id": made.container,
        "media_id": media_id,
        "permalink": permalink,
        "platform_response": reply.body,
    }
