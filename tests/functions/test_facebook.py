"""The Facebook adapter's posts, photos and photo stories: what they send, and how every answer is sorted."""

import json
import unicodedata
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
from functions.platforms.facebook.adapter import Facebook
from functions.platforms.facebook.config import FacebookConfig
from functions.platforms.post import Account, MediaFile, Post
from functions.worker.storable import storable

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
ROOT = "https://graph.facebook.com/v26.0"
LIST, PHOTOS, FEED, STORIES = (f"{ROOT}/17/{edge}" for edge in ("published_posts", "photos", "feed", "photo_stories"))
ACCOUNT = Account("17", "secret", kind="page")
WITH_PHOTOS = {"known": ["17_1"], "photos": ["p1", "p2"]}
WORDS_ONLY = {"known": ["17_1"], "photos": []}


def post(*types: str, option: str = "facebook_feed", caption: str = "caption") -> Post:
    files = [
        MediaFile(name=f"{number}", size=10, type=mime, url=f"https://media.example/{number}.{mime[6:]}")
        for number, mime in enumerate(types)
    ]
    return Post(option, tuple(files), caption, {})


def error(code: int, subcode: int | None = None, status: int = 400, **rest: Any) -> httpx.Response:
    body = {"message": "words", "type": "OAuthException", "code": code, "error_subcode": subcode, **rest}
    return httpx.Response(status, json={"error": body})


def listed(post_id: str, message: str | None = None, *shown: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": post_id, "permalink_url": f"https://www.facebook.com/{post_id}"}
    if message is not None:
        entry["message"] = message
    return entry | ({"attachments": {"data": list(shown)}} if shown else {})


def photo(name: str) -> dict[str, Any]:
    return {"media_type": "photo", "target": {"id": name}}


@pytest.fixture
async def adapter() -> AsyncIterator[Facebook]:
    async with httpx.AsyncClient(verify=TLS) as http:
        config = FacebookConfig("https://graph.facebook.com", "https://graph-video.facebook.com", "v26.0")
        yield Facebook(http, config)


@pytest.fixture
def graph() -> Iterator[respx.Router]:
    with respx.mock(assert_all_called=False) as router:
        router.get(LIST).respond(json={"data": [listed("17_1", "earlier")]})
        ids = ({"id": f"p{number}"} for number in range(1, 99))
        router.post(PHOTOS).mock(side_effect=lambda request: httpx.Response(200, json=next(ids)))
        found = {"Content-Range": "bytes 0-0/10", "Content-Type": "image/jpeg"}
        router.get(url__startswith="https://media.example/").respond(206, content=b"x", headers=found)
        yield router


async def failure_of(step: Any) -> Any:
    with pytest.raises(CallFailed) as failed:
        await step
    return failed.value.failure


def bodies(route: respx.Route) -> list[dict[str, Any]]:
    return [json.loads(call.request.content) for call in route.calls]


async def test_words_need_nothing_but_the_list_of_what_was_there(adapter: Facebook, graph: respx.Router) -> None:
    ready = await adapter.prepare(post(), ACCOUNT, {}, 0)
    assert isinstance(ready, Ready)
    assert json.loads(json.dumps(ready.remote)) == WORDS_ONLY
    assert not graph.post(PHOTOS).called
    assert graph.get(LIST).calls.last.request.headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("option", ["facebook_feed", "facebook_photo"])
async def test_photos_go_up_unpublished_and_the_post_shows_them(
    adapter: Facebook, graph: respx.Router, option: str
) -> None:
    types = ("image/jpeg",) * (1 if option == "facebook_photo" else 2)
    wanted = post(*types, option=option)
    ready = await adapter.prepare(wanted, ACCOUNT, {}, 0)
    assert isinstance(ready, Ready)
    assert bodies(graph.post(PHOTOS)) == [
        {"url": f"https://media.example/{number}.jpeg", "published": False} for number in range(len(types))
    ]
    reply = {"id": "17_2", "permalink_url": "https://www.facebook.com/17_2"}
    graph.post(FEED).respond(json=reply)
    finished = await adapter.finish(wanted, ACCOUNT, ready.remote)
    attached = [{"media_fbid": f"p{number}"} for number in range(1, len(types) + 1)]
    assert bodies(graph.post(FEED)) == [{"message": "caption", "attached_media": attached}]
    assert finished == Published(
        {
            "platform": "facebook",
            "option": option,
            "account": "17",
            "post_id": "17_2",
            "video_id": None,
            "permalink": "https://www.facebook.com/17_2",
            "platform_response": reply,
        }
    )


async def test_a_page_whose_app_has_used_its_calls_up_waits(adapter: Facebook, graph: respx.Router) -> None:
    graph.get(LIST).respond(json={"data": []}, headers={"x-app-usage": '{"call_count": 96}'})
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))
    assert (type(failure), failure.after_seconds) == (Quota, 300)


# Code, subcode, and the class before and at the irreversible call.
ERRORS: list[tuple[int, int | None, type[Any], type[Any]]] = [
    (1366046, None, Permanent, Permanent),
    (1366051, None, Permanent, Permanent),
    (100, 1366046, Permanent, Permanent),
    (1609008, None, Permanent, Permanent),
    (2061006, None, Permanent, Permanent),
    (1349125, None, Permanent, Permanent),
    (368, 1346003, Permanent, Permanent),
    (1404102, None, Permanent, Permanent),
    (1404006, None, Permanent, Permanent),
    (1404112, None, Permanent, Permanent),
    (4854002, None, Permanent, Permanent),
    (2069019, None, Permanent, Permanent),
    (100, None, Permanent, Permanent),
    (3, None, Permanent, Permanent),
    (10, None, Permanent, Permanent),
    (200, None, Permanent, Permanent),
    (299, None, Permanent, Permanent),
    (368, None, Permanent, Permanent),
    (1404078, None, Auth, Auth),
    (190, 458, Auth, Auth),
    (190, 460, Auth, Auth),
    (102, None, Auth, Auth),
    (1363047, None, TryAgain, Ambiguous),
    (1609010, None, TryAgain, Ambiguous),
    (1609005, None, TryAgain, Ambiguous),
    (1, None, TryAgain, Ambiguous),
    (2, None, TryAgain, Ambiguous),
    (341, None, TryAgain, Ambiguous),
    (4, 1390008, Quota, Quota),
    (32, None, Quota, Quota),
    (4, None, Quota, Quota),
    (17, None, Quota, Quota),
    (613, None, Quota, Quota),
    (80001, None, Quota, Quota),
]


@pytest.mark.parametrize(("code", "subcode", "before", "at"), ERRORS)
async def test_each_error_has_its_class_before_and_at_the_irreversible_call(
    adapter: Facebook, graph: respx.Router, code: int, subcode: int | None, before: type[Any], at: type[Any]
) -> None:
    graph.post(PHOTOS).mock(return_value=error(code, subcode))
    graph.post(FEED).mock(return_value=error(code, subcode))
    assert type(await failure_of(adapter.prepare(post("image/jpeg"), ACCOUNT, {}, 0))) is before
    assert type(await failure_of(adapter.finish(post(), ACCOUNT, WORDS_ONLY))) is at


@pytest.mark.parametrize(
    ("response", "at"),
    [
        (httpx.Response(500, html="<h1>sorry</h1>"), Ambiguous),
        (error(100, status=503), Ambiguous),
        (error(100, is_transient=True), Ambiguous),
        (httpx.Response(200, json={}), Ambiguous),
        (httpx.ReadTimeout("late"), Ambiguous),
        (httpx.RemoteProtocolError("gone"), Ambiguous),
        (httpx.ConnectError("down"), TryAgain),
    ],
)
async def test_an_unclear_answer_to_the_irreversible_call_is_ambiguous(
    adapter: Facebook, graph: respx.Router, response: Any, at: type[Any]
) -> None:
    graph.post(FEED).mock(side_effect=[response])
    assert type(await failure_of(adapter.finish(post(), ACCOUNT, WORDS_ONLY))) is at


async def test_a_refusal_as_a_duplicate_is_settled_by_looking_for_the_first(
    adapter: Facebook, graph: respx.Router
) -> None:
    graph.post(FEED).mock(return_value=error(506))
    refused = await failure_of(adapter.finish(post(), ACCOUNT, WORDS_ONLY))
    assert (type(refused), refused.error.code) == (Permanent, "graph_506")
    graph.get(LIST).respond(json={"data": [listed("17_2", "caption"), listed("17_1", "earlier")]})
    finished = await adapter.finish(post(), ACCOUNT, WORDS_ONLY)
    assert isinstance(finished, Published)
    assert finished.result["post_id"] == "17_2"


ALBUM = {"media_type": "album", "target": {"id": "x"}, "subattachments": {"data": [photo("p2"), photo("p1")]}}
LINK = {"media_type": "link", "target": {"id": ""}}


@pytest.mark.parametrize(
    ("remote", "new", "found"),
    [
        (WORDS_ONLY, [listed("17_2", "  caption\n")], True),
        (WORDS_ONLY, [listed("17_2", "caption", LINK)], True),
        (WORDS_ONLY, [listed("17_2", "caption", photo("p9"))], False),
        (WORDS_ONLY, [listed("17_2", "other words")], False),
        (WORDS_ONLY, [listed("17_1", "caption")], False),
        (WORDS_ONLY, [listed("17_1", "earlier"), listed("17_0", "caption")], False),
        (WORDS_ONLY, [listed("17_2", "caption") | {"attachments": {"data": [None, {"target": 3}]}}], True),
        (WITH_PHOTOS, [listed("17_2", "caption", ALBUM)], True),
        (WITH_PHOTOS, [listed("17_2", None, ALBUM)], True),
        (WITH_PHOTOS, [listed("17_2", "caption", photo("p1"))], False),
        (WITH_PHOTOS, [listed("17_2", "caption")], False),
    ],
)
async def test_a_new_post_of_the_page_is_ours_when_it_shows_our_photos_or_our_words(
    adapter: Facebook, graph: respx.Router, remote: dict[str, Any], new: list[dict[str, Any]], found: bool
) -> None:
    graph.get(LIST).respond(json={"data": new})
    answer = await adapter.poll(post(), ACCOUNT, remote, 0)
    assert isinstance(answer, Published) is found
    if isinstance(answer, Published):
        assert answer.result["post_id"] == "17_2"
        assert answer.result["permalink"] == "https://www.facebook.com/17_2"


@pytest.mark.parametrize(
    ("new", "looks", "kind"),
    [
        ([], 7, Pending),
        ([], 8, NotPublished),
        ([listed("17_2", "somebody else's")], 50, Pending),
    ],
    ids=["quiet for a moment", "quiet for long", "another new post, which may be ours in other words"],
)
async def test_only_a_page_without_any_new_post_proves_that_nothing_went_out(
    adapter: Facebook, graph: respx.Router, new: list[dict[str, Any]], looks: int, kind: type[Any]
) -> None:
    graph.get(LIST).respond(json={"data": [*new, listed("17_1", "earlier")]})
    assert type(await adapter.poll(post(), ACCOUNT, WORDS_ONLY, looks)) is kind


async def test_a_list_of_another_shape_says_nothing(adapter: Facebook, graph: respx.Router) -> None:
    graph.get(LIST).respond(json={"data": [{"message": "no id"}]})
    failure = await failure_of(adapter.poll(post(), ACCOUNT, WORDS_ONLY, 50))
    assert (type(failure), failure.error.code) == (TryAgain, "platform_answer_unexpected")


async def test_a_photo_story_is_made_of_an_unpublished_photo(adapter: Facebook, graph: respx.Router) -> None:
    wanted = post("image/jpeg", option="facebook_story")
    assert await adapter.prepare(wanted, ACCOUNT, {}, 0) == Ready({"photo": "p1"})
    graph.post(STORIES).respond(json={"success": True, "post_id": 99})
    finished = await adapter.finish(wanted, ACCOUNT, {"photo": "p1"})
    assert bodies(graph.post(STORIES)) == [{"photo_id": "p1"}]
    assert isinstance(finished, Published)
    assert finished.result["post_id"] == "99"


async def test_the_fate_of_a_story_whose_answer_was_lost_is_not_guessed(adapter: Facebook, graph: respx.Router) -> None:
    wanted = post("image/jpeg", option="facebook_story")
    for unclear in (httpx.Response(200, json={"success": False}), httpx.ReadTimeout("late")):
        graph.post(STORIES).mock(side_effect=[unclear])
        assert isinstance(await failure_of(adapter.finish(wanted, ACCOUNT, {"photo": "p1"})), Ambiguous)
    failure = await failure_of(adapter.poll(wanted, ACCOUNT, {"photo": "p1"}, 0))
    assert failure.error.code == "outcome_unknown"
    assert "Look at the page's stories" in failure.error.message


async def test_words_are_the_same_in_whatever_form_of_unicode_the_page_shows_them(
    adapter: Facebook, graph: respx.Router
) -> None:
    graph.get(LIST).respond(json={"data": [listed("17_2", "ação é")]})
    wanted = post(caption=unicodedata.normalize("NFD", "ação é"))
    assert isinstance(await adapter.poll(wanted, ACCOUNT, WORDS_ONLY, 0), Published)


async def test_a_post_of_many_words_that_is_found_again_fits_into_the_jobs_result(
    adapter: Facebook, graph: respx.Router
) -> None:
    words = "ã" * 63_206
    graph.get(LIST).respond(json={"data": [listed("17_2", words)]})
    found = await adapter.poll(post(caption=words), ACCOUNT, WORDS_ONLY, 0)
    assert isinstance(found, Published)
    assert storable(found.result)
