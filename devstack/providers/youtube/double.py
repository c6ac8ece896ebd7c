"""A double of the YouTube Data API: a resumable upload, and the state of a video.

A video enters the ledger when its last byte is in. A session makes one video; asked again it names the same one.
"""

import json
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.providers.double import Double, Refusal
from devstack.providers.world import World, account_of
from devstack.providers.youtube.upload import PROBE, MetadataError, Upload, read_video

LARGEST = 274_877_906_944


class YouTubeError(Refusal):
    """A request is refused: HTTP status and YouTube's reason."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message, _failure(status, reason, message))


class YouTube(Double):
    """The endpoints, over sessions and videos."""

    name = "youtube"
    steps = ("open_session", "upload", "probe", "video_state")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.uploads: dict[str, Upload] = {}

    def routes(self) -> list[Route]:
        """The routes below `/youtube`."""
        videos, session = "/upload/youtube/v3/videos", "/session/{session_id}"
        return [
            Route(videos, self.step("open_session", self.open_session), methods=["POST"]),
            Route(session, self.put, methods=["PUT"], name="youtube_session"),
            Route("/youtube/v3/videos", self.step("video_state", self.video_state), methods=["GET"]),
        ]

    def forget(self) -> None:
        """Drop every session and video."""
        self.uploads.clear()

    def server_error(self) -> Response:
        """YouTube broke."""
        return _failure(503, "backendError", "Backend Error")

    def rate_limited(self) -> Response:
        """YouTube was asked too often."""
        return _failure(429, "rateLimitExceeded", "Rate limit exceeded")

    async def open_session(self, request: Request) -> Response:
        """Announce a video; the answer's Location is where it is sent to."""
        account = _authorize(request)
        query, headers = request.query_params, request.headers
        parts = set(query.get("part", "").split(","))
        if query.get("uploadType") != "resumable" or not {"snippet", "status"} <= parts:
            raise YouTubeError(400, "badRequest", "uploadType must be resumable, and part snippet,status")
        size, mime = headers.get("x-upload-content-length", ""), headers.get("x-upload-content-type", "")
        if not (size.isdecimal() and 0 < int(size) <= LARGEST):
            raise YouTubeError(400, "badRequest", f"X-Upload-Content-Length must be from 1 to {LARGEST}")
        if not mime.startswith("video/") and mime != "application/octet-stream":
            raise YouTubeError(400, "mediaTypeUnsupported", "X-Upload-Content-Type must be a video's")
        try:
            title, description, privacy = read_video(await _json_object(request))
        except MetadataError as error:
            raise YouTubeError(400, error.reason, str(error)) from error
        session_id = f"session{self.world.next_number()}"
        polls = self.world.rules.processing_polls
        self.uploads[session_id] = Upload(account, title, description, privacy, int(size), polls)
        location = str(request.url_for("youtube_session", session_id=session_id))
        return Response(status_code=200, headers={"Location": location})

    async def put(self, request: Request) -> Response:
        """A chunk, or the question how far the upload has come."""
        is_probe = request.headers.get("content-range", "").startswith("bytes */")
        step, endpoint = ("probe", self.probe) if is_probe else ("upload", self.upload)
        return await self.step(step, endpoint)(request)

    async def probe(self, request: Request) -> Response:
        """How far the upload has come."""
        upload = self._upload(request)
        match = PROBE.fullmatch(request.headers["content-range"])
        if match is None or int(match.group(1)) != upload.size or await request.body():
            raise YouTubeError(400, "badRequest", "the size differs, or there is a body")
        return self._answer(upload)

    async def upload(self, request: Request) -> Response:
        """One chunk."""
        upload = self._upload(request)
        expected = upload.fits(request.headers.get("content-range", ""))
        if expected is None:
            raise YouTubeError(400, "badRequest", "this chunk is not the one that must come next")
        digest, length, received = upload.digest.copy(), 0, upload.received
        try:
            async for part in request.stream():
                digest.update(part)
                length += len(part)
        except ClientDisconnect:
            return Response(status_code=400)
        if length != expected or received != upload.received:
            raise YouTubeError(400, "badRequest", "the chunk has not the length of its range")
        upload.received, upload.digest = upload.received + length, digest
        if upload.received == upload.size:
            upload.video_id = f"video{self.world.next_number():06d}"
            self.world.ledger.record(self.name, upload.account, upload.description, digest.hexdigest())
        return self._answer(upload)

    async def video_state(self, request: Request) -> Response:
        """What became of a video of the account."""
        account, wanted = _authorize(request), request.query_params.get("id")
        if not {"status", "processingDetails"} <= set(request.query_params.get("part", "").split(",")):
            raise YouTubeError(400, "missingRequiredParameter", "part must name status and processingDetails")
        found = [each for each in self.uploads.values() if each.video_id == wanted and each.account == account]
        return JSONResponse({"kind": "youtube#videoListResponse", "items": [each.state() for each in found]})

    def _upload(self, request: Request) -> Upload:
        upload = self.uploads.get(request.path_params["session_id"])
        if upload is None:
            raise YouTubeError(404, "notFound", "The upload does not exist.")
        if "authorization" in request.headers and _authorize(request) != upload.account:
            raise YouTubeError(403, "forbidden", "The upload belongs to another channel.")
        return upload

    def _answer(self, upload: Upload) -> Response:
        if upload.video_id is not None:
            status = {"uploadStatus": "uploaded", "privacyStatus": upload.privacy}
            snippet = {"title": upload.title, "description": upload.description}
            body = {"kind": "youtube#video", "id": upload.video_id, "snippet": snippet, "status": status}
            return JSONResponse(body)
        headers = {"Range": f"bytes=0-{upload.received - 1}"} if upload.received else {}
        return Response(status_code=308, headers=headers)


def _failure(status: int, reason: str, message: str) -> Response:
    errors = [{"domain": "youtube", "reason": reason, "message": message}]
    return JSONResponse({"error": {"code": status, "message": message, "errors": errors}}, status_code=status)


def _authorize(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    account = account_of(token) if scheme.lower() == "bearer" else None
    if account is None:
        raise YouTubeError(401, "authError", "Invalid Credentials")
    return account


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        raise YouTubeError(400, "parseError", "The body must be a JSON object")
    return body
