"""The Instagram adapter: what it sends, and how it sorts every answer of the error tables."""

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
from functions.platforms.instagram.adapter import Instagram, InstagramConfig
from functions.platforms.post import Account, MediaFile, Post

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
ROOT = "https://graph.facebook.com/v26.0"
LIMIT, MEDIA, PUBLISH = (f"{ROOT}/17/{path}" for path in ("content_publishing_limit", "media", "media_publish"))
CONTAINER = f"{ROOT}/c1"
ACCOUNT = Account("17", "secret")
REMOTE = {"children": (), "container": "c1", "rebuilds": 0, "refusal": None}


def post(*types: str, option: str = "instagram_feed", **settings: Any) -> Post:
    files = [
        MediaFile(name=f"{number}", size=10, type=mime, url=f"https://media.example/{number}.{mime[6:]}")
        for number, mime in enumerate(types or ("image/jpeg",))
    ]
    return Post(option, tuple(files), "caption", settings)


def error(code: int, subcode: int | None = None, status: int = 400, **rest: Any) -> httpx.Response:
    body = {"message": "words", "type": "OAuthException", "code": code, "error_subcode": subcode, **rest}
    return httpx.Response(status, json={"error": body})


def status(code: str, text: str = "") -> httpx.Response:
    return httpx.Response(200, json={"status_code": code, "status": text or code, "id": "c1"})


def serve(request: httpx.Request) -> httpx.Response:
    """The first byte of a file."""
    mime = "image/jpeg" if request.url.path.endswith("jpeg") else "video/mp4"
    return httpx.Response(206, content=b"x", headers={"Content-Range": "bytes 0-0/10", "Content-Type": mime})


@pytest.fixture
async def adapter() -> AsyncIterator[Instagram]:
    async with httpx.AsyncClient(verify=TLS) as http:
        yield Instagram(http, InstagramConfig("https://graph.facebook.com", "v26.0"))


@pytest.fixture
def graph() -> Iterator[respx.Router]:
    with respx.mock(assert_all_called=False) as router:
        quota = {"quota_usage": 1, "config": {"quota_total": 50, "quota_duration": 86_400}}
        router.get(LIMIT).respond(json={"data": [quota]})
        router.post(MEDIA).respond(json={"id": "c1"})
        router.get(CONTAINER).mock(return_value=status("FINISHED"))
        router.get(url__startswith="https://media.example/").mock(side_effect=serve)
        yield router


async def failure_of(step: Any) -> Any:
    with pytest.raises(CallFailed) as failed:
        await step
    return failed.value.failure


def bodies(route: respx.Route) -> list[dict[str, Any]]:
    return [json.loads(call.request.content) for call in route.calls]


@pytest.mark.parametrize(
    ("wanted", "body"),
    [
        (post(), {"image_url": "https://media.example/0.jpeg", "caption": "caption"}),
        (
            post("video/mp4", coverTimestampMs=500, aiGenerated=True),
            {
                "media_type": "REELS",
                "video_url": "https://media.example/0.mp4",
                "share_to_feed": True,
                "thumb_offset": 500,
                "caption": "caption",
                "is_ai_generated": True,
            },
        ),
        (
            post("video/mp4", option="instagram_reels", shareToFeed=False),
            {
                "media_type": "REELS",
                "video_url": "https://media.example/0.mp4",
                "share_to_feed": False,
                "caption": "caption",
            },
        ),
        (
            post(option="instagram_story", aiGenerated=True),
            {"media_type": "STORIES", "image_url": "https://media.example/0.jpeg", "is_ai_generated": True},
        ),
        (
            post("video/mp4", option="instagram_story"),
            {"media_type": "STORIES", "video_url": "https://media.example/0.mp4"},
        ),
    ],
    ids=["image", "video", "reel", "story", "story of a video"],
)
async def test_one_file_becomes_one_container(
    adapter: Instagram, graph: respx.Router, wanted: Post, body: dict[str, Any]
) -> None:
    assert await adapter.prepare(wanted, ACCOUNT, {}, 0) == Ready(REMOTE)
    assert bodies(graph.post(MEDIA)) == [body]
    assert graph.post(MEDIA).calls.last.request.headers["authorization"] == "Bearer secret"


async def test_several_files_become_items_that_are_filled_before_the_carousel_is_made(
    adapter: Instagram, graph: respx.Router
) -> None:
    graph.post(MEDIA).mock(side_effect=[httpx.Response(200, json={"id": name}) for name in ("a", "b", "c1")])
    graph.get(f"{ROOT}/a").mock(return_value=status("FINISHED"))
    graph.get(f"{ROOT}/b").mock(side_effect=[status("IN_PROGRESS"), status("FINISHED")])
    wanted = post("image/jpeg", "video/mp4")

    waiting = await adapter.prepare(wanted, ACCOUNT, {}, 0)
    assert waiting == Pending({"children": ("a", "b"), "container": None, "rebuilds": 0, "refusal": None}, 5)
    ready = await adapter.prepare(wanted, ACCOUNT, waiting.remote, 1)
    assert ready == Ready({"children": ("a", "b"), "container": "c1", "rebuilds": 0, "refusal": None})
    assert bodies(graph.post(MEDIA)) == [
        {"is_carousel_item": True, "image_url": "https://media.example/0.jpeg"},
        {"is_carousel_item": True, "media_type": "VIDEO", "video_url": "https://media.example/1.mp4"},
        {"media_type": "CAROUSEL", "children": "a,b", "caption": "caption"},
    ]


async def test_a_container_of_an_earlier_run_is_polled_not_made_again(adapter: Instagram, graph: respx.Router) -> None:
    graph.get(CONTAINER).mock(return_value=status("IN_PROGRESS"))
    assert await adapter.prepare(post(), ACCOUNT, REMOTE, 3) == Pending(REMOTE, 30)
    assert not graph.post(MEDIA).called


async def test_a_container_that_turns_out_to_be_published_is_not_published_again(
    adapter: Instagram, graph: respx.Router
) -> None:
    graph.get(CONTAINER).mock(return_value=status("PUBLISHED"))
    assert isinstance(await adapter.prepare(post(), ACCOUNT, REMOTE, 0), Published)


async def test_an_account_that_signed_in_with_instagram_itself_is_served_elsewhere(adapter: Instagram) -> None:
    with respx.mock:
        elsewhere = "https://graph.instagram.com/v26.0"
        respx.get(f"{elsewhere}/c1").mock(return_value=status("PUBLISHED"))
        account = Account("17", "secret", kind="instagram_login")
        assert isinstance(await adapter.poll(post(), account, REMOTE, 0), Published)


async def test_media_that_instagram_could_not_pull_is_refused_before_anything_is_made(
    adapter: Instagram, graph: respx.Router
) -> None:
    graph.get(url__startswith="https://media.example/").respond(404)
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))
    assert (type(failure), failure.error.code) == (Permanent, "media_not_available")
    assert not graph.post(MEDIA).called


async def test_a_container_that_is_not_ready_by_an_error_is_waited_for(adapter: Instagram, graph: respx.Router) -> None:
    graph.get(CONTAINER).mock(return_value=error(24, 2207008))
    assert await adapter.prepare(post(), ACCOUNT, REMOTE, 0) == Pending(REMOTE, 5)


async def test_a_used_up_quota_waits_before_anything_is_made(adapter: Instagram, graph: respx.Router) -> None:
    graph.get(LIMIT).respond(json={"data": [{"quota_usage": 50, "config": {"quota_total": 50}}]})
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))
    assert isinstance(failure, Quota)
    assert failure.after_seconds == 3600
    assert not graph.post(MEDIA).called


@pytest.mark.parametrize(
    "response",
    [
        status("ERROR", "Error: Media upload has failed with error code 2207053"),
        status("EXPIRED"),
        error(24, 2207006),
        error(-2, 2207020),
        error(100, 33),
    ],
)
async def test_a_lost_container_is_made_anew_a_few_times(
    adapter: Instagram, graph: respx.Router, response: httpx.Response
) -> None:
    graph.get(CONTAINER).mock(return_value=response)
    again = await adapter.prepare(post(), ACCOUNT, REMOTE, 0)
    assert again == Pending({"children": (), "container": None, "rebuilds": 1, "refusal": None}, 5)
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, REMOTE | {"rebuilds": 2}, 0))
    assert isinstance(failure, Permanent)


async def test_a_container_refused_for_its_media_is_not_made_anew(adapter: Instagram, graph: respx.Router) -> None:
    graph.get(CONTAINER).mock(return_value=status("ERROR", "Media upload has failed with error code 2207026"))
    assert isinstance(await failure_of(adapter.prepare(post(), ACCOUNT, REMOTE, 0)), Permanent)


async def class_of_end(adapter: Instagram) -> type[Any]:
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
    (-2, 2207003, TryAgain, Ambiguous),
    (-1, 2207001, TryAgain, Ambiguous),
    (-1, 2207032, TryAgain, Ambiguous),
    (-1, 2207053, TryAgain, Ambiguous),
    (24, 2207008, TryAgain, TryAgain),
    (9007, 2207027, TryAgain, TryAgain),
    (24, 2207006, TryAgain, Ambiguous),
    (-2, 2207020, TryAgain, Ambiguous),
    (9004, 2207052, TryAgain, Ambiguous),
    (9, 2207042, Quota, Quota),
    (4, 2207051, Permanent, Permanent),
    (25, 2207050, Permanent, Permanent),
    (1, 2207057, Permanent, Permanent),
    (100, 2207023, Permanent, Permanent),
    (100, 2207028, Permanent, Permanent),
    (100, 2207035, Permanent, Permanent),
    (100, 2207037, Permanent, Permanent),
    (100, 2207040, Permanent, Permanent),
    (352, 2207026, Permanent, Permanent),
    (36000, 2207004, Permanent, Permanent),
    (36001, 2207005, Permanent, Permanent),
    (36003, 2207009, Permanent, Permanent),
    (36004, 2207010, Permanent, Permanent),
    (1, 2207081, Permanent, Permanent),
    (1, 2207082, TryAgain, Ambiguous),
    (1, 2207077, Permanent, Permanent),
    (1, None, TryAgain, Ambiguous),
    (2, None, TryAgain, Ambiguous),
    (341, None, TryAgain, Ambiguous),
    (4, None, Quota, Quota),
    (17, None, Quota, Quota),
    (32, None, Quota, Quota),
    (613, None, Quota, Quota),
    (80002, None, Quota, Quota),
    (368, None, Permanent, Permanent),
    (102, None, Auth, Auth),
    (190, 463, Auth, Auth),
    (3, None, Permanent, Permanent),
    (10, None, Permanent, Permanent),
    (200, None, Permanent, Permanent),
    (100, None, Permanent, Permanent),
    (506, None, Permanent, Ambiguous),
    (987654, None, Permanent, Permanent),
]


@pytest.mark.parametrize(("code", "subcode", "before", "at"), ERRORS)
async def test_each_error_has_its_class_before_and_at_the_irreversible_call(
    adapter: Instagram, graph: respx.Router, code: int, subcode: int | None, before: type[Any], at: type[Any]
) -> None:
    graph.post(MEDIA).mock(return_value=error(code, subcode))
    graph.post(PUBLISH).mock(return_value=error(code, subcode))
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))
    assert type(failure) is before
    assert failure.error.code == f"graph_{code}" + (f"_{subcode}" if subcode else "")
    assert failure.error.details["platform_response"]["error"]["message"] == "words"
    assert await class_of_end(adapter) is at


@pytest.mark.parametrize(
    ("response", "before", "at"),
    [
        (error(100, is_transient=True), TryAgain, Ambiguous),
        (error(100, status=500), TryAgain, Ambiguous),
        (error(4, status=503), Quota, Ambiguous),
        (httpx.Response(502, html="bad gateway"), TryAgain, Ambiguous),
        (httpx.Response(401), Auth, Auth),
        (httpx.Response(408), TryAgain, Ambiguous),
        (httpx.Response(200, json={}), TryAgain, Ambiguous),
        (httpx.ReadTimeout("late"), TryAgain, Ambiguous),
        (httpx.RemoteProtocolError("gone"), TryAgain, Ambiguous),
        (httpx.ConnectError("down"), TryAgain, TryAgain),
    ],
)
async def test_an_unclear_answer_may_be_repeated_before_and_is_ambiguous_at_the_irreversible_call(
    adapter: Instagram, graph: respx.Router, response: Any, before: type[Any], at: type[Any]
) -> None:
    graph.post(MEDIA).mock(side_effect=[response])
    graph.post(PUBLISH).mock(side_effect=[response])
    assert type(await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))) is before
    assert type(await failure_of(adapter.finish(post(), ACCOUNT, REMOTE))) is at


USAGE = {"x-business-use-case-usage": json.dumps({"17": [{"type": "ig", "estimated_time_to_regain_access": 7}]})}


@pytest.mark.parametrize(
    ("headers", "pause"),
    [({}, 300), (USAGE, 420), (USAGE | {"retry-after": "9"}, 9), ({"x-business-use-case-usage": "[]"}, 300)],
)
async def test_throttling_waits_as_long_as_instagram_says(
    adapter: Instagram, graph: respx.Router, headers: dict[str, str], pause: float
) -> None:
    graph.post(MEDIA).respond(400, json={"error": {"code": 4, "message": "limit"}}, headers=headers)
    assert (await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))).after_seconds == pause


@pytest.mark.parametrize(
    ("response", "permalink"),
    [
        (httpx.Response(200, json={"permalink": "https://www.instagram.com/p/x/"}), "https://www.instagram.com/p/x/"),
        (error(1, status=500), None),
        (httpx.ReadTimeout("late"), None),
    ],
)
async def test_a_published_post_has_its_ids_and_a_permalink_where_one_can_be_had(
    adapter: Instagram, graph: respx.Router, response: Any, permalink: str | None
) -> None:
    graph.post(PUBLISH).respond(json={"id": "m1"})
    graph.get(f"{ROOT}/m1").mock(side_effect=[response])
    finished = await adapter.finish(post(), ACCOUNT, REMOTE)
    assert bodies(graph.post(PUBLISH)) == [{"creation_id": "c1"}]
    assert isinstance(finished, Published)
    assert finished.result == {
        "platform": "instagram",
        "option": "instagram_feed",
        "account": "17",
        "container_id": "c1",
        "media_id": "m1",
        "permalink": permalink,
        "platform_response": {"id": "m1"},
    }


@pytest.mark.parametrize(
    ("code", "looks", "kind"),
    [
        ("PUBLISHED", 0, Published),
        ("IN_PROGRESS", 9, Pending),
        ("FINISHED", 6, Pending),
        ("FINISHED", 7, NotPublished),
        ("ERROR", 0, NotPublished),
        ("EXPIRED", 0, NotPublished),
        ("SOMETHING_NEW", 9, Pending),
    ],
)
async def test_the_container_tells_whether_its_post_went_out(
    adapter: Instagram, graph: respx.Router, code: str, looks: int, kind: type[Any]
) -> None:
    graph.get(CONTAINER).mock(return_value=status(code))
    assert type(await adapter.poll(post(), ACCOUNT, REMOTE, looks)) is kind


async def test_a_container_that_is_gone_after_the_call_says_nothing(adapter: Instagram, graph: respx.Router) -> None:
    graph.get(CONTAINER).mock(return_value=error(24, 2207006))
    assert isinstance(await failure_of(adapter.poll(post(), ACCOUNT, REMOTE, 0)), TryAgain)


@pytest.mark.parametrize(("code", "subcode"), [(4, 2207051), (10, None), (4, None)])
async def test_a_refusal_of_a_container_that_is_published_all_the_same_is_not_believed(
    adapter: Instagram, graph: respx.Router, code: int, subcode: int | None
) -> None:
    graph.post(PUBLISH).mock(return_value=error(code, subcode))
    graph.get(CONTAINER).mock(side_effect=[status("FINISHED"), status("PUBLISHED")])
    finished = await adapter.finish(post(), ACCOUNT, REMOTE)
    assert isinstance(finished, Pending)
    assert isinstance(await adapter.poll(post(), ACCOUNT, finished.remote, 0), Pending)
    assert isinstance(await adapter.poll(post(), ACCOUNT, finished.remote, 1), Published)


async def test_a_container_that_the_graph_api_denies_after_the_call_is_asked_for_again(
    adapter: Instagram, graph: respx.Router
) -> None:
    graph.get(CONTAINER).mock(return_value=error(100, 33))
    assert isinstance(await adapter.poll(post(), ACCOUNT, REMOTE, 0), Pending)
    assert isinstance(await failure_of(adapter.poll(post(), ACCOUNT, REMOTE, 7)), Permanent)
