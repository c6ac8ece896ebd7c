"""Publishing through containers, as Instagram and Threads do it: the platform fills a container by pulling media.

Making containers can be repeated at will: what is never published vanishes within a day. Publishing one is the
irreversible call; whether it took effect can be read from the container's status afterwards, also where the call was
refused.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import httpx
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
    Quota,
    Ready,
    TryAgain,
)
from functions.platforms.calls import Reply, Timeouts
from functions.platforms.meta.errors import ErrorTable, numbers_in
from functions.platforms.meta.graph import Graph
from functions.platforms.meta.refusal import Refusal
from functions.platforms.meta.usage import Waits
from functions.platforms.post import Account, MediaFile, PollPlan, Post

POLLING = PollPlan(delays_seconds=(5, 10, 20, 30, 60), most_looks=35)
"""Images are ready at once, videos within minutes; these looks cover half an hour."""


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """Where the platform is, and its numbers."""

    base_url: str
    api_version: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    waits: Waits = field(default_factory=Waits)
    polling: PollPlan = POLLING
    quiet_looks: int = 7
    """A container still unpublished at this look, four minutes after the call, was not published. Publishing takes the
    platform up to a minute or two, whether or not anybody waits for its answer."""
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
    refusal: Refusal | None = None
    """What the platform said when it refused to publish it."""


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """What the platform says of a container: IN_PROGRESS, FINISHED, ERROR, EXPIRED or PUBLISHED."""

    code: str
    text: str
    reply: Reply

    @property
    def has_failed(self) -> bool:
        """Whether it can never be published."""
        return self.code in ("ERROR", "EXPIRED")


class ContainerPlatform(ABC):
    """The steps; a platform says what its containers hold and how its calls are named."""

    name: str
    errors: ClassVar[ErrorTable]
    gone: ClassVar[frozenset[int]]
    """Numbers by which the platform says that it has no such container any more."""
    make_edge: ClassVar[str]
    publish_edge: ClassVar[str]
    limit_edge: ClassVar[str]
    limit_fields: ClassVar[str]
    status_fields: ClassVar[str]
    takes_forms: ClassVar[bool] = False
    """Whether parameters travel as form fields, not as JSON."""

    def __init__(self, http: httpx.AsyncClient, config: ContainerConfig) -> None:
        self.http = http
        self.config = config
        self.polling = config.polling
        self.graph = Graph(http, self.errors, config.timeouts, config.waits)

    @abstractmethod
    def item(self, file: MediaFile) -> JsonObject:
        """The parameters of an item of a carousel; the caption belongs to the whole."""

    @abstractmethod
    def container(self, post: Post, children: tuple[str, ...]) -> JsonObject:
        """The parameters of the post's own container."""

    @abstractmethod
    def read_status(self, reply: Reply) -> ContainerStatus:
        """The status in an answer."""

    @abstractmethod
    def failure_of(self, status: ContainerStatus) -> TryAgain | Permanent:
        """The class of a container that ended as ERROR or EXPIRED."""

    def root(self, account: Account) -> str:
        """The address of the API for this account, with its version."""
        return f"{self.config.base_url}/{self.config.api_version}"

    async def prepare(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Ready | Pending | Published:
        """Make the containers, then wait until the platform has filled them."""
        made = Containers.model_validate(remote)
        if not made.children and made.container is None:
            await self._check_quota(account)
            for file in post.media:
                await media.check_pull(self.http, file, self.config.timeouts)
        if len(post.media) > 1 and not made.children:
            children = [await self._make(account, self.item(file)) for file in post.media]
            made = made.model_copy(update={"children": tuple(children)})
        if made.container is None:
            if unfinished := await self._first_unfinished(made.children, account):
                return self._wait(made, unfinished, looks)
            container = await self._make(account, self.container(post, made.children))
            made = made.model_copy(update={"container": container})
        status = await self._status_if_there(str(made.container), account)
        if status.code == "PUBLISHED":
            return Published(self._result(post, account, made, None, None, status.reply))
        return Ready(made.model_dump()) if status.code == "FINISHED" else self._wait(made, status, looks)

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Pending | Published:
        """Publish the container."""
        made = Containers.model_validate(remote)
        parameters: JsonObject = {"creation_id": made.container}
        try:
            reply = await self._post(self.publish_edge, account, parameters, irreversible=True)
        except CallFailed as failed:
            if not isinstance(failed.failure, Permanent | Quota):
                raise
            refused = made.model_copy(update={"refusal": Refusal.of(failed.failure)})
            return Pending(refused.model_dump(), self.polling.delay(0))
        media_id = reply.body.get("id")
        if not isinstance(media_id, str):
            error = reply.error(self.errors.platform, "platform_answer_unexpected", "no id of the post")
            raise CallFailed(Ambiguous(error))
        permalink = await self._permalink(media_id, account)
        return Published(self._result(post, account, made, media_id, permalink, reply))

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Read from the container whether it was published."""
        made = Containers.model_validate(remote)
        try:
            status = await self._status(str(made.container), account)
        except CallFailed as failed:
            if not isinstance(failed.failure, Permanent) or looks >= self.config.quiet_looks:
                raise
            return Pending(remote, self.polling.delay(looks))  # the Graph API denies containers now and then
        if status.code == "PUBLISHED":
            return Published(self._result(post, account, made, None, None, status.reply))
        if status.has_failed:
            return NotPublished(self.failure_of(status))
        if status.code == "FINISHED" and looks >= self.config.quiet_looks:
            return NotPublished(self._why_unpublished(made))
        return Pending(remote, self.polling.delay(looks))

    def _why_unpublished(self, made: Containers) -> TryAgain | Quota | Permanent:
        if made.refusal:
            return made.refusal.failure
        message = f"{self.errors.platform} has not published the post; its container is still waiting."
        return TryAgain(JobError("not_published", message))

    def _wait(self, made: Containers, status: ContainerStatus, looks: int) -> Pending:
        if not status.has_failed:
            return Pending(made.model_dump(), self.polling.delay(looks))
        failure = self.failure_of(status)
        if isinstance(failure, Permanent) or made.rebuilds >= self.config.most_rebuilds:
            raise CallFailed(Permanent(failure.error))
        return Pending(Containers(rebuilds=made.rebuilds + 1).model_dump(), self.polling.delay(0))

    async def _make(self, account: Account, parameters: JsonObject) -> str:
        reply = await self._post(self.make_edge, account, parameters)
        container = reply.body.get("id")
        if not isinstance(container, str):
            error = reply.error(self.errors.platform, "platform_answer_unexpected", "no id of the container")
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
            numbers = numbers_in(failed.failure.error)
            code = "EXPIRED" if numbers & self.gone else "IN_PROGRESS" if numbers & self.errors.refused else None
            if code is None:
                raise
            return ContainerStatus(code, failed.failure.error.message, Reply(400, httpx.Headers(), {}))

    async def _status(self, name: str, account: Account) -> ContainerStatus:
        return self.read_status(await self._get(name, account, self.status_fields))

    async def _check_quota(self, account: Account) -> None:
        reply = await self._get(f"{account.external_id}/{self.limit_edge}", account, self.limit_fields)
        self.graph.check_usage(reply)
        try:
            [limit] = reply.body["data"]
            used, total = int(limit["quota_usage"]), int(limit["config"]["quota_total"])
        except (KeyError, ValueError, TypeError):
            return  # advice only: the call that publishes is told when the quota is used up
        if used >= total:
            platform = self.errors.platform
            message = f"The {platform} account has made {used} of the {total} posts that it may make in 24 hours."
            raise CallFailed(Quota(JobError("quota_reached", message), self.config.waits.quota))

    async def _permalink(self, media_id: str, account: Account) -> str | None:
        """The post's address; the post is out, so nothing that goes wrong here matters."""
        try:
            reply = await self._get(media_id, account, "permalink")
        except CallFailed:
            return None
        permalink = reply.body.get("permalink")
        return permalink if isinstance(permalink, str) else None

    async def _get(self, path: str, account: Account, fields: str) -> Reply:
        return await self.graph.call("GET", f"{self.root(account)}/{path}", account, query={"fields": fields})

    async def _post(self, edge: str, account: Account, parameters: JsonObject, *, irreversible: bool = False) -> Reply:
        url = f"{self.root(account)}/{account.external_id}/{edge}"
        if self.takes_forms:
            return await self.graph.call("POST", url, account, form=parameters, irreversible=irreversible)
        return await self.graph.call("POST", url, account, body=parameters, irreversible=irreversible)

    def _result(
        self,
        post: Post,
        account: Account,
        made: Containers,
        media_id: str | None,
        permalink: str | None,
        reply: Reply,
    ) -> JsonObject:
        """The job's result. The id of the post is unknown where only its container could be asked."""
        return {
            "platform": self.name,
            "option": post.option,
            "account": account.external_id,
            "container_id": made.container,
            "media_id": media_id,
            "permalink": permalink,
            "platform_response": reply.body,
        }
