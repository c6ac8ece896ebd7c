"""A double of Facebook's pages: posts, photos, videos, reels and stories.

A post enters the ledger with the call that makes it public: `feed`, `photo_stories`, or the finish of a video.
"""

from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.providers.facebook.pages import PagePost, Pages, Photo
from devstack.providers.facebook.videos import Video
from devstack.providers.ledger import media_digest
from devstack.providers.meta.graph import GraphDouble, GraphError, authorize, read_parameters
from devstack.providers.pull import PullError, pull
from devstack.providers.world import World

MESSAGE_LIMIT = 63_206
PHOTO_TYPES = ("image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff")
PHOTO_LIMIT_BYTES = 10_000_000


class Facebook(GraphDouble):
    """The endpoints."""

    name = "facebook"
    steps = (
        "published_posts",
        "photos",
        "feed",
        "photo_stories",
        "video_start",
        "video_transfer",
        "video_upload",
        "video_finish",
        "video_status",
    )

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.pages = Pages()
        self.videos: dict[str, Video] = {}

    def routes(self) -> list[Route]:
        """The routes below `/facebook`."""
        page = "/{version}/{account}"
        listing = self.step("published_posts", self.published_posts)
        stories = self.step("photo_stories", self.photo_stories)
        upload = self.step("video_upload", self.video_upload)
        edges = [
            Route(f"{page}/{edge}", self._phases(edge), methods=["POST"])
            for edge in ("videos", "video_reels", "video_stories")
        ]
        return [
            Route("/upload/{video_id}", upload, methods=["POST"], name="facebook_upload"),
            Route(f"{page}/published_posts", listing, methods=["GET"]),
            Route(f"{page}/photos", self.step("photos", self.photos), methods=["POST"]),
            Route(f"{page}/feed", self.step("feed", self.feed), methods=["POST"]),
            Route(f"{page}/photo_stories", stories, methods=["POST"]),
            *edges,
            Route("/{version}/{video_id}", self.step("video_status", self.video_status), methods=["GET"]),
        ]

    def forget(self) -> None:
        """Drop every post, photo and video."""
        self.pages = Pages()
        self.videos.clear()

    async def published_posts(self, request: Request) -> Response:
        """The page's newest posts."""
        account = authorize(request, request.query_params, request.path_params["account"])
        most = int(request.query_params.get("limit", "25"))
        return JSONResponse({"data": [post.to_json() for post in self.pages.newest(account, most)]})

    async def photos(self, request: Request) -> Response:
        """Pull a photo that is not to be published yet."""
        parameters, account = await self._caller(request)
        if parameters.get("published") not in (False, "false"):
            raise GraphError(100, None, "This double publishes photos through feed: send published=false")
        try:
            media = await pull(str(parameters.get("url", "")), self.world.tls)
        except PullError as failed:
            raise GraphError(100, 2061006, f"The photo could not be fetched: {failed}") from failed
        if media.content_type not in PHOTO_TYPES or media.size > PHOTO_LIMIT_BYTES:
            raise GraphError(1366046, None, f"The photo is too large, or its format {media.content_type} is not taken")
        photo = Photo(f"122{self.world.next_number():014d}", account, media.sha256)
        self.pages.photos[photo.photo_id] = photo
        return JSONResponse({"id": photo.photo_id})

    async def feed(self, request: Request) -> Response:
        """Make a post of words and unpublished photos."""
        parameters, account = await self._caller(request)
        message = _text(parameters.get("message", ""))
        attached = parameters.get("attached_media", [])
        if not isinstance(attached, list) or not (message or attached):
            raise GraphError(100, None, "A post needs a message or attached_media")
        photos = [self._photo(_member(each, "media_fbid"), account) for each in attached]
        for photo in photos:
            photo.used = True
        post_id = f"{account}_{self.world.next_number():014d}"
        unseen = self.world.rules.unseen_looks
        post = PagePost(post_id, account, message, tuple(photo.photo_id for photo in photos), unseen_looks=unseen)
        self.pages.posts.append(post)
        self.world.ledger.record(self.name, account, message, media_digest([photo.sha256 for photo in photos]))
        fields = str(parameters.get("fields", "id")).split(",")
        return JSONResponse({name: value for name, value in post.to_json().items() if name in ("id", *fields)})

    async def photo_stories(self, request: Request) -> Response:
        """Make a story of an unpublished photo."""
        parameters, account = await self._caller(request)
        photo = self._photo(parameters.get("photo_id"), account)
        photo.used = True
        self.world.ledger.record(self.name, account, "", photo.sha256)
        return JSONResponse({"success": True, "post_id": str(self.world.next_number())})

    async def video_upload(self, request: Request) -> Response:
        """The bytes of a reel or a story, from `offset` to the end."""
        account = authorize(request, {}, None, scheme="oauth")
        video = self._video(request.path_params["video_id"], account)
        if request.headers.get("offset") != str(video.received) or not request.headers.get("file_size", "").isdecimal():
            raise GraphError(100, None, f"The headers must be offset: {video.received}, and file_size")
        video.size = int(request.headers["file_size"])
        try:
            async for part in request.stream():
                video.receive(part)
        except ClientDisconnect:
            return Response(status_code=400)
        if not video.complete:
            raise GraphError(100, None, f"There are {video.received} of {video.size} bytes")
        return JSONResponse({"success": True})

    async def video_status(self, request: Request) -> Response:
        """How far a video has come."""
        account = authorize(request, request.query_params, None)
        video = self._video(request.path_params["video_id"], account)
        body: dict[str, Any] = {"status": video.status(), "id": video.video_id}
        if "permalink_url" in request.query_params.get("fields", ""):
            body["permalink_url"] = f"/{'reel' if video.edge == 'video_reels' else 'watch'}/{video.video_id}/"
        return JSONResponse(body)

    def _phases(self, edge: str) -> Any:
        """The endpoint of one edge: each of its phases is a step of its own."""

        async def start(request: Request) -> Response:
            return await self._start(edge, request)

        async def finish(request: Request) -> Response:
            return await self._finish(edge, request)

        phases = {
            "start": self.step("video_start", start),
            "transfer": self.step("video_transfer", self._transfer),
            "finish": self.step("video_finish", finish),
        }

        async def run(request: Request) -> Response:
            try:
                phase = (await read_parameters(request)).get("upload_phase")
                if phase not in phases or (phase == "transfer" and edge != "videos"):
                    raise GraphError(100, None, f"upload_phase is not one of {edge}: {phase}")
                return await phases[phase](request)
            except GraphError as refusal:
                return refusal.response
            finally:
                await request.close()  # a part of a video lies in a temporary file

        return run

    async def _start(self, edge: str, request: Request) -> Response:
        parameters, account = await self._caller(request)
        size = parameters.get("file_size") if edge == "videos" else None
        if edge == "videos" and (not isinstance(size, int) or size < 1):
            raise GraphError(100, None, "file_size must be the number of bytes")
        polls = self.world.rules.processing_polls
        video = Video(f"133{self.world.next_number():014d}", account, edge, polls, size)
        self.videos[video.video_id] = video
        if edge == "videos":
            session = {"upload_session_id": video.session_id, **video.wanted()}
            return JSONResponse({"video_id": video.video_id, **session})
        url = request.url_for("facebook_upload", video_id=video.video_id)
        return JSONResponse({"video_id": video.video_id, "upload_url": str(url)})

    async def _transfer(self, request: Request) -> Response:
        parameters, account = await self._caller(request)
        video = self._session(parameters, account)
        part = parameters.get("video_file_chunk")
        content = b"" if part is None or isinstance(part, str) else await part.read()
        if parameters.get("start_offset") != str(video.received) or video.received + len(content) > (video.size or 0):
            message = "The part starts at another place than the upload stands at"
            raise GraphError(6001, 1363037, message, error_data=video.wanted())
        if not content:
            raise GraphError(100, None, "video_file_chunk is required")
        video.receive(content)
        return JSONResponse(video.wanted())

    async def _finish(self, edge: str, request: Request) -> Response:
        parameters, account = await self._caller(request)
        video = (
            self._session(parameters, account)
            if edge == "videos"
            else self._video(str(parameters.get("video_id")), account)
        )
        if video.edge != edge or not video.complete or video.finished:
            raise GraphError(100, None, "The upload is not complete, or it is over already")
        if edge == "video_reels" and parameters.get("video_state") != "PUBLISHED":
            raise GraphError(100, None, "video_state must be PUBLISHED")
        description = "" if edge == "video_stories" else _text(parameters.get("description", ""))
        video.finished = True
        self.world.ledger.record(self.name, account, description, video.digest.hexdigest())
        if edge == "video_stories":
            return JSONResponse({"success": True, "post_id": str(self.world.next_number())})
        post_id = f"{account}_{self.world.next_number():014d}"
        self.pages.posts.append(PagePost(post_id, account, description, video=video.video_id))
        return JSONResponse({"success": True})

    async def _caller(self, request: Request) -> tuple[dict[str, Any], str]:
        parameters = await read_parameters(request)
        return parameters, authorize(request, parameters, request.path_params["account"])

    def _photo(self, name: object, account: str) -> Photo:
        photo = self.pages.photos.get(str(name))
        if photo is None or photo.account != account:
            raise GraphError(100, 33, "There is no such photo")
        if photo.used:
            raise GraphError(1366051, None, "The photo has been posted already")
        return photo

    def _video(self, name: str, account: str) -> Video:
        video = self.videos.get(name)
        if video is None or video.account != account:
            raise GraphError(100, 33, "There is no such video")
        return video

    def _session(self, parameters: dict[str, Any], account: str) -> Video:
        return self._video(str(parameters.get("upload_session_id"))[1:], account)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MESSAGE_LIMIT:
        raise GraphError(100, None, f"The text must have at most {MESSAGE_LIMIT} characters")
    return value


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
