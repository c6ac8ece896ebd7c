"""The Facebook adapter's videos: the call that ends an upload, and what a video's status proves."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import respx

from functions.platforms.answers import Ambiguous, NotPublished, Pending, Permanent, Published, TryAgain
from functions.platforms.facebook.adapter import Facebook
from functions.platforms.post import Post
from tests.functions.facebook_support import (
    ACCOUNT,
    FEED,
    REEL,
    REELS,
    SENT,
    SENT_IN_PARTS,
    STATUS,
    STORIES,
    STORY,
    VIDEOS,
    bodies,
    error,
    failure_of,
    mocked_facebook,
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


@pytest.mark.parametrize(
    ("wanted", "remote", "url", "body"),
    [
        (
            REEL,
            SENT,
            REELS,
            {"upload_phase": "finish", "video_id": "v1", "video_state": "PUBLISHED", "description": "caption"},
        ),
        (
            FEED,
            SENT_IN_PARTS,
            VIDEOS,
            {
                "upload_phase": "finish",
                "upload_session_id": "s1",
                "published": True,
                "description": "caption",
                "title": "Title",
            },
        ),
    ],
    ids=["reel", "feed"],
)
async def test_the_end_of_an_upload_is_only_acknowledged(
    adapter: Facebook, graph: respx.Router, wanted: Post, remote: dict[str, Any], url: str, body: dict[str, Any]
) -> None:
    graph.post(url).respond(json={"success": True})
    finished = await adapter.finish(wanted, ACCOUNT, remote)
    assert isinstance(finished, Pending)
    assert finished.remote["accepted"] is True
    assert bodies(graph.post(url)) == [body]


async def test_a_story_is_out_with_its_end_and_its_fate_unknown_without_an_answer(
    adapter: Facebook, graph: respx.Router
) -> None:
    graph.post(STORIES).respond(json={"success": True, "post_id": "99"})
    finished = await adapter.finish(STORY, ACCOUNT, SENT)
    assert bodies(graph.post(STORIES)) == [{"upload_phase": "finish", "video_id": "v1"}]
    assert isinstance(finished, Published)
    assert (finished.result["post_id"], finished.result["video_id"]) == ("99", "v1")
    assert (await failure_of(adapter.poll(STORY, ACCOUNT, SENT, 0))).error.code == "outcome_unknown"


@pytest.mark.parametrize(
    ("response", "at"),
    [
        (httpx.Response(200, json={"success": False}), Ambiguous),
        (error(1), Ambiguous),
        (httpx.Response(500), Ambiguous),
        (httpx.ReadTimeout("late"), Ambiguous),
        (httpx.ConnectError("down"), TryAgain),
        (error(100), Permanent),
    ],
)
async def test_the_end_of_an_upload_with_an_unclear_answer_is_ambiguous(
    adapter: Facebook, graph: respx.Router, response: Any, at: type[Any]
) -> None:
    graph.post(REELS).mock(side_effect=[response])
    assert type(await failure_of(adapter.finish(REEL, ACCOUNT, SENT))) is at


DONE, BEGUN, IDLE = {"status": "complete"}, {"status": "in_progress"}, {"status": "not_started"}
FAILED = {"status": "error", "errors": [{"code": 1, "message": "the codec"}]}
OUT = {"status": "complete", "publish_status": "published"}


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (status("ready", uploading=DONE, processing=DONE, publishing=OUT), Published),
        (status("ready", processing=DONE), Published),
        (status("ready", publishing={"status": "complete", "publish_status": "draft"}), Pending),
        (status("processing", processing=BEGUN, publishing=IDLE), Pending),
        (status("upload_complete", processing=IDLE, publishing=IDLE), Pending),
        (status("expired"), TryAgain),
        (status("upload_failed"), TryAgain),
        (status("error", uploading=FAILED), TryAgain),
        (status("error"), Permanent),
        (status("error", uploading=DONE, processing=FAILED), Permanent),
        (status("error", processing=DONE, publishing={"status": "error", "error": {"message": "no"}}), Permanent),
        (status("something_new"), Pending),
    ],
)
async def test_a_videos_status_tells_its_fate(
    adapter: Facebook, graph: respx.Router, response: httpx.Response, kind: type[Any]
) -> None:
    graph.get(STATUS).mock(return_value=response)
    found = await adapter.poll(REEL, ACCOUNT, SENT, 0)
    assert type(found.reason if isinstance(found, NotPublished) else found) is kind
    if isinstance(found, Published):
        assert found.result["permalink"] == "https://www.facebook.com/reel/v1/"
        assert found.result["video_id"] == "v1"


async def test_a_failed_video_is_told_in_facebooks_words(adapter: Facebook, graph: respx.Router) -> None:
    graph.get(STATUS).mock(return_value=status("error", processing=FAILED))
    found = await adapter.poll(REEL, ACCOUNT, SENT, 0)
    assert isinstance(found, NotPublished)
    assert found.reason.error.code == "video_processing"
    assert "the codec" in found.reason.error.message


@pytest.mark.parametrize(
    ("remote", "looks", "ends"),
    [
        (SENT, 7, 0),
        (SENT, 8, 1),
        (SENT | {"finishes": 3}, 9, 0),
        (SENT | {"accepted": True}, 9, 0),
    ],
    ids=["too early", "quiet for long", "sent often enough", "acknowledged"],
)
async def test_an_end_that_facebook_has_not_heard_of_is_sent_again_to_the_same_video(
    adapter: Facebook, graph: respx.Router, remote: dict[str, Any], looks: int, ends: int
) -> None:
    graph.get(STATUS).mock(return_value=status("upload_complete", processing=IDLE, publishing=IDLE))
    graph.post(REELS).respond(json={"success": True})
    found = await adapter.poll(REEL, ACCOUNT, remote, looks)
    assert isinstance(found, Pending)
    assert [body["upload_phase"] for body in bodies(graph.post(REELS))] == ["finish"] * ends
    assert found.remote["accepted"] is (bool(ends) or bool(remote.get("accepted")))


async def test_an_end_that_fails_again_is_counted(adapter: Facebook, graph: respx.Router) -> None:
    graph.get(STATUS).mock(return_value=status("upload_complete"))
    graph.post(REELS).respond(500)
    found = await adapter.poll(REEL, ACCOUNT, SENT, 8)
    assert isinstance(found, Pending)
    assert (found.remote["finishes"], found.remote["accepted"]) == (1, False)
