"""The double of TikTok: photos and drafts."""

import asyncio
import hashlib
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
from devstack.providers.world import token_for

pytestmark = pytest.mark.asyncio(loop_scope="module")
shared = pytest_asyncio.fixture(scope="module", loop_scope="module")

ROOT = "/tiktok/v2/post/publish"
PHOTO = b"photo"
SIZES = {"source": "FILE_UPLOAD", "video_size": 5, "chunk_size": 5, "total_chunk_count": 1}


@shared
async def held() -> asyncio.Event:
    """While it is not set, `slow.jpg` is not served."""
    return asyncio.Event()


@shared
async def media(held: asyncio.Event) -> AsyncIterator[str]:
    async def serve(request: Request) -> Response:
        types = dict.fromkeys(("a.jpg", "slow.jpg"), "image/jpeg") | {"a.webp": "image/webp", "a.png": "image/png"}
        name = request.path_params["name"]
        if name == "slow.jpg":
            await held.wait()
        return Response(PHOTO, media_type=types[name]) if name in types else Response(status_code=404)

    async with serving(Starlette(routes=[Route("/{name}", serve)])) as url:
        yield url


@shared
async def connection() -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token_for('ana')}"}
    async with serving(make_providers()) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def client(connection: httpx.AsyncClient) -> httpx.AsyncClient:
    await connection.delete("/_state")
    return connection


async def post_photos(
    client: httpx.AsyncClient, *urls: str, mode: str = "DIRECT_POST", cover: int = 0, **info: Any
) -> httpx.Response:
    privacy = {"privacy_level": "SELF_ONLY"} if mode == "DIRECT_POST" else {}
    body = {
        "media_type": "PHOTO",
        "post_mode": mode,
        "post_info": {"description": "hello", **privacy, **info},
        "source_info": {"source": "PULL_FROM_URL", "photo_cover_index": cover, "photo_images": list(urls)},
    }
    return await client.post(f"{ROOT}/content/init/", json=body)


async def states(client: httpx.AsyncClient, opened: httpx.Response) -> list[str]:
    path, body = f"{ROOT}/status/fetch/", {"publish_id": opened.json()["data"]["publish_id"]}
    return [(await client.post(path, json=body)).json()["data"]["status"] for _ in range(2)]


@pytest.mark.parametrize(("mode", "end"), [("DIRECT_POST", "PUBLISH_COMPLETE"), ("MEDIA_UPLOAD", "SEND_TO_USER_INBOX")])
async def test_photos_are_pulled_and_posted_or_left_in_the_inbox(
    client: httpx.AsyncClient, media: str, mode: str, end: str
) -> None:
    opened = await post_photos(client, f"{media}/a.jpg", f"{media}/a.webp", mode=mode)
    assert await states(client, opened) == ["PROCESSING_DOWNLOAD", end]
    [effect] = (await client.get("/_ledger", params={"provider": "tiktok", "key": "ana:hello"})).json()
    digest = hashlib.sha256(PHOTO).hexdigest()
    assert effect["body_sha256"] == hashlib.sha256((digest * 2).encode()).hexdigest()


async def test_photos_that_cannot_be_used_fail_afterwards(client: httpx.AsyncClient, media: str) -> None:
    for name, reason in (("none.jpg", "photo_pull_failed"), ("a.png", "file_format_check_failed")):
        opened = await post_photos(client, f"{media}/{name}")
        body = {"publish_id": opened.json()["data"]["publish_id"]}
        data = (await client.post(f"{ROOT}/status/fetch/", json=body)).json()["data"]
        assert (data["status"], data["fail_reason"]) == ("FAILED", reason)
    assert (await client.get("/_ledger")).json() == []


@pytest.mark.parametrize(
    ("count", "changes"),
    [
        (0, {}),
        (36, {}),
        (1, {"cover": 1}),
        (1, {"mode": "LATER"}),
        (1, {"title": "x" * 91}),
        (1, {"description": "x" * 4001}),
        (1, {"mode": "MEDIA_UPLOAD", "auto_add_music": True}),
    ],
)
async def test_photos_that_break_a_rule_are_an_invalid_parameter(
    client: httpx.AsyncClient, media: str, count: int, changes: dict[str, Any]
) -> None:
    answer = await post_photos(client, *[f"{media}/a.jpg"] * count, **changes)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_param")


async def test_a_draft_of_a_video_says_nothing_and_ends_in_the_inbox(client: httpx.AsyncClient) -> None:
    path = f"{ROOT}/inbox/video/init/"
    wrong = await client.post(path, json={"post_info": {"title": "a"}, "source_info": SIZES})
    assert wrong.json()["error"]["code"] == "invalid_param"
    opened = await client.post(path, json={"source_info": SIZES})
    headers = {"Content-Range": "bytes 0-4/5"}
    sent = await client.put(opened.json()["data"]["upload_url"], content=b"video", headers=headers)
    assert sent.status_code == 201
    assert await states(client, opened) == ["PROCESSING_UPLOAD", "SEND_TO_USER_INBOX"]
    [effect] = (await client.get("/_ledger")).json()
    assert effect["key"] == "ana:"


async def test_a_post_that_is_still_pulled_is_not_seen_by_whoever_comes_next(
    client: httpx.AsyncClient, media: str, held: asyncio.Event
) -> None:
    held.clear()
    assert (await post_photos(client, f"{media}/slow.jpg")).status_code == 200, "TikTok answers before it pulls"
    forgotten = asyncio.create_task(client.delete("/_state"))
    assert (await client.get("/nothing")).status_code == 404
    held.set()
    assert (await forgotten).status_code == 204
    assert (await client.get("/_ledger")).json() == []
