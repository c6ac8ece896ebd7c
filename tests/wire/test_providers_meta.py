"""The doubles of Facebook, Threads and the newer parts of Instagram: their shapes, refusals and effects."""

import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devstack.providers.app import make_providers
from devstack.providers.server import serving
from devstack.providers.world import ProviderRules, token_for

PAGE = "17841400000000001"
VIDEO, IMAGE, OTHER = b"\x00" * 1000 + b"video", b"\xff\xd8\xff image", b"\xff\xd8\xff other"
FILES = {
    "clip.mp4": (VIDEO, "video/mp4"),
    "a.jpg": (IMAGE, "image/jpeg"),
    "b.jpg": (OTHER, "image/jpeg"),
    "a.pdf": (b"%PDF", "application/pdf"),
}
FACEBOOK, THREADS, INSTAGRAM = f"/facebook/v26.0/{PAGE}", f"/threads/v1.0/{PAGE}", f"/instagram/v26.0/{PAGE}"

pytestmark = pytest.mark.asyncio(loop_scope="module")
shared = pytest_asyncio.fixture(scope="module", loop_scope="module")


@shared
async def media() -> AsyncIterator[str]:
    async def serve(request: Request) -> Response:
        found = FILES.get(request.path_params["name"])
        return Response(found[0], media_type=found[1]) if found else Response(status_code=404)

    async with serving(Starlette(routes=[Route("/{name}", serve)])) as url:
        yield url


@shared
async def connection() -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token_for(PAGE)}"}
    async with (
        serving(make_providers()) as base,
        httpx.AsyncClient(base_url=base, headers=headers) as opened,
    ):
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def client(connection: httpx.AsyncClient) -> httpx.AsyncClient:
    await connection.delete("/_state")
    return connection


async def refused(answer: httpx.Response) -> tuple[int, int | None]:
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    return error["code"], error.get("error_subcode")


async def post(client: httpx.AsyncClient, path: str, /, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def keys(client: httpx.AsyncClient, provider: str) -> list[tuple[str, str]]:
    effects = (await client.get("/_ledger", params={"provider": provider})).json()
    return [(effect["key"], effect["body_sha256"]) for effect in effects]


def sha(*contents: bytes) -> str:
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


async def photo(client: httpx.AsyncClient, media: str, name: str) -> str:
    body = await post(client, f"{FACEBOOK}/photos", url=f"{media}/{name}", published=False)
    return str(body["id"])


async def test_photos_are_seen_by_nobody_until_a_post_shows_them(client: httpx.AsyncClient, media: str) -> None:
    photos = [await photo(client, media, name) for name in ("a.jpg", "b.jpg")]
    assert await keys(client, "facebook") == []
    attached = [{"media_fbid": name} for name in photos]
    made = await client.post(
        f"{FACEBOOK}/feed?fields=id,permalink_url", json={"message": "m", "attached_media": attached}
    )
    assert set(made.json()) == {"id", "permalink_url"}
    assert await keys(client, "facebook") == [(f"{PAGE}:m", sha(IMAGE, OTHER))]

    again = await client.post(f"{FACEBOOK}/feed", json={"attached_media": attached[:1]})
    assert await refused(again) == (1366051, None)
    looks = [(await client.get(f"{FACEBOOK}/published_posts", params={"limit": 5})).json()["data"] for _ in range(2)]
    assert looks[0] == [], "the list does not lag behind"
    [listed] = looks[1]
    assert (listed["id"], listed["message"]) == (made.json()["id"], "m")
    shown = listed["attachments"]["data"][0]["subattachments"]["data"]
    assert [each["target"]["id"] for each in shown] == photos


async def test_words_that_are_posted_twice_are_seen_twice(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await post(client, f"{FACEBOOK}/feed", message="words")
    assert [key for key, _ in await keys(client, "facebook")] == [f"{PAGE}:words"] * 2


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("feed", {}, (100, None)),
        ("feed", {"message": "x" * 63_207}, (100, None)),
        ("feed", {"attached_media": [{"media_fbid": "1"}]}, (100, 33)),
        ("photos", {"url": "MEDIA/a.jpg"}, (100, None)),
        ("photos", {"url": "MEDIA/gone", "published": False}, (100, 2061006)),
        ("photos", {"url": "MEDIA/a.pdf", "published": False}, (1366046, None)),
        ("photo_stories", {"photo_id": "1"}, (100, 33)),
        ("video_reels", {"upload_phase": "jump"}, (100, None)),
        ("video_reels", {"upload_phase": "finish", "video_id": "1"}, (100, 33)),
        ("videos", {"upload_phase": "start"}, (100, None)),
    ],
)
async def test_facebook_refuses_what_the_real_one_refuses(
    client: httpx.AsyncClient, media: str, path: str, body: dict[str, Any], code: tuple[int, int | None]
) -> None:
    body = {name: value.replace("MEDIA", media) if isinstance(value, str) else value for name, value in body.items()}
    assert await refused(await client.post(f"{FACEBOOK}/{path}", json=body)) == code
    assert await keys(client, "facebook") == []


async def test_a_story_is_made_of_a_photo_that_was_not_posted(client: httpx.AsyncClient, media: str) -> None:
    name = await photo(client, media, "a.jpg")
    assert (await post(client, f"{FACEBOOK}/photo_stories", photo_id=name))["success"] is True
    assert await keys(client, "facebook") == [(f"{PAGE}:", sha(IMAGE))]
    assert await refused(await client.post(f"{FACEBOOK}/photo_stories", json={"photo_id": name})) == (1366051, None)


async def upload(client: httpx.AsyncClient, url: str, content: bytes, offset: int, size: int) -> httpx.Response:
    headers = {"Authorization": f"OAuth {token_for(PAGE)}", "offset": str(offset), "file_size": str(size)}
    return await client.post(url, content=content, headers=headers)


async def test_a_reel_goes_through_its_phases_in_order_and_once(client: httpx.AsyncClient) -> None:
    reel = await post(client, f"{FACEBOOK}/video_reels", upload_phase="start")
    finish = {"upload_phase": "finish", "video_id": reel["video_id"], "video_state": "PUBLISHED", "description": "d"}
    assert await refused(await client.post(f"{FACEBOOK}/video_reels", json=finish)) == (100, None)

    size = len(VIDEO)
    assert await refused(await upload(client, reel["upload_url"], VIDEO[:400], 0, size)) == (100, None)
    status = (await client.get(f"/facebook/v26.0/{reel['video_id']}?fields=status")).json()["status"]
    assert status["uploading_phase"] == {"status": "in_progress", "bytes_transferred": 400}
    assert await refused(await upload(client, reel["upload_url"], VIDEO, 0, size)) == (100, None)
    assert (await upload(client, reel["upload_url"], VIDEO[400:], 400, size)).json() == {"success": True}

    draft = await client.post(f"{FACEBOOK}/video_reels", json=finish | {"video_state": "DRAFT"})
    assert await refused(draft) == (100, None)
    assert await keys(client, "facebook") == []
    assert await post(client, f"{FACEBOOK}/video_reels", **finish) == {"success": True}
    assert await refused(await client.post(f"{FACEBOOK}/video_reels", json=finish)) == (100, None)
    assert await keys(client, "facebook") == [(f"{PAGE}:d", sha(VIDEO))]

    states = []
    for _ in range(2):
        body = (await client.get(f"/facebook/v26.0/{reel['video_id']}?fields=status,permalink_url")).json()
        states.append(body["status"]["publishing_phase"]["status"])
    assert states == ["not_started", "complete"]
    assert body["permalink_url"] == f"/reel/{reel['video_id']}/"


async def test_a_video_of_the_feed_is_taken_in_the_ranges_that_were_named(client: httpx.AsyncClient) -> None:
    opened = await post(client, f"{FACEBOOK}/videos", upload_phase="start", file_size=len(VIDEO))
    assert (opened["start_offset"], opened["end_offset"]) == ("0", str(len(VIDEO)))

    async def transfer(start: int, content: bytes) -> httpx.Response:
        session = opened["upload_session_id"]
        fields = {"upload_phase": "transfer", "upload_session_id": session, "start_offset": str(start)}
        return await client.post(f"{FACEBOOK}/videos", data=fields, files={"video_file_chunk": content})

    assert (await transfer(0, VIDEO[:500])).json() == {"start_offset": "500", "end_offset": str(len(VIDEO))}
    elsewhere = await transfer(0, VIDEO[:500])
    assert await refused(elsewhere) == (6001, 1363037)
    assert elsewhere.json()["error"]["error_data"]["start_offset"] == "500"
    assert (await transfer(500, VIDEO[500:])).json()["start_offset"] == str(len(VIDEO))
    finish = {"upload_phase": "finish", "upload_session_id": opened["upload_session_id"], "description": "d"}
    assert await post(client, f"{FACEBOOK}/videos", **finish) == {"success": True}
    assert await keys(client, "facebook") == [(f"{PAGE}:d", sha(VIDEO))]


async def test_threads_takes_words_alone_and_publishes_a_container_that_is_finished(client: httpx.AsyncClient) -> None:
    made = (await client.post(f"{THREADS}/threads", data={"media_type": "TEXT", "text": "words"})).json()
    publish = {"creation_id": made["id"]}
    assert await refused(await client.post(f"{THREADS}/threads_publish", data=publish)) == (9007, 2207027)
    seen = [(await client.get(f"/threads/v1.0/{made['id']}")).json()["status"] for _ in range(2)]
    assert seen == ["IN_PROGRESS", "FINISHED"]
    assert (await client.post(f"{THREADS}/threads_publish", data=publish)).status_code == 200
    looks = [(await client.get(f"/threads/v1.0/{made['id']}")).json()["status"] for _ in range(2)]
    assert looks == ["FINISHED", "PUBLISHED"], "the container does not lag behind"
    assert [key for key, _ in await keys(client, "threads")] == [f"{PAGE}:words"]
    limit = (await client.get(f"{THREADS}/threads_publishing_limit")).json()["data"][0]
    assert limit["quota_usage"] == 1


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"text": "words"}, (100, None)),
        ({"media_type": "TEXT"}, (100, None)),
        ({"media_type": "TEXT", "text": "x" * 501}, (100, None)),
        ({"media_type": "TEXT", "text": "😀" * 126}, (100, None)),
        ({"media_type": "TEXT", "text": "x", "image_url": "MEDIA/a.jpg"}, (100, None)),
        ({"media_type": "IMAGE", "video_url": "MEDIA/clip.mp4"}, (100, None)),
        ({"media_type": "IMAGE", "image_url": "MEDIA/clip.mp4"}, (100, None)),
        ({"media_type": "VIDEO", "video_url": "MEDIA/gone"}, (9004, 2207052)),
        ({"media_type": "IMAGE", "image_url": "MEDIA/a.jpg", "is_carousel_item": "true", "text": "x"}, (100, None)),
        ({"media_type": "CAROUSEL", "children": "1"}, (100, 2207028)),
        ({"media_type": "CAROUSEL", "children": "1,2"}, (100, 33)),
    ],
)
async def test_threads_refuses_what_the_real_one_refuses(
    client: httpx.AsyncClient, media: str, form: dict[str, str], code: tuple[int, int | None]
) -> None:
    form = {name: value.replace("MEDIA", media) for name, value in form.items()}
    assert await refused(await client.post(f"{THREADS}/threads", data=form)) == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"media_type": "STORIES", "image_url": "MEDIA/a.jpg"}, None),
        ({"media_type": "STORIES", "video_url": "MEDIA/clip.mp4", "caption": "not shown"}, None),
        ({"media_type": "STORIES"}, (100, None)),
        ({"media_type": "IGTV", "video_url": "MEDIA/clip.mp4"}, (100, 2207023)),
        ({"video_url": "MEDIA/clip.mp4"}, (100, 2207023)),
        ({"image_url": "MEDIA/a.jpg", "is_carousel_item": True, "caption": "x"}, (100, None)),
    ],
)
async def test_instagram_takes_stories_and_shows_them_without_their_words(
    client: httpx.AsyncClient, media: str, body: dict[str, Any], code: tuple[int, int | None] | None
) -> None:
    body = {name: value.replace("MEDIA", media) if isinstance(value, str) else value for name, value in body.items()}
    answer = await client.post(f"{INSTAGRAM}/media", json=body)
    if code is not None:
        assert await refused(answer) == code
        return
    name = answer.json()["id"]
    for _ in range(2):
        await client.get(f"/instagram/v26.0/{name}")
    await post(client, f"{INSTAGRAM}/media_publish", creation_id=name)
    assert [key for key, _ in await keys(client, "instagram")] == [f"{PAGE}:"]


@pytest.mark.parametrize("path", [f"{FACEBOOK}/feed", f"{THREADS}/threads", f"{INSTAGRAM}/media"])
async def test_a_token_of_nobody_or_of_another_account_is_refused(client: httpx.AsyncClient, path: str) -> None:
    for token, code in (("expired", (190, 463)), (token_for("other"), (10, None))):
        answer = await client.post(path, json={}, headers={"Authorization": f"Bearer {token}"})
        assert await refused(answer) == code


async def test_every_step_takes_as_long_as_it_is_told_to(client: httpx.AsyncClient) -> None:
    headers = dict(client.headers)
    async with (
        serving(make_providers(ProviderRules(latency_seconds=0.2))) as base,
        httpx.AsyncClient(base_url=base, headers=headers) as slow,
    ):
        began = time.monotonic()
        answer = await slow.post(f"{FACEBOOK}/feed", json={"message": "words"})
        assert answer.status_code == 200
        assert time.monotonic() - began >= 0.2
