"""Containers as Instagram and Threads have them: made from media that is pulled, filled after a while, then published.

A post enters the ledger when its container is published. These doubles publish a container again when asked
twice, and so show a caller that repeats the one irreversible call.
"""

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.providers.ledger import media_digest
from devstack.providers.meta.graph import GraphDouble, GraphError, authorize, is_true, read_parameters
from devstack.providers.world import World

QUOTA_SECONDS = 86_400


@dataclass(slots=True)
class Container:
    """Media that is, or will be, ready to publish."""

    account: str
    caption: str
    sha256: str
    polls_left: int
    is_child: bool = False
    unseen_looks: int | None = None
    """Of one that is published: looks that do not show it yet."""

    def poll(self) -> str:
        """Its status; each call is one poll."""
        if self.unseen_looks is not None:
            self.unseen_looks -= 1
            return "PUBLISHED" if self.unseen_looks < 0 else "FINISHED"
        if self.polls_left <= 0:
            return "FINISHED"
        self.polls_left -= 1
        return "IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class Post:
    """One published post."""

    account: str
    permalink: str
    at: float
    """Moment of `time.monotonic`, for the daily quota."""


class ContainerDouble(GraphDouble):
    """The endpoints, over containers and posts; a platform says what its containers may hold."""

    make_edge: ClassVar[str]
    publish_edge: ClassVar[str]
    limit_edge: ClassVar[str]
    most_children: ClassVar[int]

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.containers: dict[str, Container] = {}
        self.posts: dict[str, Post] = {}

    @abstractmethod
    def check_text(self, parameters: Mapping[str, Any]) -> str:
        """The text of a post, if it may have it."""

    @abstractmethod
    async def pull_media(self, parameters: Mapping[str, Any]) -> str:
        """Fetch what a container of one item is to hold; answers its digest."""

    @abstractmethod
    def describe(self, status: str) -> dict[str, str]:
        """A container's status in the platform's own fields."""

    @abstractmethod
    def permalink_of(self, media_id: str) -> str:
        """The address of a post."""

    @property
    @abstractmethod
    def quota_total(self) -> int:
        """Posts an account may make in 24 hours."""

    def routes(self) -> list[Route]:
        """The routes below the platform's prefix."""
        account = "/{version}/{account}"
        limit = self.step("publishing_limit", self.publishing_limit)
        publish = self.step(self.publish_edge, self.publish)
        return [
            Route(f"{account}/{self.make_edge}", self.step("container", self.create_container), methods=["POST"]),
            Route(f"{account}/{self.publish_edge}", publish, methods=["POST"]),
            Route(f"{account}/{self.limit_edge}", limit, methods=["GET"]),
            Route("/{version}/{object_id}", self.read_object, methods=["GET"]),
        ]

    def forget(self) -> None:
        """Drop every container and post."""
        self.containers.clear()
        self.posts.clear()

    async def create_container(self, request: Request) -> Response:
        """Make a container for one item, or for a carousel of earlier ones."""
        parameters = await read_parameters(request)
        account = authorize(request, parameters, request.path_params["account"])
        text = self.check_text(parameters)
        if parameters.get("media_type") == "CAROUSEL":
            media = media_digest([child.sha256 for child in self._children(parameters.get("children"), account)])
        else:
            media = await self.pull_media(parameters)
        container_id = f"178{self.world.next_number():014d}"
        polls, is_child = self.world.rules.processing_polls, is_true(parameters.get("is_carousel_item"))
        self.containers[container_id] = Container(account, text, media, polls, is_child=is_child)
        return JSONResponse({"id": container_id})

    async def publish(self, request: Request) -> Response:
        """Publish a container that is ready."""
        parameters = await read_parameters(request)
        account = authorize(request, parameters, request.path_params["account"])
        container = self._container(str(parameters.get("creation_id")), account)
        if container.polls_left > 0:
            raise GraphError(9007, 2207027, "Media ID is not available")
        if container.is_child:
            raise GraphError(100, None, "An item of a carousel cannot be published alone")
        media_id = f"180{self.world.next_number():014d}"
        self.posts[media_id] = Post(account, self.permalink_of(media_id), time.monotonic())
        container.unseen_looks = self.world.rules.unseen_looks
        self.world.ledger.record(self.name, account, container.caption, container.sha256)
        return JSONResponse({"id": media_id})

    async def publishing_limit(self, request: Request) -> Response:
        """How much of the daily quota is used."""
        account = authorize(request, request.query_params, request.path_params["account"])
        since = time.monotonic() - QUOTA_SECONDS
        used = sum(post.account == account and post.at >= since for post in self.posts.values())
        config = {"quota_total": self.quota_total, "quota_duration": QUOTA_SECONDS}
        return JSONResponse({"data": [{"quota_usage": used, "config": config}]})

    async def read_object(self, request: Request) -> Response:
        """A container's status, or a post's permalink."""
        if request.path_params["object_id"] in self.posts:
            return await self.step("permalink", self._permalink)(request)
        return await self.step("container_status", self._container_status)(request)

    async def _permalink(self, request: Request) -> Response:
        media_id = request.path_params["object_id"]
        post = self.posts[media_id]
        authorize(request, request.query_params, post.account)
        return JSONResponse({"permalink": post.permalink, "id": media_id})

    async def _container_status(self, request: Request) -> Response:
        container_id = request.path_params["object_id"]
        account = authorize(request, request.query_params, None)
        status = self._container(container_id, account).poll()
        return JSONResponse({**self.describe(status), "id": container_id})

    def _children(self, children: object, account: str) -> list[Container]:
        """The containers a carousel names, given as `id1,id2` or as a list."""
        names = children.split(",") if isinstance(children, str) else children
        if not isinstance(names, list) or not 2 <= len(names) <= self.most_children:
            raise GraphError(100, 2207028, f"A carousel needs 2 to {self.most_children} children")
        found = [self._container(str(name), account) for name in names]
        if not all(child.is_child and child.polls_left <= 0 for child in found):
            raise GraphError(9007, 2207027, "Every child must be a finished item of a carousel")
        return found

    def _container(self, container_id: str, account: str) -> Container:
        container = self.containers.get(container_id)
        if container is None or container.account != account:
            raise self.unknown_container()
        return container

    @abstractmethod
    def unknown_container(self) -> GraphError:
        """The refusal of a container that is not there."""
