"""The Threads adapter: what it sends, and how it sorts every answer of the error tables."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs

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
from functions.platforms.meta.containers import ContainerConfig
from functions.platforms.post import Account, MediaFile, Post
from functions.platforms.threads.adapter import Threads

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
ROOT = "https://graph.threads.net/v1.0"
LIMIT, MAKE, PUBLISH = (f"{ROOT}/17/{path}" for path in ("threads_publishing_limit", "threads", "threads_publish"))
CONTAINER = f"{ROOT}/c1"
ACCOUNT = Account("17", "secret")
REMOTE = {"children": (), "container": "c1", "rebuilds": 0, "refusal": None}
NOTHING = {"children": (), "container": None, "rebuilds": 0, "refusal": None}


def post(*types: str, **settings: Any) -> Post:
    files = [
        MediaFile(name=f"{number}", size=10, type=mime, url=f"https://media.example/{number}.{mime[6:]}")
        for number, mime in enumerate(types)
    ]
    return Post("threads_post", tuple(files), "caption", settings)


def error(code: int, subcode: int | None = None, status: int = 400, **rest: Any) -> httpx.Response:
    body = {"message": "words", "type": "OAuthException", "code": code, "error_subcode": subcode, **rest}
    return httpx.Response(status, json={"error": body})


def status(code: str, message: str = "") -> httpx.Response:
    return httpx.Response(200, json={"status": code, "id": "c1"} | ({"error_message": message} if message else {}))


def serve(request: httpx.Request) -> httpx.Response:
    """The first byte of a file."""
    mime = {"jpeg": "image/jpeg", "png": "image/png"}.get(request.url.path.rpartition(".")[2], "video/mp4")
    return httpx.Response(206, content=b"x", headers={"Content-Range": "bytes 0-0/10", "Content-Type": mime})


@pytest.fixture
async def adapter() -> AsyncIterator[Threads]:
    async with httpx.AsyncClient(verify=TLS) as http:
        yield Threads(http, ContainerConfig("https://graph.threads.net", "v1.0"))


@pytest.fixture
def graph() -> Iterator[respx.Router]:
    with respx.mock(assert_all_called=False) as router:
        quota = {"quota_usage": 4, "config": {"quota_total": 250, "quota_duration": 86_400}}
        router.get(LIMIT).respond(json={"data": [quota]})
        router.post(MAKE).respond(json={"id": "c1"})
        router.get(CONTAINER).mock(return_value=status("FINISHED"))
        router.get(url__startswith="https://media.example/").mock(side_effect=serve)
        yield router


async def failure_of(step: Any) -> Any:
    with pytest.raises(CallFailed) as failed:
        await step
    return failed.value.failure


def forms(route: respx.Route) -> list[dict[str, str]]:
    return [{name: value for name, [value] in parse_qs(call.request.content.decode()).items()} for call in route.calls]


@pytest.mark.parametrize(
    ("wanted", "form"),
    [
        (post(), {"media_type": "TEXT", "text": "caption"}),
        (
            post("image/png", replyControl="mentioned_only", topicTag="news"),
            {
                "media_type": "IMAGE",
                "image_url": "https://media.example/0.png",
                "text": "caption",
                "reply_control": "mentioned_only",
                "topic_tag": "news",
            },
        ),
        (post("video/mp4"), {"media_type": "VIDEO", "video_url": "https://media.example/0.mp4", "text": "caption"}),
    ],
    ids=["text", "image", "video"],
)
async def test_a_text_or_one_file_becomes_one_container(
    adapter: Threads, graph: respx.Router, wanted: Post, form: dict[str, str]
) -> None:
    assert await adapter.prepare(wanted, ACCOUNT, {}, 0) == Ready(REMOTE)
    assert forms(graph.post(MAKE)) == [form]
    assert graph.post(MAKE).calls.last.request.headers["authorization"] == "Bearer secret"
    assert graph.get(CONTAINER).calls.last.request.url.params["fields"] == "status,error_message"


async def test_several_files_become_a_carousel_when_its_items_are_filled(adapter: Threads, graph: respx.Router) -> None:
    graph.post(MAKE).mock(side_effect=[httpx.Response(200, json={"id": name}) for name in ("a", "b", "c1")])
    graph.get(f"{ROOT}/a").mock(return_value=status("FINISHED"))
    graph.get(f"{ROOT}/b").mock(side_effect=[status("IN_PROGRESS"), status("FINISHED")])
    wanted = post("image/jpeg", "video/mp4")
    waiting = await adapter.prepare(wanted, ACCOUNT, {}, 0)
    assert waiting == Pending({"children": ("a", "b"), "container": None, "rebuilds": 0, "refusal": None}, 5)
    ready = await adapter.prepare(wanted, ACCOUNT, waiting.remote, 1)
    assert ready == Ready({"children": ("a", "b"), "container": "c1", "rebuilds": 0, "refusal": None})
    assert forms(graph.post(MAKE)) == [
        {"is_carousel_item": "true", "media_type": "IMAGE", "image_url": "https://media.example/0.jpeg"},
        {"is_carousel_item": "true", "media_type": "VIDEO", "video_url": "https://media.example/1.mp4"},
        {"media_type": "CAROUSEL", "children": "a,b", "text": "caption"},
    ]


async def test_a_used_up_quota_waits_before_anything_is_made(adapter: Threads, graph: respx.Router) -> None:
    graph.get(LIMIT).respond(json={"data": [{"quota_usage": 250, "config": {"quota_total": 250}}]})
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))
    assert (type(failure), failure.after_seconds) == (Quota, 3600)
    assert not graph.post(MAKE).called


async def test_a_container_that_is_not_found_yet_is_waited_for(adapter: Threads, graph: respx.Router) -> None:
    graph.get(CONTAINER).mock(return_value=error(24, 4279009))
    assert await adapter.prepare(post(), ACCOUNT, {}, 0) == Pending(REMOTE, 5)


async def test_a_container_that_does_not_exist_is_made_anew(adapter: Threads, graph: respx.Router) -> None:
    graph.get(CONTAINER).mock(return_value=error(100, 33))
    assert await adapter.prepare(post(), ACCOUNT, REMOTE, 0) == Pending(NOTHING | {"rebuilds": 1}, 5)


@pytest.mark.parametrize(
    ("code", "message", "passes"),
    [
        ("EXPIRED", "", True),
        ("ERROR", "", True),
        ("ERROR", "UNKNOWN", True),
        ("ERROR", "FAILED_DOWNLOADING_VIDEO", True),
        ("ERROR", "FAILED_PROCESSING_AUDIO", False),
        ("ERROR", "FAILED_PROCESSING_VIDEO", False),
        ("ERROR", "INVALID_ASPEC_RATIO", False),
        ("ERROR", "INVALID_BIT_RATE", False),
        ("ERROR", "INVALID_DURATION", False),
        ("ERROR", "INVALID_FRAME_RATE", False),
        ("ERROR", "INVALID_AUDIO_CHANNELS", False),
        ("ERROR", "INVALID_AUDIO_CHANNEL_LAYOUT", False),
    ],
)
async def test_a_failed_container_is_made_anew_unless_its_media_is_at_fault(
    adapter: Threads, graph: respx.Router, code: str, message: str, passes: bool
) -> None:
    graph.get(CONTAINER).mock(return_value=status(code, message))
    found = await adapter.poll(post(), ACCOUNT, REMOTE, 0)
    assert isinstance(found, NotPublished)
    assert type(found.reason) is (TryAgain if passes else Permanent)
    if passes:
        assert await adapter.prepare(post(), ACCOUNT, REMOTE, 0) == Pending(NOTHING | {"rebuilds": 1}, 5)
    else:
        assert isinstance(await failure_of(adapter.prepare(post(), ACCOUNT, REMOTE, 0)), Permanent)


async def class_of_end(adapter: Threads) -> type[Any]:
    """The class of what the call that publishes was refused with, once its container has been looked at long enough."""
    try:
        finished = await adapter.finish(post(), ACCOUNT, REMOTE)
    except CallFailed as failed:
        return type(failed.failure)
    assert isinstance(finished, Pending)
    assert isinstance(await adapter.poll(post(), ACCOUNT, finished.remote, 6), Pending)
    found = await adapter.poll(post(), ACCOUNT, finished.remote, 7)
    assert isinstance(found, NotPublished)
    assert found.reason.error.message.endswith("words")
    return type(found.reason)


# Code, subcode, and the class before and at the irreversible call.
ERRORS: list[tuple[int, int | None, type[Any], type[Any]]] = [
    (24, 4279009, TryAgain, TryAgain),
    (9007, 2207027, TryAgain, TryAgain),
    (24, 2207008, TryAgain, TryAgain),
    (4, 2207051, Permanent, Permanent),
    (25, 2207050, Permanent, Permanent),
    (1, 4279013, Permanent, Permanent),
    (9, 2207042, Quota, Quota),
    (9004, 2207052, TryAgain, Ambiguous),
    (100, None, Permanent, Permanent),
    (1, None, TryAgain, Ambiguous),
    (2, None, TryAgain, Ambiguous),
    (341, None, TryAgain, Ambiguous),
    (4, None, Quota, Quota),
    (613, None, Quota, Quota),
    (80005, None, Quota, Quota),
    (102, None, Auth, Auth),
    (190, 467, Auth, Auth),
    (10, None, Permanent, Permanent),
    (200, None, Permanent, Permanent),
    (506, None, Permanent, Ambiguous),
]


@pytest.mark.parametrize(("code", "subcode", "before", "at"), ERRORS)
async def test_each_error_has_its_class_before_and_at_the_irreversible_call(
    adapter: Threads, graph: respx.Router, code: int, subcode: int | None, before: type[Any], at: type[Any]
) -> None:
    graph.post(MAKE).mock(return_value=error(code, subcode))
    graph.post(PUBLISH).mock(return_value=error(code, subcode))
    assert type(await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))) is before
    assert await class_of_end(adapter) is at


@pytest.mark.parametrize(
    ("response", "at"),
    [
        (httpx.Response(502, html="bad gateway"), Ambiguous),
        (httpx.Response(200, json={}), Ambiguous),
        (httpx.ReadTimeout("late"), Ambiguous),
        (httpx.ReadError("reset"), Ambiguous),
        (httpx.ConnectTimeout("down"), TryAgain),
        (httpx.Response(401), Auth),
    ],
)
async def test_an_unclear_answer_to_the_irreversible_call_is_ambiguous(
    adapter: Threads, graph: respx.Router, response: Any, at: type[Any]
) -> None:
    graph.post(PUBLISH).mock(side_effect=[response])
    assert type(await failure_of(adapter.finish(post(), ACCOUNT, REMOTE))) is at


async def test_a_published_post_has_its_id_and_its_address(adapter: Threads, graph: respx.Router) -> None:
    graph.post(PUBLISH).respond(json={"id": "m1"})
    graph.get(f"{ROOT}/m1").respond(json={"permalink": "https://www.threads.net/@ana/post/x"})
    finished = await adapter.finish(post(), ACCOUNT, REMOTE)
    assert forms(graph.post(PUBLISH)) == [{"creation_id": "c1"}]
    assert isinstance(finished, Published)
    assert finished.result == {
        "platform": "threads",
        "option": "threads_post",
        "account": "17",
        "container_id": "c1",
        "media_id": "m1",
        "permalink": "https://www.threads.net/@ana/post/x",
        "platform_response": {"id": "m1"},
    }


@pytest.mark.parametrize(
    ("code", "looks", "kind"),
    [
        ("PUBLISHED", 0, Published),
        ("IN_PROGRESS", 9, Pending),
        ("FINISHED", 6, Pending),
        ("FINISHED", 7, NotPublished),
        ("SOMETHING_NEW", 9, Pending),
    ],
)
async def test_the_container_tells_whether_its_post_went_out(
    adapter: Threads, graph: respx.Router, code: str, looks: int, kind: type[Any]
) -> None:
    graph.get(CONTAINER).mock(return_value=status(code))
    assert type(await adapter.poll(post(), ACCOUNT, REMOTE, looks)) is kind


@pytest.mark.parametrize(("code", "subcode"), [(4, 2207051), (10, None), (4, None)])
async def test_a_refusal_of_a_container_that_is_published_all_the_same_is_not_believed(
    adapter: Threads, graph: respx.Router, code: int, subcode: int | None
) -> None:
    graph.post(PUBLISH).mock(return_value=error(code, subcode))
    graph.get(CONTAINER).mock(side_effect=[status("FINISHED"), status("PUBLISHED")])
    finished = await adapter.finish(post(), ACCOUNT, REMOTE)
    assert isinstance(finished, Pending)
    assert isinstance(await adapter.poll(post(), ACCOUNT, finished.remote, 0), Pending)
    assert isinstance(await adapter.poll(post(), ACCOUNT, finished.remote, 1), Published)


async def test_a_container_that_the_graph_api_denies_after_the_call_is_asked_for_again(
    adapter: Threads, graph: respx.Router
) -> None:
    graph.get(CONTAINER).mock(return_value=error(100, 33))
    assert isinstance(await adapter.poll(post(), ACCOUNT, REMOTE, 0), Pending)
    assert isinstance(await failure_of(adapter.poll(post(), ACCOUNT, REMOTE, 7)), Permanent)
