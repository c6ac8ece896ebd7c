"""The LinkedIn adapter: what it sends, how it sorts every answer, and how a lost post is found again."""

import itertools
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
from functions.platforms.linkedin.adapter import LinkedIn, LinkedInConfig
from functions.platforms.post import Account, MediaFile, Post
from functions.worker.storable import storable

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
BASE = "https://api.linkedin.com"
IMAGES, VIDEOS, DOCUMENTS, POSTS = (f"{BASE}/rest/{path}" for path in ("images", "videos", "documents", "posts"))
IMAGE, VIDEO, DOCUMENT, SHARE = "urn:li:image:1", "urn:li:video:1", "urn:li:document:1", "urn:li:share:1"
PUT = "https://upload.example/1"
PERSON, PAGE = Account("ana", "secret", "person"), Account("42", "secret", "organization")
NOW = 1_800_000_000.0  # 08:00 UTC
SIZE = 10
ARTICLE = {"url": "https://example.com/a", "title": "Title"}


def post(option: str = "linkedin_post", *types: str, caption: str = "caption", **settings: Any) -> Post:
    files = [
        MediaFile(name=f"file{number}", size=SIZE, type=mime, url=f"https://media.example/{number}")
        for number, mime in enumerate(types)
    ]
    return Post(option, tuple(files), caption, settings)


def error(status: int, code: str = "", message: str = "words") -> httpx.Response:
    return httpx.Response(status, json={"status": status, "message": message, **({"code": code} if code else {})})


def opened(kind: str, urn: str) -> httpx.Response:
    return httpx.Response(200, json={"value": {"uploadUrl": PUT, kind: urn}})


@pytest.fixture
async def adapter() -> AsyncIterator[LinkedIn]:
    async with httpx.AsyncClient(verify=TLS) as http:
        yield LinkedIn(http, LinkedInConfig(BASE, "202607"), clock=lambda: NOW)


@pytest.fixture
def linkedin() -> Iterator[respx.Router]:
    with respx.mock(assert_all_called=False) as router:
        router.post(IMAGES).mock(return_value=opened("image", IMAGE))
        router.post(DOCUMENTS).mock(return_value=opened("document", DOCUMENT))
        router.put(PUT).respond(201)
        router.post(POSTS).respond(201, headers={"x-restli-id": SHARE})
        router.get(url__regex=r"https://media\.example/.*").mock(side_effect=serve)
        yield router


def serve(request: httpx.Request) -> httpx.Response:
    first, last = (int(number) for number in request.headers["range"].removeprefix("bytes=").split("-"))
    content = b"0123456789"[first : last + 1]
    return httpx.Response(206, content=content, headers={"Content-Range": f"bytes {first}-{last}/{SIZE}"})


async def failure_of(step: Any) -> Any:
    with pytest.raises(CallFailed) as failed:
        await step
    return failed.value.failure


def remote(*urns: str, **changes: Any) -> dict[str, Any]:
    assets = [{"urn": urn, "collection": "images", "uploaded": True, "ready": True} for urn in urns]
    return {"assets": assets, **changes}


def sent(router: respx.Router) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(router.post(POSTS).calls.last.request.content)
    return body


async def test_a_text_is_posted_with_the_headers_and_fields_that_linkedin_wants(
    adapter: LinkedIn, linkedin: respx.Router
) -> None:
    wanted = post(caption="#tag (a) @b \\ _c_ ~", visibility="CONNECTIONS", allowResharing=False)
    ready = await adapter.prepare(wanted, PERSON, {}, 0)
    assert isinstance(ready, Ready)
    finished = await adapter.finish(wanted, PERSON, ready.remote)
    assert isinstance(finished, Published)
    assert finished.result["post_urn"] == SHARE
    assert finished.result["permalink"] == f"https://www.linkedin.com/feed/update/{SHARE}/"
    headers = linkedin.post(POSTS).calls.last.request.headers
    assert headers["authorization"] == "Bearer secret"
    assert headers["linkedin-version"] == "202607"
    assert headers["x-restli-protocol-version"] == "2.0.0"
    assert headers["content-type"] == "application/json"
    assert sent(linkedin) == {
        "author": "urn:li:person:ana",
        "commentary": "\\#tag \\(a\\) \\@b \\\\ \\_c\\_ \\~",
        "visibility": "CONNECTIONS",
        "distribution": {"feedDistribution": "MAIN_FEED", "targetEntities": [], "thirdPartyDistributionChannels": []},
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": True,
    }


@pytest.mark.parametrize(
    ("wanted", "urns", "content"),
    [
        (post("linkedin_post", "image/png", altTexts=["a"]), (IMAGE,), {"media": {"id": IMAGE, "altText": "a"}}),
        (
            post("linkedin_images", "image/png", "image/gif", altTexts=["a"]),
            (IMAGE, "i2"),
            {"multiImage": {"images": [{"id": IMAGE, "altText": "a"}, {"id": "i2"}]}},
        ),
        (post("linkedin_video", "video/mp4", title="T"), (VIDEO,), {"media": {"id": VIDEO, "title": "T"}}),
        (post("linkedin_document", "application/pdf"), (DOCUMENT,), {"media": {"id": DOCUMENT, "title": "file0"}}),
        (
            post("linkedin_article", "image/png", **ARTICLE, description="D"),
            (IMAGE,),
            {"article": {"source": ARTICLE["url"], "title": "Title", "description": "D", "thumbnail": IMAGE}},
        ),
        (post("linkedin_article", **ARTICLE), (), {"article": {"source": ARTICLE["url"], "title": "Title"}}),
    ],
)
async def test_each_option_has_its_content(
    adapter: LinkedIn, linkedin: respx.Router, wanted: Post, urns: tuple[str, ...], content: dict[str, Any]
) -> None:
    await adapter.finish(wanted, PAGE, remote(*urns))
    assert sent(linkedin)["content"] == content
    assert sent(linkedin)["author"] == "urn:li:organization:42"


async def test_a_persons_image_gets_time_because_its_state_cannot_be_read(
    adapter: LinkedIn, linkedin: respx.Router
) -> None:
    wanted = post("linkedin_post", "image/png")
    waiting = await adapter.prepare(wanted, PERSON, {}, 0)
    assert isinstance(waiting, Pending)
    assert waiting.after_seconds == 15
    announced = linkedin.post(IMAGES).calls.last.request
    assert json.loads(announced.content) == {"initializeUploadRequest": {"owner": "urn:li:person:ana"}}
    assert announced.url.params["action"] == "initializeUpload"
    put = linkedin.put(PUT).calls.last.request
    assert (put.content, put.headers["content-type"]) == (b"0123456789", "image/png")
    assert put.headers["authorization"] == "Bearer secret"
    assert isinstance(await adapter.prepare(wanted, PERSON, waiting.remote, 1), Ready)
    assert linkedin.post(IMAGES).call_count == 1


async def test_a_pages_document_is_asked_for_until_it_is_ready(adapter: LinkedIn, linkedin: respx.Router) -> None:
    wanted = post("linkedin_document", "application/pdf")
    state = linkedin.get(f"{DOCUMENTS}/urn%3Ali%3Adocument%3A1")
    waiting = await adapter.prepare(wanted, PAGE, {}, 0)
    assert isinstance(waiting, Pending)
    state.respond(json={"status": "PROCESSING"})
    assert isinstance(await adapter.prepare(wanted, PAGE, waiting.remote, 1), Pending)
    state.respond(json={"status": "AVAILABLE"})
    assert isinstance(await adapter.prepare(wanted, PAGE, waiting.remote, 2), Ready)
    state.respond(json={"status": "PROCESSING_FAILED", "processingFailureReason": "too many pages"})
    failure = await failure_of(adapter.prepare(wanted, PAGE, waiting.remote, 3))
    assert (type(failure), failure.error.code) == (Permanent, "media_processing_failed")
    assert "too many pages" in failure.error.message


PARTS = [
    {"uploadUrl": f"{PUT}/a", "firstByte": 0, "lastByte": 5},
    {"uploadUrl": f"{PUT}/b", "firstByte": 6, "lastByte": 9},
]
INSTRUCTIONS = {"value": {"video": VIDEO, "uploadToken": "t", "uploadInstructions": PARTS}}


async def test_a_video_goes_up_in_the_parts_that_linkedin_names_and_goes_on_at_the_one_that_failed(
    adapter: LinkedIn, linkedin: respx.Router
) -> None:
    wanted = post("linkedin_video", "video/mp4")
    linkedin.post(VIDEOS).mock(side_effect=[httpx.Response(200, json=INSTRUCTIONS), httpx.Response(200)])
    first = linkedin.put(f"{PUT}/a").respond(201, headers={"ETag": '"e1"'})
    second = linkedin.put(f"{PUT}/b").mock(
        side_effect=[httpx.Response(503), httpx.Response(200, headers={"ETag": "e2"})]
    )
    waiting = await adapter.prepare(wanted, PERSON, {}, 0)
    assert isinstance(waiting, Pending)
    assert waiting.remote["failures"] == 1
    closed = await adapter.prepare(wanted, PERSON, waiting.remote, 1)
    assert isinstance(closed, Pending)
    assert (first.call_count, second.call_count) == (1, 2)
    assert (first.calls.last.request.content, second.calls.last.request.content) == (b"012345", b"6789")
    assert "authorization" not in first.calls.last.request.headers
    assert [json.loads(call.request.content) for call in linkedin.post(VIDEOS).calls] == [
        {
            "initializeUploadRequest": {
                "owner": "urn:li:person:ana",
                "fileSizeBytes": SIZE,
                "uploadCaptions": False,
                "uploadThumbnail": False,
            }
        },
        {"finalizeUploadRequest": {"video": VIDEO, "uploadToken": "t", "uploadedPartIds": ["e1", "e2"]}},
    ]
    linkedin.get(f"{VIDEOS}/urn%3Ali%3Avideo%3A1").respond(json={"status": "AVAILABLE"})
    assert isinstance(await adapter.prepare(wanted, PERSON, closed.remote, 2), Ready)


async def test_progress_that_is_too_large_to_keep_is_given_up(adapter: LinkedIn, linkedin: respx.Router) -> None:
    parts = [{**PARTS[0], "uploadUrl": f"{PUT}/{'x' * 600}{number}"} for number in range(100)]
    value = {"video": VIDEO, "uploadInstructions": parts}
    linkedin.post(VIDEOS).respond(json={"value": value})
    linkedin.put(url__startswith=PUT).respond(503)
    failure = await failure_of(adapter.prepare(post("linkedin_video", "video/mp4"), PERSON, {}, 0))
    assert isinstance(failure, TryAgain)


async def test_an_upload_of_many_parts_is_handed_over_only_when_what_is_left_can_be_kept(
    linkedin: respx.Router,
) -> None:
    parts = [{"uploadUrl": f"{PUT}/{'x' * 600}{number}", "firstByte": 0, "lastByte": 9} for number in range(130)]
    linkedin.post(VIDEOS).respond(json={"value": {"video": VIDEO, "uploadInstructions": parts}})
    linkedin.put(url__startswith=PUT).respond(201, headers={"ETag": "e" * 32})
    moments = itertools.count(NOW, 1000)
    async with httpx.AsyncClient(verify=TLS) as http:
        adapter = LinkedIn(http, LinkedInConfig(BASE, "202607"), clock=lambda: next(moments))
        waiting = await adapter.prepare(post("linkedin_video", "video/mp4"), PERSON, {}, 0)
    assert isinstance(waiting, Pending)
    assert 0 < len(waiting.remote["assets"][0]["parts"]) < 130
    assert storable(waiting.remote, "checkpoint")


DUPLICATE = error(422, "DUPLICATE_POST", "Content is a duplicate of urn:li:share:9")
FORBIDDEN = error(403, "ACCESS_DENIED", "The requested resource is forbidden")
# Answer, and the class before the irreversible call, at it, and when the post is sent again after an unclear answer.
ERRORS: list[tuple[Any, type[Any], type[Any], type[Any]]] = [
    (error(400, "ILLEGAL_ARGUMENT"), Permanent, Permanent, Permanent),
    (error(400, "FIELD_LENGTH_TOO_LONG"), Permanent, Permanent, Permanent),
    (error(400, "VERSION_MISSING"), Permanent, Permanent, Permanent),
    (error(401, "65601"), Auth, Auth, Auth),
    (error(401), Auth, Auth, Auth),
    (error(403, "ACCESS_DENIED", "Not enough permissions"), Permanent, Permanent, Permanent),
    (FORBIDDEN, TryAgain, Pending, Pending),
    (error(404), Permanent, Permanent, Permanent),
    (error(409), TryAgain, Ambiguous, Pending),
    (error(422, message="commentary is wrong"), Permanent, Permanent, Permanent),
    (DUPLICATE, Permanent, Permanent, Published),
    (error(426, "NONEXISTENT_VERSION"), Permanent, Permanent, Permanent),
    (error(429), Pending, Pending, Pending),
    (error(500), TryAgain, Ambiguous, Pending),
    (error(503), TryAgain, Ambiguous, Pending),
    (error(504), TryAgain, Ambiguous, Pending),
    (httpx.Response(502, html="bad gateway"), TryAgain, Ambiguous, Pending),
    (httpx.Response(201), TryAgain, Ambiguous, Pending),
    (httpx.ReadTimeout("late"), TryAgain, Ambiguous, Pending),
    (httpx.RemoteProtocolError("gone"), TryAgain, Ambiguous, Pending),
    (httpx.ConnectError("down"), TryAgain, Pending, Pending),
]


async def meaning_of(step: Any) -> type[Any]:
    try:
        return type(await step)
    except CallFailed as failed:
        return type(failed.failure)


@pytest.mark.parametrize(("response", "before", "at", "again"), ERRORS)
async def test_each_answer_has_its_class_at_every_step(
    adapter: LinkedIn,
    linkedin: respx.Router,
    response: Any,
    before: type[Any],
    at: type[Any],
    again: type[Any],
) -> None:
    linkedin.post(IMAGES).mock(side_effect=[response])
    linkedin.post(POSTS).mock(side_effect=[response, response])
    assert await meaning_of(adapter.prepare(post("linkedin_post", "image/png"), PERSON, {}, 0)) is before
    assert await meaning_of(adapter.finish(post(), PERSON, remote())) is at
    assert await meaning_of(adapter.poll(post(), PERSON, remote(), 7)) is again


async def test_a_refused_post_is_sent_once_more_and_then_spends_the_attempt(
    adapter: LinkedIn, linkedin: respx.Router
) -> None:
    linkedin.post(POSTS).mock(return_value=FORBIDDEN)
    waiting = await adapter.finish(post(), PERSON, remote())
    assert isinstance(waiting, Pending)
    found = await adapter.poll(post(), PERSON, waiting.remote, 0)
    assert isinstance(found, NotPublished)
    assert isinstance(found.reason, TryAgain)


async def test_a_limit_is_waited_out_shortly_twice_and_then_until_the_day_is_over(
    adapter: LinkedIn, linkedin: respx.Router
) -> None:
    linkedin.post(POSTS).mock(return_value=error(429))
    waiting = await adapter.finish(post(), PERSON, remote())
    assert isinstance(waiting, Pending)
    assert waiting.after_seconds == 60
    again = await adapter.poll(post(), PERSON, waiting.remote, 0)
    assert isinstance(again, Pending)
    assert again.after_seconds == 60
    found = await adapter.poll(post(), PERSON, again.remote, 1)
    assert isinstance(found, NotPublished)
    assert isinstance(found.reason, Quota)
    assert found.reason.after_seconds == 16 * 3600


async def test_a_duplicate_of_an_older_post_is_not_taken_for_one_that_was_only_ever_refused(
    adapter: LinkedIn, linkedin: respx.Router
) -> None:
    linkedin.post(POSTS).mock(side_effect=[error(429), DUPLICATE])
    waiting = await adapter.finish(post(), PERSON, remote())
    assert isinstance(waiting, Pending)
    found = await adapter.poll(post(), PERSON, waiting.remote, 0)
    assert isinstance(found, NotPublished)
    assert found.reason.error.code == "duplicate_post"


async def test_a_lost_post_is_sent_again_only_after_a_pause_and_not_for_ever(
    adapter: LinkedIn, linkedin: respx.Router
) -> None:
    assert await adapter.poll(post(), PERSON, remote(), 6) == Pending(remote(), 60)
    assert not linkedin.post(POSTS).called
    linkedin.post(POSTS).mock(return_value=DUPLICATE)
    found = await adapter.poll(post(), PERSON, remote(), 7)
    assert isinstance(found, Published)
    assert found.result["post_urn"] == "urn:li:share:9"
    failure = await failure_of(adapter.poll(post(), PERSON, remote(sends=4), 7))
    assert (type(failure), failure.error.code) == (Permanent, "outcome_unknown")
