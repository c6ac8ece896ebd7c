"""The YouTube adapter: what it sends, how it sorts every answer, and how an upload goes on after a break."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import respx

from functions.platforms.answers import (
    Ambiguous,
    Auth,
    CallFailed,
    NotPublished,
    Pending,
    Permanent,
    Published,
    Quota,
    Ready,
    TryAgain,
)
from functions.platforms.post import Account, MediaFile, Post
from functions.platforms.youtube.adapter import YouTube, YouTubeConfig

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
BASE = "https://www.googleapis.com"
OPEN, VIDEOS = f"{BASE}/upload/youtube/v3/videos", f"{BASE}/youtube/v3/videos"
SESSION = "https://upload.example/session"
ACCOUNT = Account("UC1", "secret")
NOW = 1_800_000_000.0
SIZE, CHUNK = 2500, 1000
REMOTE = {"session": SESSION, "size": SIZE, "offset": 2000, "failures": 0, "sends": 0, "video_id": None}
IN = REMOTE | {"offset": SIZE, "video_id": "v1"}


def post(option: str = "youtube_video", caption: str = "First line\nmore", **settings: Any) -> Post:
    file = MediaFile(name="my clip.mp4", size=SIZE, type="video/mp4", url="https://media.example/clip.mp4")
    return Post(option, (file,), caption, settings)


def refused(status: int, reason: str = "", **rest: Any) -> httpx.Response:
    errors = [{"domain": "youtube", "reason": reason, "message": "words"}] if reason else []
    return httpx.Response(status, json={"error": {"code": status, "message": "words", "errors": errors}}, **rest)


def goes_on(committed: int) -> httpx.Response:
    return httpx.Response(308, headers={"Range": f"bytes=0-{committed - 1}"} if committed else {})


def video(**rest: Any) -> httpx.Response:
    return httpx.Response(200, json={"kind": "youtube#video", "id": "v1", **rest})


def listed(upload: str, **rest: Any) -> httpx.Response:
    status = {"uploadStatus": upload, "privacyStatus": "public", **rest}
    return httpx.Response(200, json={"items": [{"id": "v1", "status": status}]})


@pytest.fixture
async def adapter() -> AsyncIterator[YouTube]:
    async with httpx.AsyncClient(verify=TLS) as http:
        yield YouTube(http, YouTubeConfig(BASE, chunk_bytes=CHUNK), clock=lambda: NOW)


@pytest.fixture
def youtube() -> Iterator[respx.Router]:
    with respx.mock(assert_all_called=False) as router:
        router.post(OPEN).respond(200, headers={"Location": SESSION})
        router.get("https://media.example/clip.mp4").mock(side_effect=serve)
        yield router


def serve(request: httpx.Request) -> httpx.Response:
    first, last = (int(number) for number in request.headers["range"].removeprefix("bytes=").split("-"))
    return httpx.Response(
        206, content=b"v" * (last - first + 1), headers={"Content-Range": f"bytes {first}-{last}/{SIZE}"}
    )


def ranges(router: respx.Router) -> list[str]:
    return [call.request.headers["content-range"] for call in router.put(SESSION).calls]


async def failure_of(step: Any) -> Any:
    with pytest.raises(CallFailed) as failed:
        await step
    return failed.value.failure


async def test_a_session_is_opened_with_the_users_choices(adapter: YouTube, youtube: respx.Router) -> None:
    youtube.put(SESSION).mock(side_effect=[goes_on(1000), goes_on(2000)])
    choices = post(
        title="Title",
        privacy="private",
        publishAt="2027-05-01T10:00:00+02:00",
        madeForKids=True,
        aiGenerated=False,
        tags=["a", "b c"],
        categoryId="10",
        language="pt-BR",
        notifySubscribers=False,
        allowEmbedding=False,
        license="creativeCommon",
    )
    assert await adapter.prepare(choices, ACCOUNT, {}, 0) == Ready(REMOTE)
    request = youtube.post(OPEN).calls.last.request
    assert dict(request.url.params) == {
        "uploadType": "resumable",
        "part": "snippet,status",
        "notifySubscribers": "false",
    }
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["content-type"] == "application/json; charset=UTF-8"
    assert request.headers["x-upload-content-type"] == "video/mp4"
    assert request.headers["x-upload-content-length"] == str(SIZE)
    assert json.loads(request.content) == {
        "snippet": {
            "title": "Title",
            "description": "First line\nmore",
            "tags": ["a", "b c"],
            "categoryId": "10",
            "defaultLanguage": "pt-BR",
        },
        "status": {
            "privacyStatus": "private",
            "selfDeclaredMadeForKids": True,
            "containsSyntheticMedia": False,
            "publishAt": "2027-05-01T10:00:00+02:00",
            "embeddable": False,
            "license": "creativeCommon",
        },
    }
    assert ranges(youtube) == ["bytes 0-999/2500", "bytes 1000-1999/2500"]


@pytest.mark.parametrize(
    ("caption", "title"),
    [
        ("\n  First line \nmore", "First line"),
        ("x" * 101, "x" * 99 + "…"),
        ("", "my clip"),
    ],
)
async def test_a_video_without_a_title_takes_one_from_the_caption_or_the_file(
    adapter: YouTube, youtube: respx.Router, caption: str, title: str
) -> None:
    youtube.put(SESSION).mock(side_effect=[goes_on(1000), goes_on(2000)])
    await adapter.prepare(post(caption=caption), ACCOUNT, {}, 0)
    snippet = json.loads(youtube.post(OPEN).calls.last.request.content)["snippet"]
    assert (snippet["title"], snippet.get("description", "")) == (title, caption)


async def test_the_last_chunk_ends_the_upload(adapter: YouTube, youtube: respx.Router) -> None:
    youtube.put(SESSION).mock(return_value=video())
    assert await adapter.finish(post(), ACCOUNT, REMOTE) == Pending(IN, 5)
    request = youtube.put(SESSION).calls.last.request
    assert request.headers["content-range"] == "bytes 2000-2499/2500"
    assert request.headers["content-length"] == "500"
    assert "transfer-encoding" not in request.headers


# Answer, and the class when a session is opened and at the last chunk.
ERRORS: list[tuple[Any, type[Any], type[Any]]] = [
    (refused(403, "quotaExceeded"), Quota, Quota),
    (refused(403, "dailyLimitExceeded"), Quota, Quota),
    (refused(400, "uploadLimitExceeded"), Quota, Quota),
    (refused(403, "rateLimitExceeded"), Quota, Ambiguous),
    (refused(429, "userRateLimitExceeded"), Quota, Ambiguous),
    (refused(429), Quota, Ambiguous),
    (refused(500, "backendError"), TryAgain, Ambiguous),
    (refused(503), TryAgain, Ambiguous),
    (refused(401, "authError"), Auth, Auth),
    (refused(401), Auth, Auth),
    (refused(401, "youtubeSignupRequired"), Permanent, Permanent),
    (refused(403, "forbidden"), Permanent, Permanent),
    (refused(403, "accountClosed"), Permanent, Permanent),
    (refused(403, "accountSuspended"), Permanent, Permanent),
    (refused(403, "insufficientPermissions"), Permanent, Permanent),
    (refused(400, "invalidTitle"), Permanent, Permanent),
    (refused(400, "invalidDescription"), Permanent, Permanent),
    (refused(400, "invalidTags"), Permanent, Permanent),
    (refused(400, "invalidCategoryId"), Permanent, Permanent),
    (refused(400, "invalidPublishAt"), Permanent, Permanent),
    (refused(400, "invalidVideoMetadata"), Permanent, Permanent),
    (refused(400, "invalidFilename"), Permanent, Permanent),
    (refused(400, "defaultLanguageNotSet"), Permanent, Permanent),
    (refused(400, "mediaBodyRequired"), Permanent, Permanent),
    (refused(400, "invalidRecordingDetails"), Permanent, Permanent),
    (refused(400, "aReasonOfTomorrow"), Permanent, Permanent),
    (httpx.Response(502, html="bad gateway"), TryAgain, Ambiguous),
    (httpx.Response(200), TryAgain, Ambiguous),
    (httpx.ReadTimeout("late"), TryAgain, Ambiguous),
    (httpx.RemoteProtocolError("gone"), TryAgain, Ambiguous),
    (httpx.ConnectError("down"), TryAgain, TryAgain),
]


@pytest.mark.parametrize(("response", "before", "at"), ERRORS)
async def test_each_answer_has_its_class_before_and_at_the_irreversible_call(
    adapter: YouTube, youtube: respx.Router, response: Any, before: type[Any], at: type[Any]
) -> None:
    youtube.post(OPEN).mock(side_effect=[response])
    youtube.put(SESSION).mock(side_effect=[response])
    assert type(await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))) is before
    assert type(await failure_of(adapter.finish(post(), ACCOUNT, REMOTE))) is at


@pytest.mark.parametrize("response", [goes_on(2000), httpx.Response(404), httpx.Response(410)])
async def test_a_last_chunk_that_did_not_end_the_upload_is_ambiguous(
    adapter: YouTube, youtube: respx.Router, response: httpx.Response
) -> None:
    youtube.put(SESSION).mock(return_value=response)
    assert isinstance(await failure_of(adapter.finish(post(), ACCOUNT, REMOTE)), Ambiguous)


async def test_an_upload_goes_on_where_youtube_says_that_it_stopped(adapter: YouTube, youtube: respx.Router) -> None:
    youtube.put(SESSION).mock(side_effect=[refused(503), goes_on(512), goes_on(1512)])
    waiting = await adapter.prepare(post(), ACCOUNT, {}, 0)
    assert waiting == Pending(REMOTE | {"offset": 0, "failures": 1}, 5)
    ready = await adapter.prepare(post(), ACCOUNT, waiting.remote, 1)
    assert ready == Ready(REMOTE | {"offset": 1512})
    assert ranges(youtube) == ["bytes 0-999/2500", "bytes */2500", "bytes 512-1511/2500"]
    assert youtube.post(OPEN).call_count == 1


async def test_a_session_that_is_gone_before_the_end_is_begun_anew_by_the_next_attempt(
    adapter: YouTube, youtube: respx.Router
) -> None:
    youtube.put(SESSION).respond(404)
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, REMOTE | {"offset": 1000}, 1))
    assert (type(failure), failure.error.code) == (TryAgain, "upload_session_gone")


async def test_a_run_whose_time_is_up_hands_over_at_once(youtube: respx.Router) -> None:
    times = iter(range(0, 100_000, 100))
    youtube.put(SESSION).mock(side_effect=[goes_on(1000), goes_on(2000)])
    async with httpx.AsyncClient(verify=TLS) as http:
        adapter = YouTube(http, YouTubeConfig(BASE, chunk_bytes=CHUNK, run_seconds=50), lambda: NOW + next(times))
        assert await adapter.prepare(post(), ACCOUNT, {}, 0) == Pending(REMOTE | {"offset": 1000}, 0)


async def test_an_unclear_end_is_settled_by_asking_the_session(adapter: YouTube, youtube: respx.Router) -> None:
    youtube.put(SESSION).mock(return_value=video())
    youtube.get(VIDEOS).mock(return_value=listed("processed"))
    found = await adapter.poll(post(), ACCOUNT, REMOTE, 0)
    assert isinstance(found, Published)
    assert found.result["video_id"] == "v1"
    assert found.result["privacy"] == "public"
    assert ranges(youtube) == ["bytes */2500"]


async def test_an_end_that_youtube_lacks_is_sent_to_the_same_session_a_few_times(
    adapter: YouTube, youtube: respx.Router
) -> None:
    youtube.put(SESSION).mock(side_effect=[goes_on(2000), video()])
    assert await adapter.poll(post(), ACCOUNT, REMOTE, 0) == Pending(IN | {"sends": 1}, 5)
    assert ranges(youtube) == ["bytes */2500", "bytes 2000-2499/2500"]
    youtube.put(SESSION).mock(side_effect=[goes_on(2000), httpx.ReadError("reset")])
    assert await adapter.poll(post(), ACCOUNT, REMOTE, 0) == Pending(REMOTE | {"sends": 1}, 5)
    youtube.put(SESSION).mock(side_effect=[goes_on(2000)])
    found = await adapter.poll(post(), ACCOUNT, REMOTE | {"sends": 4}, 4)
    assert isinstance(found, NotPublished)
    assert (type(found.reason), found.reason.error.code) == (TryAgain, "upload_incomplete")
    assert not youtube.post(OPEN).called


async def test_a_session_that_is_gone_after_an_unclear_end_leaves_it_unknown(
    adapter: YouTube, youtube: respx.Router
) -> None:
    youtube.put(SESSION).respond(410)
    failure = await failure_of(adapter.poll(post(), ACCOUNT, REMOTE, 0))
    assert (type(failure), failure.error.code) == (Permanent, "outcome_unknown")


@pytest.mark.parametrize(
    ("response", "looks", "end"),
    [
        (listed("processed"), 0, Published),
        (listed("uploaded"), 0, Pending),
        (listed("uploaded"), 12, Published),
        (httpx.Response(200, json={"items": []}), 0, Pending),
        (listed("failed", failureReason="codec"), 0, NotPublished),
        (listed("rejected", rejectionReason="duplicate"), 0, NotPublished),
        (listed("deleted"), 0, NotPublished),
        (refused(403, "insufficientPermissions"), 0, Published),
        (refused(401), 0, Published),
        (refused(503), 0, Pending),
        (refused(503), 12, Published),
    ],
)
async def test_a_video_that_is_in_is_published_unless_youtube_refuses_it(
    adapter: YouTube, youtube: respx.Router, response: httpx.Response, looks: int, end: type[Any]
) -> None:
    youtube.get(VIDEOS).mock(return_value=response)
    found = await adapter.poll(post("youtube_shorts"), ACCOUNT, IN, looks)
    assert isinstance(found, end)
    if isinstance(found, Published):
        assert found.result["permalink"] == "https://www.youtube.com/shorts/v1"
    if isinstance(found, NotPublished):
        assert (type(found.reason), found.reason.error.code) == (Permanent, "video_refused")
