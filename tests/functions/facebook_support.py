"""What the tests of Facebook's videos share: a clip, the shapes of answers, and the adapter at a mocked border."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
import respx

from functions.platforms.answers import CallFailed
from functions.platforms.facebook.adapter import Facebook
from functions.platforms.facebook.config import FacebookConfig
from functions.platforms.post import Account, MediaFile, Post

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
ROOT, VIDEO_ROOT = "https://graph.facebook.com/v26.0", "https://graph-video.facebook.com/v26.0"
REELS, STORIES, VIDEOS = f"{ROOT}/17/video_reels", f"{ROOT}/17/video_stories", f"{VIDEO_ROOT}/17/videos"
UPLOAD = "https://rupload.facebook.com/video-upload/v26.0/v1"
STATUS = f"{ROOT}/v1"
MEDIA = "https://media.example/clip.mp4"
CLIP = bytes(range(10))
ACCOUNT = Account("17", "secret", kind="page")
CONFIG = FacebookConfig("https://graph.facebook.com", "https://graph-video.facebook.com", "v26.0")


def post(option: str, **settings: Any) -> Post:
    file = MediaFile(name="clip.mp4", size=len(CLIP), type="video/mp4", url=MEDIA)
    return Post(option, (file,), "caption", settings)


REEL, STORY, FEED = post("facebook_reels"), post("facebook_story"), post("facebook_video", title="Title")
OPENED = {"video_id": "v1", "upload_url": UPLOAD}
SENT = {"video_id": "v1", "size": 10, "upload_url": UPLOAD, "uploaded": True}
SENT_IN_PARTS = {"video_id": "v1", "size": 10, "upload_session_id": "s1", "uploaded": True}


def serve(request: httpx.Request) -> httpx.Response:
    """A part of the clip."""
    first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
    headers = {"Content-Range": f"bytes {first}-{last}/{len(CLIP)}", "Content-Type": "video/mp4"}
    return httpx.Response(206, content=CLIP[int(first) : int(last) + 1], headers=headers)


def error(code: int, subcode: int | None = None, status: int = 400, **rest: Any) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": "words", "code": code, "error_subcode": subcode, **rest}})


def status(word: str = "upload_complete", **phases: Any) -> httpx.Response:
    body = {"video_status": word, **{f"{name}_phase": phase for name, phase in phases.items()}}
    return httpx.Response(200, json={"id": "v1", "status": body, "permalink_url": "/reel/v1/"})


@asynccontextmanager
async def opened_adapter() -> AsyncIterator[Facebook]:
    async with httpx.AsyncClient(verify=TLS) as http:
        yield Facebook(http, CONFIG)


@contextmanager
def mocked_facebook() -> Iterator[respx.Router]:
    """Facebook opens any reel or story, and takes its bytes."""
    with respx.mock(assert_all_called=False) as router:
        router.get(MEDIA).mock(side_effect=serve)
        router.post(REELS).respond(json=OPENED)
        router.post(STORIES).respond(json=OPENED)
        router.post(UPLOAD).respond(json={"success": True})
        yield router


async def failure_of(step: Any) -> Any:
    with pytest.raises(CallFailed) as failed:
        await step
    return failed.value.failure


def bodies(route: respx.Route) -> list[dict[str, Any]]:
    return [json.loads(call.request.content) for call in route.calls]


def offsets(first: int, end: int = 10) -> dict[str, str]:
    return {"start_offset": str(first), "end_offset": str(end)}
