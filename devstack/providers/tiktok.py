"""A double of TikTok's Content Posting API: what a direct video post needs.

Every answer has TikTok's envelope `{"data": …, "error": {"code", "message", "log_id"}}`. A post counts
as public, and enters the ledger, when its last byte is in: nothing can call it back from there.
"""

import json
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.providers.faults import Endpoint
from devstack.providers.pull import PullError, pull
from devstack.providers.tiktok_upload import ChunkError, ChunkPlan, Upload, parse_range
from devstack.providers.world import World, account_of

PRIVACY_LEVELS = ("PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY")
TITLE_LIMIT = 2200
UNKNOWN_PLAN = ChunkPlan(0, 1, 1)
"""Of a video that is pulled: its size is known when it has arrived."""
STEPS = ("creator_info", "video_init", "upload", "status_fetch")


class TikTokError(Exception):
    """A request is refused: HTTP status and TikTok's error code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class TikTok:
    """The endpoints, over the uploads that were opened."""

    name = "tiktok"

    def __init__(self, world: World) -> None:
        self.world = world
        self.uploads: dict[str, Upload] = {}

    def routes(self) -> list[Route]:
        """The routes below `/tiktok`."""
        post = "/v2/post/publish"
        return [
            Route(f"{post}/creator_info/query/", self._step("creator_info", self.creator_info), methods=["POST"]),
            Route(f"{post}/video/init/", self._step("video_init", self.video_init), methods=["POST"]),
            Route(f"{post}/status/fetch/", self._step("status_fetch", self.status_fetch), methods=["POST"]),
            Route("/upload/{publish_id}", self._step("upload", self.upload), methods=["PUT"], name="tiktok_upload"),
        ]

    def server_error(self) -> Response:
        """TikTok broke."""
        return _failure(500, "internal_error", "Something is wrong on our side. Please try again later.")

    def rate_limited(self) -> Response:
        """TikTok was asked too often."""
        return _failure(429, "rate_limit_exceeded", "The API rate limit was exceeded.")

    async def creator_info(self, request: Request) -> Response:
        """Who posts, and what they allow."""
        account = _authorize(request)
        return _success(
            {
                "creator_avatar_url": f"https://avatars.example/{account}.jpg",
                "creator_username": account,
                "creator_nickname": account,
                "privacy_level_options": list(PRIVACY_LEVELS),
                "comment_disabled": False,
                "duet_disabled": False,
                "stitch_disabled": False,
                "max_video_post_duration_sec": 600,
            }
        )

    async def video_init(self, request: Request) -> Response:
        """Open a post, by upload or by pull."""
        account = _authorize(request)
        body = await _json_object(request)
        title = _check_post_info(_object(body, "post_info"))
        source = _object(body, "source_info")
        if source.get("source") == "FILE_UPLOAD":
            return self._open_upload(request, account, title, source)
        if source.get("source") == "PULL_FROM_URL":
            return await self._open_pull(account, title, source)
        raise TikTokError(400, "invalid_param", "source_info.source must be FILE_UPLOAD or PULL_FROM_URL")

    async def upload(self, request: Request) -> Response:
        """One chunk: 206 while more is expected, 201 after the last."""
        upload = self.uploads.get(request.path_params["publish_id"])
        if upload is None:
            return Response(status_code=404)
        try:
            span = upload.expect(parse_range(request.headers.get("content-range", "")))
            digest, length = upload.digest.copy(), 0
            async for part in request.stream():
                digest.update(part)
                length += len(part)
            upload.accept(span, length, digest)
        except ChunkError as refusal:
            return Response(status_code=refusal.status)
        except ClientDisconnect:
            return Response(status_code=400)
        if not upload.complete:
            return Response(status_code=206, headers={"Content-Range": f"bytes 0-{upload.received - 1}/{upload.size}"})
        self._make_public(upload)
        return Response(status_code=201)

    async def status_fetch(self, request: Request) -> Response:
        """How far a post has come."""
        account = _authorize(request)
        upload = self.uploads.get(str((await _json_object(request)).get("publish_id")))
        if upload is None:
            raise TikTokError(400, "invalid_publish_id", "The publish_id does not exist.")
        if upload.account != account:
            code = "token_not_authorized_for_specified_publish_id"
            raise TikTokError(400, code, "The token is not authorized for this publish_id.")
        return _success(upload.status())

    def _open_upload(self, request: Request, account: str, title: str, source: dict[str, Any]) -> Response:
        try:
            plan = ChunkPlan.read(source)
        except ValueError as error:
            raise TikTokError(400, "invalid_param", str(error)) from error
        upload = self._new_upload("v_pub_file", account, title, plan)
        url = request.url_for("tiktok_upload", publish_id=upload.publish_id)
        return _success({"publish_id": upload.publish_id, "upload_url": str(url)})

    async def _open_pull(self, account: str, title: str, source: dict[str, Any]) -> Response:
        upload = self._new_upload("v_pub_url", account, title, UNKNOWN_PLAN)
        upload.pulled = True
        try:
            media = await pull(str(source.get("video_url")), self.world.tls)
        except PullError:
            upload.fail_reason = "video_pull_failed"
        else:
            upload.plan = ChunkPlan(media.size, media.size, 1)
            upload.received = media.size
            self._make_public(upload, media.sha256)
        return _success({"publish_id": upload.publish_id})

    def _new_upload(self, prefix: str, account: str, title: str, plan: ChunkPlan) -> Upload:
        publish_id = f"{prefix}~v2-1.{self.world.next_number()}"
        upload = Upload(publish_id, account, title, plan, self.world.rules.processing_polls)
        self.uploads[publish_id] = upload
        return upload

    def _make_public(self, upload: Upload, sha256: str | None = None) -> None:
        upload.post_id = 7_500_000_000_000_000_000 + self.world.next_number()
        self.world.ledger.record(self.name, upload.account, upload.title, sha256 or upload.digest.hexdigest())

    def _step(self, step: str, endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except TikTokError as refusal:
                return _failure(refusal.status, refusal.code, str(refusal))

        async def run(request: Request) -> Response:
            return await self.world.faults.meet(self, step, request, answer)

        return run


def _success(data: dict[str, Any]) -> Response:
    return JSONResponse({"data": data, "error": {"code": "ok", "message": "", "log_id": "double"}})


def _failure(status: int, code: str, message: str) -> Response:
    body = {"data": {}, "error": {"code": code, "message": message, "log_id": "double"}}
    return JSONResponse(body, status_code=status)


def _authorize(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    account = account_of(token) if scheme.lower() == "bearer" else None
    if account is None:
        raise TikTokError(401, "access_token_invalid", "The access token is invalid or has expired.")
    return account


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        raise TikTokError(400, "invalid_param", "The body must be a JSON object.")
    return body


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise TikTokError(400, "invalid_param", f"{name} is required")
    return value


def _check_post_info(post_info: dict[str, Any]) -> str:
    title, privacy = post_info.get("title", ""), post_info.get("privacy_level")
    if not isinstance(title, str) or len(title.encode("utf-16-le")) // 2 > TITLE_LIMIT:
        raise TikTokError(400, "invalid_param", f"post_info.title must be text of at most {TITLE_LIMIT} units")
    if privacy is None:
        raise TikTokError(400, "invalid_param", "post_info.privacy_level is required")
    if privacy not in PRIVACY_LEVELS:
        raise TikTokError(403, "privacy_level_option_mismatch", "privacy_level is not among the creator's options")
    return title
