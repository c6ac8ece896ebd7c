"""A double of TikTok's Content Posting API: videos and photos, posted directly or left as drafts.

Every answer has TikTok's envelope `{"data": …, "error": {"code", "message", "log_id"}}`. A post counts
as public, and enters the ledger, when its last byte is in: nothing can call it back from there. A draft counts
when it lies in the user's inbox. What is pulled is pulled after the answer, as TikTok does.
"""

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.providers.double import Double, Refusal
from devstack.providers.ledger import media_digest
from devstack.providers.pull import PullError, pull
from devstack.providers.tiktok.upload import ChunkError, ChunkPlan, Upload, parse_range
from devstack.providers.world import World, account_of

PRIVACY_LEVELS = ("PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY")
TITLE_LIMIT = 2200
PHOTO_TITLE_LIMIT, DESCRIPTION_LIMIT, MOST_PHOTOS = 90, 4000, 35
PHOTO_TYPES, LARGEST_PHOTO = ("image/jpeg", "image/webp"), 20_000_000
DIRECT_ONLY = {"privacy_level", "disable_comment", "auto_add_music", "brand_content_toggle", "brand_organic_toggle"}
UNKNOWN_PLAN = ChunkPlan(0, 1, 1)
"""Of a video that is pulled: its size is known when it has arrived."""


class TikTokError(Refusal):
    """A request is refused: HTTP status and TikTok's error code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message, _failure(status, code, message))


class TikTok(Double):
    """The endpoints, over the uploads that were opened."""

    name = "tiktok"
    steps = ("creator_info", "video_init", "inbox_video_init", "content_init", "upload", "status_fetch")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.uploads: dict[str, Upload] = {}

    def routes(self) -> list[Route]:
        """The routes below `/tiktok`."""
        post = "/v2/post/publish"
        return [
            Route(f"{post}/creator_info/query/", self.step("creator_info", self.creator_info), methods=["POST"]),
            Route(f"{post}/video/init/", self.step("video_init", self.video_init), methods=["POST"]),
            Route(f"{post}/inbox/video/init/", self.step("inbox_video_init", self.inbox_video_init), methods=["POST"]),
            Route(f"{post}/content/init/", self.step("content_init", self.content_init), methods=["POST"]),
            Route(f"{post}/status/fetch/", self.step("status_fetch", self.status_fetch), methods=["POST"]),
            Route("/upload/{publish_id}", self.step("upload", self.upload), methods=["PUT"], name="tiktok_upload"),
        ]

    def forget(self) -> None:
        """Drop every upload."""
        self.uploads.clear()

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
            return self._open_pull(account, title, source)
        raise TikTokError(400, "invalid_param", "source_info.source must be FILE_UPLOAD or PULL_FROM_URL")

    async def inbox_video_init(self, request: Request) -> Response:
        """Open a draft of a video, by upload."""
        account, body = _authorize(request), await _json_object(request)
        source = _object(body, "source_info")
        if set(body) != {"source_info"} or source.get("source") != "FILE_UPLOAD":
            raise TikTokError(400, "invalid_param", "a draft takes source_info alone, with the source FILE_UPLOAD")
        return self._open_upload(request, account, "", source, draft=True)

    async def content_init(self, request: Request) -> Response:
        """Fetch and post photos, or leave them as a draft."""
        account, body = _authorize(request), await _json_object(request)
        info, source, mode = _object(body, "post_info"), _object(body, "source_info"), body.get("post_mode")
        photos, cover = source.get("photo_images"), source.get("photo_cover_index")
        description = _check_photo_info(info, mode)
        if body.get("media_type") != "PHOTO" or source.get("source") != "PULL_FROM_URL":
            raise TikTokError(400, "invalid_param", "media_type must be PHOTO and source_info.source PULL_FROM_URL")
        if not isinstance(photos, list) or not 1 <= len(photos) <= MOST_PHOTOS:
            raise TikTokError(400, "invalid_param", f"photo_images takes 1 to {MOST_PHOTOS} addresses")
        if not isinstance(cover, int) or not 0 <= cover < len(photos):
            raise TikTokError(400, "invalid_param", "photo_cover_index must name one of the photos")
        upload = self._new_upload("p_pub_url", account, description, UNKNOWN_PLAN, draft=mode == "MEDIA_UPLOAD")
        upload.pulling = self.world.under_way.begin(self._pull_photos(upload, [str(url) for url in photos]))
        return _success({"publish_id": upload.publish_id})

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
        if upload.pulling:
            await asyncio.wait({upload.pulling})  # a look before its end would tell nothing
        return _success(upload.status())

    async def _pull_photos(self, upload: Upload, urls: list[str]) -> None:
        digests, size = [], 0
        for url in urls:
            try:
                photo = await pull(url, self.world.tls)
            except PullError:
                upload.fail_reason = "photo_pull_failed"
                return
            if photo.content_type not in PHOTO_TYPES or photo.size > LARGEST_PHOTO:
                upload.fail_reason = "file_format_check_failed"
                return
            digests.append(photo.sha256)
            size += photo.size
        upload.plan, upload.received = ChunkPlan(size, size, 1), size
        self._make_public(upload, media_digest(digests))

    def _open_upload(
        self, request: Request, account: str, title: str, source: dict[str, Any], *, draft: bool = False
    ) -> Response:
        try:
            plan = ChunkPlan.read(source)
        except ValueError as error:
            raise TikTokError(400, "invalid_param", str(error)) from error
        upload = self._new_upload("v_inbox_file" if draft else "v_pub_file", account, title, plan, draft=draft)
        url = request.url_for("tiktok_upload", publish_id=upload.publish_id)
        return _success({"publish_id": upload.publish_id, "upload_url": str(url)})

    def _open_pull(self, account: str, title: str, source: dict[str, Any]) -> Response:
        upload = self._new_upload("v_pub_url", account, title, UNKNOWN_PLAN)
        upload.pulling = self.world.under_way.begin(self._pull_video(upload, str(source.get("video_url"))))
        return _success({"publish_id": upload.publish_id})

    async def _pull_video(self, upload: Upload, url: str) -> None:
        try:
            media = await pull(url, self.world.tls)
        except PullError:
            upload.fail_reason = "video_pull_failed"
            return
        upload.plan, upload.received = ChunkPlan(media.size, media.size, 1), media.size
        self._make_public(upload, media.sha256)

    def _new_upload(self, prefix: str, account: str, title: str, plan: ChunkPlan, *, draft: bool = False) -> Upload:
        publish_id = f"{prefix}~v2-1.{self.world.next_number()}"
        upload = Upload(publish_id, account, title, plan, self.world.rules.processing_polls, draft=draft)
        self.uploads[publish_id] = upload
        return upload

    def _make_public(self, upload: Upload, sha256: str | None = None) -> None:
        upload.post_id = 7_500_000_000_000_000_000 + self.world.next_number()
        self.world.ledger.record(self.name, upload.account, upload.title, sha256 or upload.digest.hexdigest())


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
    title = _text(post_info, "title", TITLE_LIMIT)
    _check_privacy(post_info.get("privacy_level"))
    return title


def _check_photo_info(post_info: dict[str, Any], mode: object) -> str:
    """The description of photos."""
    if mode not in ("DIRECT_POST", "MEDIA_UPLOAD"):
        raise TikTokError(400, "invalid_param", "post_mode must be DIRECT_POST or MEDIA_UPLOAD")
    if mode == "MEDIA_UPLOAD" and set(post_info) & DIRECT_ONLY:
        raise TikTokError(400, "invalid_param", "a draft takes only title and description")
    if mode == "DIRECT_POST":
        _check_privacy(post_info.get("privacy_level"))
    _text(post_info, "title", PHOTO_TITLE_LIMIT)
    return _text(post_info, "description", DESCRIPTION_LIMIT)


def _text(post_info: dict[str, Any], name: str, limit: int) -> str:
    text = post_info.get(name, "")
    if not isinstance(text, str) or len(text.encode("utf-16-le")) // 2 > limit:
        raise TikTokError(400, "invalid_param", f"post_info.{name} must be text of at most {limit} units")
    return text


def _check_privacy(privacy: object) -> None:
    if privacy is None:
        raise TikTokError(400, "invalid_param", "post_info.privacy_level is required")
    if privacy not in PRIVACY_LEVELS:
        raise TikTokError(403, "privacy_level_option_mismatch", "privacy_level is not among the creator's options")
