"""A double of X's API v2: bringing media up, posting, and reading an account's recent posts.

A post enters the ledger at `POST /2/tweets`. Like X, this double refuses a text that the account has already
posted, shortens addresses, and adds one for the media.
"""

import html
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.providers.double import Double, Refusal
from devstack.providers.ledger import media_digest
from devstack.providers.world import World, account_of
from devstack.providers.x.media import Media, MediaError, check_announcement, check_choice

PROBLEMS = "https://api.x.com/2/problems/"
ADDRESS = re.compile(r"https?://\S+")
POST_FIELDS = frozenset(
    {"text", "media", "reply_settings", "made_with_ai", "paid_partnership", "reply", "poll", "community_id"}
)
WINDOW_SECONDS = 900
WINDOW_POSTS = 100


class XError(Refusal):
    """A request is refused, as problem JSON."""

    def __init__(self, status: int, title: str, detail: str, slug: str = "") -> None:
        super().__init__(detail, _problem(status, title, detail, slug))


@dataclass(slots=True)
class Tweet:
    """One post as its author wrote it."""

    id: str
    account: str
    text: str
    media: tuple[Media, ...]
    at: datetime
    unseen_looks: int

    def is_seen(self) -> bool:
        """Whether a list of posts shows it; each call is one look."""
        self.unseen_looks -= 1
        return self.unseen_looks < 0

    def shown(self) -> dict[str, Any]:
        """As X shows it: addresses are short ones, one more stands for the media."""
        urls: list[dict[str, Any]] = []

        def shorten(match: re.Match[str]) -> str:
            urls.append({"url": f"https://t.co/{self.id}{len(urls)}", "expanded_url": match.group()})
            return str(urls[-1]["url"])

        text = ADDRESS.sub(shorten, self.text)
        if self.media:
            link = {"url": f"https://t.co/{self.id}m", "expanded_url": f"https://x.com/i/status/{self.id}/photo/1"}
            urls.append({**link, "media_key": self.media[0].key})
            text = f"{text} {link['url']}".strip()
        shown: dict[str, Any] = {"id": self.id, "text": html.escape(text, quote=False)}
        shown |= {"created_at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        keys = {"attachments": {"media_keys": [each.key for each in self.media]}} if self.media else {}
        return shown | ({"entities": {"urls": urls}} if urls else {}) | keys


class X(Double):
    """The endpoints, over media and posts."""

    name = "x"
    steps = ("media_initialize", "media_append", "media_finalize", "media_status", "create_post", "recent_posts")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.media: dict[str, Media] = {}
        self.posts: list[Tweet] = []

    def routes(self) -> list[Route]:
        """The routes below `/x`."""
        upload, one = "/2/media/upload", "/2/media/upload/{media_id}"
        return [
            Route(f"{upload}/initialize", self.step("media_initialize", self.initialize), methods=["POST"]),
            Route(f"{one}/append", self.step("media_append", self.append), methods=["POST"]),
            Route(f"{one}/finalize", self.step("media_finalize", self.finalize), methods=["POST"]),
            Route(upload, self.step("media_status", self.media_status), methods=["GET"]),
            Route("/2/tweets", self.step("create_post", self.create_post), methods=["POST"]),
            Route("/2/users/{account}/tweets", self.step("recent_posts", self.recent_posts), methods=["GET"]),
        ]

    def forget(self) -> None:
        """Drop media and posts."""
        self.media.clear()
        self.posts.clear()

    def server_error(self) -> Response:
        """X broke."""
        return _problem(503, "Service Unavailable", "Service Unavailable", "")

    def rate_limited(self) -> Response:
        """X was asked too often."""
        return _problem(429, "Too Many Requests", "Too Many Requests", "", remaining=0)

    async def initialize(self, request: Request) -> Response:
        """Announce a file."""
        account = _authorize(request)
        try:
            category, total = check_announcement(await _json_object(request))
        except MediaError as error:
            raise _invalid(str(error)) from error
        media_id = f"19{self.world.next_number():017d}"
        polls = 0 if category == "tweet_image" else self.world.rules.processing_polls
        self.media[media_id] = Media(media_id, f"3_{media_id}", account, category, total, polls)
        return _success({"id": media_id, "media_key": f"3_{media_id}", "expires_after_secs": 86400})

    async def append(self, request: Request) -> Response:
        """One segment."""
        media = self._media(request.path_params["media_id"], _authorize(request))
        async with request.form() as form:
            content = form.get("media")
            if not isinstance(content, UploadFile):
                raise _invalid("media must be a part of a multipart form")
            try:
                media.take(form.get("segment_index"), await content.read())
            except MediaError as error:
                raise _invalid(str(error)) from error
        return _success({"expires_at": int(time.time()) + 86400})

    async def finalize(self, request: Request) -> Response:
        """All segments are in."""
        media = self._media(request.path_params["media_id"], _authorize(request))
        try:
            media.close()
        except MediaError as error:
            raise _invalid(str(error)) from error
        return _success(media.answer())

    async def media_status(self, request: Request) -> Response:
        """How far processing has come; each call is one poll."""
        account = _authorize(request)
        if request.query_params.get("command") != "STATUS":
            raise _invalid("command must be STATUS")
        media = self._media(request.query_params.get("media_id", ""), account)
        answer = media.answer()
        media.polls_left -= 1
        return _success(answer)

    async def create_post(self, request: Request) -> Response:
        """Publish a post."""
        account = _authorize(request)
        body = await _json_object(request)
        if unknown := set(body) - POST_FIELDS:
            raise _invalid(f"The fields {sorted(unknown)} are not allowed.")
        text, media = str(body.get("text", "")), self._attached(body, account)
        if not text and not media:
            raise _invalid("A post needs text or media.")
        if text and any(post.account == account and post.text == text for post in self.posts):
            detail = "You are not allowed to create a Tweet with duplicate content."
            raise XError(403, "Forbidden", detail)
        post_id, unseen = f"20{self.world.next_number():017d}", self.world.rules.unseen_looks
        post = Tweet(post_id, account, text, tuple(media), datetime.now(UTC), unseen)
        self.posts.append(post)
        self.world.ledger.record(self.name, account, text, media_digest([each.sha256 for each in media]))
        data = {"id": post.id, "text": post.shown()["text"], "edit_history_post_ids": [post.id]}
        return _success(data, status=201)

    async def recent_posts(self, request: Request) -> Response:
        """The account's posts, newest first."""
        account = _authorize(request)
        if request.path_params["account"] != account:
            raise XError(403, "Forbidden", "This is another account.", "not-authorized-for-resource")
        most = request.query_params.get("max_results", "10")
        if not (most.isdecimal() and 5 <= int(most) <= 100):
            raise _invalid("max_results must be from 5 to 100")
        asked = {"id", "text", *request.query_params.get("tweet.fields", "").split(",")}
        own = [post.shown() for post in reversed(self.posts) if post.account == account and post.is_seen()][: int(most)]
        data = [{name: value for name, value in post.items() if name in asked} for post in own]
        return JSONResponse(({"data": data} if data else {}) | {"meta": {"result_count": len(data)}})

    def _attached(self, body: dict[str, Any], account: str) -> list[Media]:
        if "media" not in body:
            return []
        names = body["media"].get("media_ids") if isinstance(body["media"], dict) else None
        if not isinstance(names, list) or not names:
            raise _invalid("media.media_ids must be a list of 1 to 4 ids")
        media = [self._media(str(name), account) for name in names]
        try:
            check_choice(media)
        except MediaError as error:
            raise _invalid(str(error)) from error
        return media

    def _media(self, media_id: str, account: str) -> Media:
        media = self.media.get(media_id)
        if media is None or media.account != account:
            raise _invalid(f"The media {media_id} is not one of yours.")
        return media


def _success(data: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse({"data": data}, status_code=status, headers=_limits(WINDOW_POSTS - 1))


def _problem(status: int, title: str, detail: str, slug: str, remaining: int = WINDOW_POSTS - 1) -> Response:
    body = {"title": title, "detail": detail, "type": PROBLEMS + slug if slug else "about:blank", "status": status}
    return JSONResponse(body, status_code=status, headers=_limits(remaining), media_type="application/problem+json")


def _limits(remaining: int) -> dict[str, str]:
    reset = str(int(time.time()) + WINDOW_SECONDS)
    return {
        "x-rate-limit-limit": str(WINDOW_POSTS),
        "x-rate-limit-remaining": str(remaining),
        "x-rate-limit-reset": reset,
    }


def _invalid(detail: str) -> XError:
    return XError(400, "Invalid Request", detail, "invalid-request")


def _authorize(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    account = account_of(token) if scheme.lower() == "bearer" else None
    if account is None:
        raise XError(401, "Unauthorized", "Unauthorized")
    return account


async def _json_object(request: Request) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise _invalid("The body must be JSON.")
    try:
        body = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        raise _invalid("The body must be a JSON object.")
    return body
