"""The Facebook adapter's uploads: opened, streamed, and gone on with where they broke off."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import respx

from functions.platforms.answers import Pending, Permanent, Ready, TryAgain
from functions.platforms.facebook.adapter import Facebook
from functions.platforms.post import Post
from tests.functions.facebook_support import (
    ACCOUNT,
    CLIP,
    CONFIG,
    FEED,
    MEDIA,
    REEL,
    REELS,
    SENT,
    SENT_IN_PARTS,
    STATUS,
    STORIES,
    STORY,
    TLS,
    UPLOAD,
    VIDEOS,
    bodies,
    error,
    failure_of,
    mocked_facebook,
    offsets,
    opened_adapter,
    status,
)


@pytest.fixture
async def adapter() -> AsyncIterator[Facebook]:
    async with opened_adapter() as adapter:
        yield adapter


@pytest.fixture
def graph() -> Iterator[respx.Router]:
    with mocked_facebook() as router:
        yield router


@pytest.mark.parametrize(("wanted", "edge"), [(REEL, REELS), (STORY, STORIES)], ids=["reel", "story"])
async def test_a_reel_or_a_story_is_opened_and_sent_whole(
    adapter: Facebook, graph: respx.Router, wanted: Post, edge: str
) -> None:
    ready = await adapter.prepare(wanted, ACCOUNT, {}, 0)
    assert isinstance(ready, Ready)
    assert ready.remote | SENT == ready.remote
    assert bodies(graph.post(edge)) == [{"upload_phase": "start"}]
    request = graph.post(UPLOAD).calls.last.request
    assert request.content == CLIP
    names = ("authorization", "offset", "file_size", "content-length")
    assert [request.headers[name] for name in names] == ["OAuth secret", "0", "10", "10"]
    assert "transfer-encoding" not in request.headers


@pytest.mark.parametrize(
    ("phase", "rest"),
    [
        ({"status": "in_progress", "bytes_transferred": 4}, CLIP[4:]),
        ({"status": "in_progress"}, CLIP),
        ({"status": "complete"}, None),
    ],
    ids=["from where it broke off", "from the start where Facebook does not say", "not at all"],
)
async def test_an_upload_that_broke_off_is_gone_on_with(
    adapter: Facebook, graph: respx.Router, phase: dict[str, Any], rest: bytes | None
) -> None:
    graph.post(UPLOAD).mock(side_effect=[httpx.ReadError("reset"), httpx.Response(200, json={"success": True})])
    waiting = await adapter.prepare(REEL, ACCOUNT, {}, 0)
    assert isinstance(waiting, Pending)
    assert (waiting.remote["failures"], waiting.after_seconds) == (1, 5)

    graph.get(STATUS).mock(return_value=status("processing", uploading=phase))
    ready = await adapter.prepare(REEL, ACCOUNT, waiting.remote, 1)
    assert isinstance(ready, Ready)
    assert len(bodies(graph.post(REELS))) == 1
    sent = [call.request.content for call in graph.post(UPLOAD).calls]
    assert sent == [CLIP] if rest is None else [CLIP, rest]


async def test_an_upload_that_fails_again_and_again_spends_the_attempt(adapter: Facebook, graph: respx.Router) -> None:
    graph.post(UPLOAD).respond(500)
    graph.get(STATUS).mock(return_value=status("processing"))
    remote: dict[str, Any] = {}
    for failures in range(1, 6):
        waiting = await adapter.prepare(REEL, ACCOUNT, remote, failures)
        assert isinstance(waiting, Pending)
        remote = waiting.remote
        assert remote["failures"] == failures
    assert isinstance(await failure_of(adapter.prepare(REEL, ACCOUNT, remote, 6)), TryAgain)


async def test_a_video_of_the_feed_goes_up_in_the_parts_that_facebook_names(
    adapter: Facebook, graph: respx.Router
) -> None:
    answers = [
        {"video_id": "v1", "upload_session_id": "s1", **offsets(0, 6)},
        offsets(6, 10),
        offsets(10, 10),
    ]
    route = graph.post(VIDEOS).mock(side_effect=[httpx.Response(200, json=answer) for answer in answers])
    ready = await adapter.prepare(FEED, ACCOUNT, {}, 0)
    assert isinstance(ready, Ready)
    assert ready.remote | SENT_IN_PARTS == ready.remote
    start, *parts = [call.request for call in route.calls]
    assert json.loads(start.content) == {"upload_phase": "start", "file_size": 10}
    for request, first, content in zip(parts, (b"0", b"6"), (CLIP[:6], CLIP[6:]), strict=True):
        assert int(request.headers["content-length"]) == len(request.content)
        assert request.headers["authorization"] == "Bearer secret"
        assert b'name="upload_phase"\r\n\r\ntransfer\r\n' in request.content
        assert b'name="upload_session_id"\r\n\r\ns1\r\n' in request.content
        assert b'name="start_offset"\r\n\r\n' + first + b"\r\n" in request.content
        assert b'name="video_file_chunk"; filename=' in request.content
        assert b"\r\n\r\n" + content + b"\r\n--" in request.content


async def test_a_long_upload_is_handed_on_from_run_to_run(graph: respx.Router) -> None:
    moments = iter((0, 181, 1000, 1001))
    opened = {"video_id": "v1", "upload_session_id": "s1", **offsets(0, 6)}
    answers = [opened, offsets(6, 10), offsets(10, 10)]
    route = graph.post(VIDEOS).mock(side_effect=[httpx.Response(200, json=answer) for answer in answers])
    async with httpx.AsyncClient(verify=TLS) as http:
        slow = Facebook(http, CONFIG, clock=lambda: next(moments))
        waiting = await slow.prepare(FEED, ACCOUNT, {}, 0)
        assert isinstance(waiting, Pending)
        assert (waiting.remote["start_offset"], waiting.after_seconds) == (6, 0)
        assert isinstance(await slow.prepare(FEED, ACCOUNT, waiting.remote, 1), Ready)
    assert route.call_count == 3


async def test_a_part_whose_answer_was_lost_is_not_sent_twice(adapter: Facebook, graph: respx.Router) -> None:
    elsewhere = error(6001, 1363037, error_data=offsets(6, 10))
    last = httpx.Response(200, json=offsets(10, 10))
    route = graph.post(VIDEOS).mock(side_effect=[elsewhere, last])
    remote = {"video_id": "v1", "size": 10, "upload_session_id": "s1", "end_offset": 6, "failures": 1}
    assert isinstance(await adapter.prepare(FEED, ACCOUNT, remote, 1), Ready)
    assert b"\r\n\r\n" + CLIP[6:] + b"\r\n--" in route.calls.last.request.content


@pytest.mark.parametrize(
    "answer",
    [
        error(6001, 1363037),
        error(6001, 1363037, error_data=offsets(0, 6)),
        error(6001, 1363037, error_data=offsets(6, 6)),
        httpx.Response(200, json=offsets(0, 6)),
        httpx.Response(200, json=offsets(6, 6)),
        httpx.Response(200, json={}),
        httpx.Response(502, html="bad gateway"),
    ],
)
async def test_a_part_that_failed_without_a_way_on_is_tried_again_later(
    adapter: Facebook, graph: respx.Router, answer: httpx.Response
) -> None:
    graph.post(VIDEOS).mock(return_value=answer)
    remote = {"video_id": "v1", "size": 10, "upload_session_id": "s1", "end_offset": 6}
    waiting = await adapter.prepare(FEED, ACCOUNT, remote, 1)
    assert isinstance(waiting, Pending)
    assert waiting.remote["failures"] == 1


@pytest.mark.parametrize(("retriable", "passes"), [(True, True), (False, False), (None, False)])
async def test_an_upload_is_refused_in_a_shape_of_its_own(
    adapter: Facebook, graph: respx.Router, retriable: bool | None, passes: bool
) -> None:
    info = {"retriable": retriable, "type": "ProcessingFailedError", "message": "too short"}
    graph.post(UPLOAD).respond(400, json={"debug_info": info})
    if passes:
        assert isinstance(await adapter.prepare(REEL, ACCOUNT, {}, 0), Pending)
        return
    failure = await failure_of(adapter.prepare(REEL, ACCOUNT, {}, 0))
    assert isinstance(failure, Permanent)
    assert "too short" in failure.error.message


async def test_an_opening_without_a_place_to_send_to_is_tried_again(adapter: Facebook, graph: respx.Router) -> None:
    graph.post(REELS).respond(json={"video_id": "v1"})
    assert isinstance(await failure_of(adapter.prepare(REEL, ACCOUNT, {}, 0)), TryAgain)


async def test_a_file_larger_than_it_was_said_to_be_is_not_opened(adapter: Facebook, graph: respx.Router) -> None:
    graph.get(MEDIA).mock(side_effect=None)
    graph.get(MEDIA).respond(206, content=b"x", headers={"Content-Range": "bytes 0-0/11"})
    failure = await failure_of(adapter.prepare(REEL, ACCOUNT, {}, 0))
    assert isinstance(failure, Permanent)
    assert not graph.post(REELS).called
