"""The X adapter: what it sends, how it sorts every answer, and how it recognises its own post."""

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
    Pending,
    Permanent,
    Published,
    Quota,
    Ready,
    TryAgain,
)
from functions.platforms.post import Account, MediaFile, Post
from functions.platforms.x.adapter import X, XConfig

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
BASE = "https://api.x.com"
INITIALIZE, UPLOAD = f"{BASE}/2/media/upload/initialize", f"{BASE}/2/media/upload"
APPEND, FINALIZE = f"{UPLOAD}/m1/append", f"{UPLOAD}/m1/finalize"
TWEETS, RECENT = f"{BASE}/2/tweets", f"{BASE}/2/users/17/tweets"
ACCOUNT = Account("17", "secret")
NOW = 1_800_000_000.0
MOMENT, BEFORE = "2027-01-15T08:00:01.000Z", "2027-01-15T07:00:00.000Z"
VIDEO = b"v" * 2500
DONE = {"media_id": "m1", "media_key": "k1", "size": 2500, "sent": 3, "closed": True, "ready": True}
REMOTE = {"uploads": [DONE], "began_at": NOW}
TEXT_ONLY = {"began_at": NOW}


def post(*types: str, caption: str = "caption", **settings: Any) -> Post:
    files = [
        MediaFile(name=f"{number}", size=2500, type=mime, url=f"https://media.example/{number}")
        for number, mime in enumerate(types)
    ]
    return Post("x_post", tuple(files), caption, settings)


def problem(status: int, slug: str = "", detail: str = "words", **rest: Any) -> httpx.Response:
    kind = f"https://api.x.com/2/problems/{slug}" if slug else "about:blank"
    return httpx.Response(status, json={"title": "Title", "detail": detail, "type": kind, "status": status, **rest})


def media(**rest: Any) -> httpx.Response:
    return httpx.Response(200, json={"data": {"id": "m1", "media_key": "k1", **rest}})


def shown(text: Any, at: Any = MOMENT, **rest: Any) -> dict[str, Any]:
    return {"id": "p1", "text": text, "created_at": at, **rest}


@pytest.fixture
async def adapter() -> AsyncIterator[X]:
    async with httpx.AsyncClient(verify=TLS) as http:
        yield X(http, XConfig(BASE, segment_bytes=1000), clock=lambda: NOW)


@pytest.fixture
def x() -> Iterator[respx.Router]:
    with respx.mock(assert_all_called=False) as router:
        router.post(INITIALIZE).mock(return_value=media())
        router.post(APPEND).respond(json={"data": {"expires_at": 1}})
        router.post(FINALIZE).mock(return_value=media())
        router.get(url__regex=r"https://media\.example/.*").mock(side_effect=serve)
        yield router


def serve(request: httpx.Request) -> httpx.Response:
    first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
    part = VIDEO[int(first) : int(last) + 1]
    return httpx.Response(206, content=part, headers={"Content-Range": f"bytes {first}-{last}/{len(VIDEO)}"})


async def failure_of(step: Any) -> Any:
    with pytest.raises(CallFailed) as failed:
        await step
    return failed.value.failure


async def test_media_goes_up_in_segments_and_the_post_names_it(adapter: X, x: respx.Router) -> None:
    ready = await adapter.prepare(post("video/mp4"), ACCOUNT, {}, 0)
    assert isinstance(ready, Ready)
    announced = json.loads(x.post(INITIALIZE).calls.last.request.content)
    assert announced == {"media_type": "video/mp4", "media_category": "tweet_video", "total_bytes": 2500}
    segments = [call.request.content for call in x.post(APPEND).calls]
    assert [segment.count(b"v" * 100) for segment in segments] == [10, 10, 5]
    assert [b'name="segment_index"\r\n\r\n%d\r\n' % number in segments[number] for number in range(3)] == [True] * 3

    x.post(TWEETS).respond(201, json={"data": {"id": "p1", "text": "caption"}})
    choices = post("video/mp4", replySettings="following", aiGenerated=True, paidPartnership=False)
    finished = await adapter.finish(choices, ACCOUNT, ready.remote)
    request = x.post(TWEETS).calls.last.request
    assert request.headers["authorization"] == "Bearer secret"
    assert json.loads(request.content) == {
        "text": "caption",
        "media": {"media_ids": ["m1"]},
        "reply_settings": "following",
        "made_with_ai": True,
        "paid_partnership": False,
    }
    assert finished.result["permalink"] == "https://x.com/i/status/p1"
    assert finished.result["post_id"] == "p1"


@pytest.mark.parametrize(
    ("mime", "category"), [("image/png", "tweet_image"), ("image/gif", "tweet_gif"), ("video/webm", "tweet_video")]
)
async def test_each_sort_of_media_has_its_category(adapter: X, x: respx.Router, mime: str, category: str) -> None:
    await adapter.prepare(post(mime), ACCOUNT, {}, 0)
    assert json.loads(x.post(INITIALIZE).calls.last.request.content)["media_category"] == category


async def test_media_that_x_processes_is_asked_for_when_x_says(adapter: X, x: respx.Router) -> None:
    x.post(FINALIZE).mock(return_value=media(processing_info={"state": "pending", "check_after_secs": 7}))
    waiting = await adapter.prepare(post("video/mp4"), ACCOUNT, {}, 0)
    assert isinstance(waiting, Pending)
    assert waiting.after_seconds == 7
    status = x.get(UPLOAD, params={"command": "STATUS", "media_id": "m1"})
    status.mock(return_value=media(processing_info={"state": "in_progress"}))
    again = await adapter.prepare(post("video/mp4"), ACCOUNT, waiting.remote, 2)
    assert isinstance(again, Pending)
    assert again.after_seconds == 20
    status.mock(return_value=media(processing_info={"state": "succeeded"}))
    assert isinstance(await adapter.prepare(post("video/mp4"), ACCOUNT, again.remote, 3), Ready)
    status.mock(return_value=media(processing_info={"state": "failed", "error": {"message": "bad codec"}}))
    failure = await failure_of(adapter.prepare(post("video/mp4"), ACCOUNT, again.remote, 3))
    assert (type(failure), failure.error.code) == (Permanent, "media_processing_failed")
    assert "bad codec" in failure.error.message


async def test_an_upload_goes_on_at_the_segment_that_failed(adapter: X, x: respx.Router) -> None:
    appended = httpx.Response(200, json={"data": {}})
    x.post(APPEND).mock(side_effect=[appended, problem(503), appended, appended])
    waiting = await adapter.prepare(post("video/mp4"), ACCOUNT, {}, 0)
    assert isinstance(waiting, Pending)
    assert (waiting.remote["uploads"][0]["sent"], waiting.remote["failures"]) == (1, 1)
    assert isinstance(await adapter.prepare(post("video/mp4"), ACCOUNT, waiting.remote, 1), Ready)
    assert [b"\r\n\r\n1\r\n" in call.request.content for call in x.post(APPEND).calls] == [False, True, True, False]
    assert x.post(INITIALIZE).call_count == 1


async def test_an_upload_that_goes_on_failing_spends_the_attempt(adapter: X, x: respx.Router) -> None:
    x.post(APPEND).mock(return_value=problem(503))
    remote: dict[str, Any] = {}
    for _ in range(5):
        waiting = await adapter.prepare(post("video/mp4"), ACCOUNT, remote, 0)
        assert isinstance(waiting, Pending)
        remote = waiting.remote
    assert isinstance(await failure_of(adapter.prepare(post("video/mp4"), ACCOUNT, remote, 0)), TryAgain)


async def test_a_run_whose_time_is_up_hands_over_at_once(x: respx.Router) -> None:
    times = iter(range(0, 100_000, 100))
    async with httpx.AsyncClient(verify=TLS) as http:
        adapter = X(http, XConfig(BASE, segment_bytes=1000), clock=lambda: NOW + next(times))
        waiting = await adapter.prepare(post("video/mp4"), ACCOUNT, {}, 0)
    assert isinstance(waiting, Pending)
    assert waiting.after_seconds == 0
    assert waiting.remote["uploads"][0]["sent"] < 3


# Answer, and the class before and at the irreversible call.
ERRORS: list[tuple[Any, type[Any], type[Any]]] = [
    (problem(400, "invalid-request"), Permanent, Permanent),
    (problem(401), Auth, Auth),
    (problem(403, detail="Unsupported Authentication"), Auth, Auth),
    (problem(402, title="CreditsDepleted"), Quota, Quota),
    (problem(403, detail="You are not permitted to perform this action."), Permanent, Permanent),
    (problem(403, "client-forbidden"), Permanent, Permanent),
    (problem(403, "not-authorized-for-resource"), Permanent, Permanent),
    (problem(403, detail="User is suspended"), Permanent, Permanent),
    (problem(404, "resource-not-found"), Permanent, Permanent),
    (problem(429, "rate-limit-exceeded"), Quota, Quota),
    (problem(429), Quota, Quota),
    (problem(429, "usage-capped"), Quota, Quota),
    (problem(500, "internal-error"), TryAgain, Ambiguous),
    (problem(502), TryAgain, Ambiguous),
    (problem(503), TryAgain, Ambiguous),
    (problem(504), TryAgain, Ambiguous),
    (httpx.Response(503, html="<h1>over capacity</h1>"), TryAgain, Ambiguous),
    (httpx.Response(200, json={"errors": [{"title": "t", "type": "x/internal-error"}]}), TryAgain, Ambiguous),
    (httpx.Response(200, json={"errors": [{"message": "no"}]}), Permanent, Ambiguous),
    (httpx.Response(200, json={}), TryAgain, Ambiguous),
    (httpx.ReadTimeout("late"), TryAgain, Ambiguous),
    (httpx.RemoteProtocolError("gone"), TryAgain, Ambiguous),
    (httpx.ConnectError("down"), TryAgain, TryAgain),
]


@pytest.mark.parametrize(("response", "before", "at"), ERRORS)
async def test_each_answer_has_its_class_before_and_at_the_irreversible_call(
    adapter: X, x: respx.Router, response: Any, before: type[Any], at: type[Any]
) -> None:
    x.post(INITIALIZE).mock(side_effect=[response])
    x.post(TWEETS).mock(side_effect=[response])
    assert type(await failure_of(adapter.prepare(post("image/png"), ACCOUNT, {}, 0))) is before
    assert type(await failure_of(adapter.finish(post(), ACCOUNT, TEXT_ONLY))) is at


@pytest.mark.parametrize(
    ("headers", "slug", "pause"),
    [
        ({}, "", 900),
        ({"x-rate-limit-reset": str(int(NOW) + 42)}, "", 42),
        ({"x-rate-limit-reset": str(int(NOW) - 9)}, "", 1),
        ({"retry-after": "9"}, "", 9),
        ({"x-rate-limit-reset": str(int(NOW) + 42)}, "usage-capped", 86_400),
    ],
)
async def test_a_limit_waits_until_x_says_that_it_is_over(
    adapter: X, x: respx.Router, headers: dict[str, str], slug: str, pause: float
) -> None:
    limited = problem(429, slug)
    limited.headers.update(headers)
    x.post(TWEETS).mock(return_value=limited)
    assert (await failure_of(adapter.finish(post(), ACCOUNT, TEXT_ONLY))).after_seconds == pause


DUPLICATE = problem(403, detail="You are not allowed to create a Tweet with duplicate content.")


@pytest.mark.parametrize(
    ("recent", "end"),
    [
        ([shown("caption")], Published),
        ([shown("caption", at=BEFORE)], Permanent),
        ([shown("another")], Ambiguous),
        ([], Ambiguous),
        (problem(503), Ambiguous),
    ],
)
async def test_a_duplicate_is_explained_by_the_accounts_recent_posts(
    adapter: X, x: respx.Router, recent: Any, end: type[Any]
) -> None:
    x.post(TWEETS).mock(return_value=DUPLICATE)
    answer = recent if isinstance(recent, httpx.Response) else httpx.Response(200, json={"data": recent})
    x.get(RECENT).mock(return_value=answer)
    step = adapter.finish(post(), ACCOUNT, TEXT_ONLY)
    if end is Published:
        assert (await step).result["post_id"] == "p1"
    else:
        failure = await failure_of(step)
        assert (type(failure), failure.error.code) == (end, "duplicate_content")


LINKED = {
    "text": "read https://t.co/1 &amp; more https://t.co/2",
    "entities": {
        "urls": [
            {"url": "https://t.co/1", "expanded_url": "https://example.com/a"},
            {"url": "https://t.co/2", "expanded_url": "https://x.com/i/status/p1/video/1", "media_key": "k1"},
        ]
    },
}


@pytest.mark.parametrize(
    ("wanted", "remote", "found", "known"),
    [
        (post(), TEXT_ONLY, shown("caption"), True),
        (post(caption="read example.com/a & more"), TEXT_ONLY, shown(**LINKED), True),
        (post(caption="read https://example.com/b & more"), TEXT_ONLY, shown(**LINKED), False),
        (post(), TEXT_ONLY, shown("caption", at=BEFORE), False),
        (post(), TEXT_ONLY, {"id": "p1"}, False),
        (post("video/mp4"), REMOTE, shown("changed", attachments={"media_keys": ["k1"]}), True),
        (post("video/mp4"), REMOTE, shown("caption", attachments={"media_keys": ["k2"]}), False),
    ],
)
async def test_a_lost_post_is_recognised_by_its_media_or_its_text(
    adapter: X, x: respx.Router, wanted: Post, remote: dict[str, Any], found: dict[str, Any], known: bool
) -> None:
    x.get(RECENT).respond(json={"data": [found]})
    looked = await adapter.poll(wanted, ACCOUNT, remote, 0)
    assert isinstance(looked, Published if known else Pending)


async def test_a_post_that_does_not_show_is_never_called_not_published(adapter: X, x: respx.Router) -> None:
    x.get(RECENT).respond(json={"meta": {"result_count": 0}})
    assert await adapter.poll(post(), ACCOUNT, TEXT_ONLY, 7) == Pending(TEXT_ONLY, 60)
    failure = await failure_of(adapter.poll(post(), ACCOUNT, TEXT_ONLY, 8))
    assert (type(failure), failure.error.code) == (Permanent, "outcome_unknown")
    assert not x.post(TWEETS).called
