"""The double of X: its wire shapes, its refusals and its ledger."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from devstack.providers.app import make_providers
from devstack.providers.server import serving
from devstack.providers.world import token_for

pytestmark = pytest.mark.asyncio(loop_scope="module")
shared = pytest_asyncio.fixture(scope="module", loop_scope="module")

ACCOUNT = "17"
VIDEO = b"first" + b"second"


@shared
async def connection() -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token_for(ACCOUNT)}"}
    async with serving(make_providers()) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def client(connection: httpx.AsyncClient) -> httpx.AsyncClient:
    await connection.delete("/_state")
    return connection


async def announce(client: httpx.AsyncClient, mime: str, category: str, size: Any, **rest: Any) -> httpx.Response:
    body = {"media_type": mime, "media_category": category, "total_bytes": size, **rest}
    return await client.post("/x/2/media/upload/initialize", json=body)


async def append(client: httpx.AsyncClient, media_id: str, index: object, content: bytes) -> int:
    path, form = f"/x/2/media/upload/{media_id}/append", {"segment_index": str(index)}
    return (await client.post(path, data=form, files={"media": ("segment", content)})).status_code


async def bring_up(client: httpx.AsyncClient, mime: str = "image/png", category: str = "tweet_image") -> str:
    media_id: str = (await announce(client, mime, category, len(VIDEO))).json()["data"]["id"]
    assert await append(client, media_id, 0, VIDEO) == 200
    assert (await client.post(f"/x/2/media/upload/{media_id}/finalize")).status_code == 200
    return media_id


async def publish(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/x/2/tweets", json=body)


async def status_of(client: httpx.AsyncClient, media_id: str) -> dict[str, Any]:
    answer = await client.get("/x/2/media/upload", params={"command": "STATUS", "media_id": media_id})
    info: dict[str, Any] = answer.json()["data"]["processing_info"]
    return info


async def test_a_video_is_sent_in_segments_processed_and_posted(client: httpx.AsyncClient) -> None:
    media_id = (await announce(client, "video/mp4", "tweet_video", len(VIDEO))).json()["data"]["id"]
    assert await append(client, media_id, 1, b"second") == 200
    early = await client.post(f"/x/2/media/upload/{media_id}/finalize")
    assert early.status_code == 400
    assert await append(client, media_id, 0, b"first") == 200
    closed = (await client.post(f"/x/2/media/upload/{media_id}/finalize")).json()["data"]
    assert closed["processing_info"]["state"] == "in_progress"
    assert (await publish(client, text="hello", media={"media_ids": [media_id]})).status_code == 400
    assert (await status_of(client, media_id))["state"] == "in_progress"
    assert (await status_of(client, media_id))["state"] == "succeeded"

    posted = await publish(client, text="hello", media={"media_ids": [media_id]})
    assert posted.status_code == 201
    assert posted.json()["data"]["edit_history_post_ids"] == [posted.json()["data"]["id"]]
    [effect] = (await client.get("/_ledger", params={"provider": "x", "key": f"{ACCOUNT}:hello"})).json()
    assert effect["body_sha256"] == hashlib.sha256(VIDEO).hexdigest()


async def test_recent_posts_show_texts_as_x_changes_them(client: httpx.AsyncClient) -> None:
    media_id = await bring_up(client)
    post_id = (await publish(client, text="a & https://example.com/x", media={"media_ids": [media_id]})).json()["data"][
        "id"
    ]
    path = f"/x/2/users/{ACCOUNT}/tweets"
    assert "data" not in (await client.get(path)).json(), "the list does not lag behind"
    bare = (await client.get(path)).json()
    assert set(bare["data"][0]) == {"id", "text"}
    fields = {"tweet.fields": "created_at,text,entities,attachments", "max_results": "5"}
    [shown] = (await client.get(path, params=fields)).json()["data"]
    first, second = shown["entities"]["urls"]
    assert shown["id"] == post_id
    assert shown["text"] == f"a &amp; {first['url']} {second['url']}"
    assert first["expanded_url"] == "https://example.com/x"
    assert [second["media_key"]] == shown["attachments"]["media_keys"]
    assert (await client.get(path, params={"max_results": "4"})).status_code == 400
    assert (await client.get("/x/2/users/18/tweets")).status_code == 403


async def test_the_same_text_is_refused_a_second_time(client: httpx.AsyncClient) -> None:
    assert (await publish(client, text="twice")).status_code == 201
    again = await publish(client, text="twice")
    assert again.status_code == 403
    assert "duplicate content" in again.json()["detail"]
    other = {"Authorization": f"Bearer {token_for('18')}"}
    assert (await client.post("/x/2/tweets", json={"text": "twice"}, headers=other)).status_code == 201
    assert len((await client.get("/_ledger", params={"provider": "x"})).json()) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "mood": "good"},
        {"text": "a", "media": {"media_ids": []}},
        {"text": "a", "media": {"media_ids": ["unknown"]}},
    ],
)
async def test_a_post_that_x_would_not_take_is_an_invalid_request(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    answer = await publish(client, **body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith("/invalid-request")


async def test_a_post_takes_four_images_and_mixes_nothing(client: httpx.AsyncClient) -> None:
    images = [await bring_up(client) for _ in range(5)]
    gif = await bring_up(client, "image/gif", "tweet_gif")
    for _ in range(2):
        await status_of(client, gif)
    for wrong in (images, [images[0], gif]):
        assert (await publish(client, text="a", media={"media_ids": wrong})).status_code == 400
    assert (await publish(client, text="a", media={"media_ids": images[:4]})).status_code == 201
    assert (await publish(client, text="b", media={"media_ids": [gif]})).status_code == 201


@pytest.mark.parametrize(
    ("mime", "category", "size", "rest"),
    [
        ("text/plain", "tweet_image", 5, {}),
        ("video/mp4", "tweet_image", 5, {}),
        ("image/png", "tweet_image", 5_000_001, {}),
        ("video/mp4", "tweet_video", 0, {}),
        ("video/mp4", "tweet_video", "5", {}),
        ("video/mp4", "tweet_video", 5, {"command": "INIT"}),
    ],
)
async def test_an_announcement_outside_the_rules_is_refused(
    client: httpx.AsyncClient, mime: str, category: str, size: object, rest: dict[str, str]
) -> None:
    assert (await announce(client, mime, category, size, **rest)).status_code == 400


async def test_segments_have_their_rules(client: httpx.AsyncClient) -> None:
    media_id = (await announce(client, "video/mp4", "tweet_video", 10)).json()["data"]["id"]
    assert await append(client, media_id, 1000, b"a") == 400
    assert await append(client, media_id, "one", b"a") == 400
    assert await append(client, media_id, 0, b"") == 400
    assert await append(client, media_id, 0, b"a" * (5 * 1024 * 1024 + 1)) == 400
    assert await append(client, "unknown", 0, b"a") == 400
    other = {"Authorization": f"Bearer {token_for('18')}"}
    foreign = await client.post(f"/x/2/media/upload/{media_id}/finalize", headers=other)
    assert foreign.status_code == 400


async def test_every_answer_tells_the_limit_and_a_bad_token_is_refused(client: httpx.AsyncClient) -> None:
    assert int((await publish(client, text="limits")).headers["x-rate-limit-reset"]) > 1_700_000_000
    bad = await client.post("/x/2/tweets", json={"text": "a"}, headers={"Authorization": "Bearer no"})
    assert (bad.status_code, bad.json()["title"]) == (401, "Unauthorized")
    await client.put("/_faults", json={"provider": "x", "step": "create_post", "mode": "rate_limit", "seconds": 7})
    limited = await publish(client, text="again")
    assert (limited.status_code, limited.headers["x-rate-limit-remaining"]) == (429, "0")
    assert limited.headers["retry-after"] == "7"
