"""A double of LinkedIn's Posts API, with its images, videos and documents.

A post enters the ledger at `POST /rest/posts`. Like LinkedIn, this double refuses a post that is identical to a
live one and names it.
"""

import json
import re
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.providers.double import Double, Refusal
from devstack.providers.ledger import media_digest
from devstack.providers.linkedin.assets import SINGULAR, Asset, AssetError, read_video_size
from devstack.providers.linkedin.posts import PostError, check_post, read_commentary, read_content
from devstack.providers.world import World, account_of

OLDEST_VERSION = "202512"
VERSION = re.compile(r"20\d{4}", re.ASCII)
OWNER = re.compile(r"urn:li:(person|organization):(.+)")


class LinkedInError(Refusal):
    """A request is refused: HTTP status, code and words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message, _failure(status, code, message))


class LinkedIn(Double):
    """The endpoints, over media and posts."""

    name = "linkedin"
    steps = ("initialize_upload", "upload", "finalize_upload", "media_status", "create_post")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.assets: dict[str, Asset] = {}
        self.posts: dict[str, str] = {}
        """Of every live post its content and its URN."""

    def routes(self) -> list[Route]:
        """The routes below `/linkedin`."""
        upload = self.step("upload", self.upload)
        status = self.step("media_status", self.media_status)
        return [
            Route("/rest/posts", self.step("create_post", self.create_post), methods=["POST"]),
            Route("/rest/{collection}", self.act, methods=["POST"]),
            Route("/rest/{collection}/{urn}", status, methods=["GET"]),
            Route("/upload/{urn}/{number:int}", upload, methods=["PUT"], name="linkedin_upload"),
        ]

    def forget(self) -> None:
        """Drop media and posts."""
        self.assets.clear()
        self.posts.clear()

    def server_error(self) -> Response:
        """LinkedIn broke."""
        return _failure(500, "INTERNAL_SERVER_ERROR", "Internal Server Error")

    def rate_limited(self) -> Response:
        """LinkedIn was asked too often."""
        return _failure(
            429, "TOO_MANY_REQUESTS", "Resource level throttle limit for calls to this resource is reached."
        )

    async def act(self, request: Request) -> Response:
        """`?action=initializeUpload` or `finalizeUpload`."""
        action = request.query_params.get("action")
        if action == "initializeUpload":
            return await self.step("initialize_upload", self.initialize_upload)(request)
        return await self.step("finalize_upload", self.finalize_upload)(request)

    async def initialize_upload(self, request: Request) -> Response:
        """Announce a file; the answer says where it goes."""
        account, collection = _authorize(request), request.path_params["collection"]
        wanted = (await _json_object(request)).get("initializeUploadRequest")
        if collection not in SINGULAR or not isinstance(wanted, dict):
            raise LinkedInError(400, "ILLEGAL_ARGUMENT", "initializeUploadRequest is required")
        owner = _owner(wanted.get("owner"), account)
        try:
            size = read_video_size(wanted) if collection == "videos" else None
        except AssetError as error:
            raise LinkedInError(400, "ILLEGAL_ARGUMENT", str(error)) from error
        # A person's token cannot ask for the state of images and documents, so theirs are ready at once.
        silent = size is None and owner.startswith("urn:li:person:")
        number = self.world.next_number()
        asset = Asset(f"urn:li:{SINGULAR[collection]}:D{number}", collection, owner, size, 0)
        asset.polls_left = 0 if silent else self.world.rules.processing_polls
        self.assets[asset.urn] = asset
        return JSONResponse({"value": self._instructions(request, asset)})

    async def upload(self, request: Request) -> Response:
        """A whole file, or a part of a video."""
        asset = self.assets.get(request.path_params["urn"])
        if asset is None:
            raise LinkedInError(404, "NOT_FOUND", "The upload does not exist.")
        if asset.collection != "videos":
            _owner(asset.owner, _bearer(request))
        try:
            etag = asset.take(request.path_params["number"], await request.body())
        except (AssetError, IndexError) as error:
            raise LinkedInError(400, "ILLEGAL_ARGUMENT", str(error)) from error
        return Response(status_code=201, headers={"ETag": f'"{etag}"'})

    async def finalize_upload(self, request: Request) -> Response:
        """All parts of a video are in."""
        account = _authorize(request)
        body = (await _json_object(request)).get("finalizeUploadRequest")
        if request.query_params.get("action") != "finalizeUpload" or not isinstance(body, dict):
            raise LinkedInError(400, "ILLEGAL_ARGUMENT", "finalizeUploadRequest is required")
        asset = self._asset(str(body.get("video")), account)
        try:
            if body.get("uploadToken") != asset.token:
                raise AssetError("uploadToken differs")
            asset.close(body.get("uploadedPartIds"))
        except AssetError as error:
            raise LinkedInError(400, "ILLEGAL_ARGUMENT", str(error)) from error
        return Response(status_code=200)

    async def media_status(self, request: Request) -> Response:
        """How far a file has come."""
        account = _authorize(request)
        asset = self._asset(unquote(request.path_params["urn"]), account)
        if asset.collection != "videos" and asset.owner.startswith("urn:li:person:"):
            raise LinkedInError(403, "ACCESS_DENIED", "Not enough permissions to access this resource.")
        return JSONResponse({"id": asset.urn, "owner": asset.owner, "status": asset.status()})

    async def create_post(self, request: Request) -> Response:
        """Publish a post."""
        account, body = _authorize(request), await _json_object(request)
        try:
            check_post(body)
            commentary, urns = read_commentary(body["commentary"]), read_content(body.get("content"))
        except PostError as error:
            raise LinkedInError(422, "UNPROCESSABLE_ENTITY", str(error)) from error
        _owner(body["author"], account)
        assets = [self._asset(urn, account) for urn in urns]
        if not all(asset.ready for asset in assets):
            raise LinkedInError(403, "ACCESS_DENIED", "The requested resource is forbidden")
        content = json.dumps([body["author"], commentary, body.get("content")], sort_keys=True)
        if content in self.posts:
            raise LinkedInError(422, "DUPLICATE_POST", f"Content is a duplicate of {self.posts[content]}")
        self.posts[content] = f"urn:li:share:{7_000_000_000_000_000_000 + self.world.next_number()}"
        digest = media_digest([asset.sha256 for asset in assets])
        self.world.ledger.record(self.name, account, commentary, digest)
        return Response(status_code=201, headers={"x-restli-id": self.posts[content]})

    def _instructions(self, request: Request, asset: Asset) -> dict[str, Any]:
        def address(number: int) -> str:
            return str(request.url_for("linkedin_upload", urn=asset.urn, number=number))

        if asset.collection != "videos":
            return {"uploadUrl": address(0), SINGULAR[asset.collection]: asset.urn, "uploadUrlExpiresAt": 0}
        parts = [
            {"uploadUrl": address(number), "firstByte": first, "lastByte": last}
            for number, (first, last) in enumerate(asset.spans)
        ]
        return {"video": asset.urn, "uploadToken": asset.token, "uploadInstructions": parts, "uploadUrlsExpireAt": 0}

    def _asset(self, urn: str, account: str) -> Asset:
        asset = self.assets.get(urn)
        if asset is None:
            raise LinkedInError(404, "NOT_FOUND", f"{urn} does not exist")
        _owner(asset.owner, account)
        return asset


def _failure(status: int, code: str, message: str) -> Response:
    return JSONResponse({"status": status, "code": code, "message": message}, status_code=status)


def _authorize(request: Request) -> str:
    """The account of the token, when the request has the headers that LinkedIn insists on."""
    account, version = _bearer(request), request.headers.get("linkedin-version", "")
    if not VERSION.fullmatch(version):
        raise LinkedInError(400, "VERSION_MISSING", "A version must be present in the header LinkedIn-Version.")
    if version < OLDEST_VERSION:
        raise LinkedInError(426, "NONEXISTENT_VERSION", f"Requested version {version} is not active")
    if request.headers.get("x-restli-protocol-version") != "2.0.0":
        raise LinkedInError(400, "ILLEGAL_ARGUMENT", "X-Restli-Protocol-Version must be 2.0.0")
    return account


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    account = account_of(token) if scheme.lower() == "bearer" else None
    if account is None:
        raise LinkedInError(401, "REVOKED_ACCESS_TOKEN", "The token used in the request has been revoked by the user")
    return account


def _owner(urn: object, account: str) -> str:
    """The URN, when the token may act for it."""
    match = OWNER.fullmatch(urn) if isinstance(urn, str) else None
    if match is None or match.group(2) != account:
        raise LinkedInError(403, "ACCESS_DENIED", "Not enough permissions to act for this owner.")
    return match.group()


async def _json_object(request: Request) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise LinkedInError(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be JSON")
    try:
        body = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        raise LinkedInError(400, "ILLEGAL_ARGUMENT", "The body must be a JSON object")
    return body
