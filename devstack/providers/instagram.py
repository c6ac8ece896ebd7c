"""A double of the Instagram Graph API: what publishing an image, a reel or a carousel needs.

A post enters the ledger at `media_publish`. This double publishes a container again when asked
twice, and so shows a caller that repeats the one irreversible call.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.providers.faults import Endpoint
from devstack.providers.instagram_media import (
    Container,
    GraphError,
    check_caption,
    check_children,
    pull_media,
)
from devstack.providers.ledger import media_digest
from devstack.providers.world import World, account_of

STEPS = ("container", "container_status", "media_publish", "permalink", "publishing_limit")
QUOTA_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Post:
    """One published post."""

    account: str
    permalink: str
    at: float
    """Moment of `time.monotonic`, for the daily quota."""


class Instagram:
    """The endpoints, over containers and posts."""

    name = "instagram"

    def __init__(self, world: World) -> None:
        self.world = world
        self.containers: dict[str, Container] = {}
        self.posts: dict[str, Post] = {}

    def routes(self) -> list[Route]:
        """The routes below `/instagram`."""
        account = "/{version}/{account}"
        limit = self._step("publishing_limit", self.publishing_limit)
        publish = self._step("media_publish", self.media_publish)
        return [
            Route(f"{account}/media", self._step("container", self.create_container), methods=["POST"]),
            Route(f"{account}/media_publish", publish, methods=["POST"]),
            Route(f"{account}/content_publishing_limit", limit, methods=["GET"]),
            Route("/{version}/{object_id}", self.read_object, methods=["GET"]),
        ]

    def server_error(self) -> Response:
        """Instagram broke."""
        return _failure(GraphError(1, None, "An unknown error has occurred.", status=500))

    def rate_limited(self) -> Response:
        """Instagram was asked too often."""
        return _failure(GraphError(4, None, "Application request limit reached"))

    async def create_container(self, request: Request) -> Response:
        """Make a container for one item, or for a carousel of earlier ones."""
        parameters = await _parameters(request)
        account = _authorize(request, parameters, request.path_params["account"])
        caption = check_caption(parameters.get("caption", ""))
        if parameters.get("media_type") == "CAROUSEL":
            own = {name: each for name, each in self.containers.items() if each.account == account}
            media = media_digest([child.sha256 for child in check_children(parameters.get("children"), own)])
        else:
            media = await pull_media(parameters, self.world.tls)
        container_id = f"178{self.world.next_number():014d}"
        polls = self.world.rules.processing_polls
        is_child = parameters.get("is_carousel_item") in (True, "true")
        self.containers[container_id] = Container(account, caption, media, polls, is_child=is_child)
        return JSONResponse({"id": container_id})

    async def media_publish(self, request: Request) -> Response:
        """Publish a container that is ready."""
        parameters = await _parameters(request)
        account = _authorize(request, parameters, request.path_params["account"])
        container = self._container(str(parameters.get("creation_id")), account)
        if container.polls_left > 0:
            raise GraphError(9007, 2207027, "Media ID is not available")
        if container.is_child:
            raise GraphError(100, None, "An item of a carousel cannot be published alone")
        media_id = f"180{self.world.next_number():014d}"
        permalink = f"https://www.instagram.com/p/{media_id}/"
        self.posts[media_id] = Post(account, permalink, time.monotonic())
        container.published = True
        self.world.ledger.record(self.name, account, container.caption, container.sha256)
        return JSONResponse({"id": media_id})

    async def publishing_limit(self, request: Request) -> Response:
        """How much of the daily quota is used."""
        account = _authorize(request, request.query_params, request.path_params["account"])
        since = time.monotonic() - QUOTA_SECONDS
        used = sum(post.account == account and post.at >= since for post in self.posts.values())
        config = {"quota_total": self.world.rules.instagram_quota_total, "quota_duration": QUOTA_SECONDS}
        return JSONResponse({"data": [{"quota_usage": used, "config": config}]})

    async def read_object(self, request: Request) -> Response:
        """A container's status, or a post's permalink."""
        if request.path_params["object_id"] in self.posts:
            return await self._step("permalink", self._permalink)(request)
        return await self._step("container_status", self._container_status)(request)

    async def _permalink(self, request: Request) -> Response:
        media_id = request.path_params["object_id"]
        post = self.posts[media_id]
        _authorize(request, request.query_params, post.account)
        return JSONResponse({"permalink": post.permalink, "id": media_id})

    async def _container_status(self, request: Request) -> Response:
        container_id = request.path_params["object_id"]
        account = _authorize(request, request.query_params, None)
        status = self._container(container_id, account).poll()
        return JSONResponse({"status_code": status, "status": status.capitalize(), "id": container_id})

    def _container(self, container_id: str, account: str) -> Container:
        container = self.containers.get(container_id)
        if container is None or container.account != account:
            raise GraphError(24, 2207006, "The requested resource does not exist")
        return container

    def _step(self, step: str, endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except GraphError as error:
                return _failure(error)

        async def run(request: Request) -> Response:
            return await self.world.faults.meet(self, step, request, answer)

        return run


def _failure(error: GraphError) -> Response:
    body = {"message": str(error), "type": "OAuthException", "code": error.code, "fbtrace_id": "double"}
    if error.subcode is not None:
        body["error_subcode"] = error.subcode
    return JSONResponse({"error": body}, status_code=error.status)


async def _parameters(request: Request) -> dict[str, Any]:
    """Query, and a body of JSON or of form fields, as the Graph API takes them."""
    parameters: dict[str, Any] = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            body = await request.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            body = None
        if not isinstance(body, dict):
            raise GraphError(100, None, "The body must be a JSON object")
        return parameters | body
    return parameters | dict(await request.form())


def _authorize(request: Request, parameters: Mapping[str, Any], account: str | None) -> str:
    """The account of the token, which must be `account` unless that is None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = str(parameters.get("access_token", ""))
    owner = account_of(token)
    if owner is None:
        raise GraphError(190, 463, "Error validating access token: the session has expired")
    if account not in (None, owner):
        raise GraphError(10, None, "Application does not have permission for this action")
    return owner
