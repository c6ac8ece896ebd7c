"""The double of LinkedIn: its headers, its media, its posts and its refusals."""

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

PERSON, PAGE = "urn:li:person:ana", "urn:li:organization:ana"
PART = 4 * 1024 * 1024
HEADERS = {
    "Authorization": f"Bearer {token_for('ana')}",
    "LinkedIn-Version": "202607",
    "X-Restli-Protocol-Version": "2.0.0",
}


@shared
async def connection() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(make_providers()) as url, httpx.AsyncClient(base_url=url, headers=HEADERS) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def client(connection: httpx.AsyncClient) -> httpx.AsyncClient:
    await connection.delete("/_state")
    return connection


async def announce(client: httpx.AsyncClient, collection: str, **wanted: Any) -> httpx.Response:
    body = {"initializeUploadRequest": wanted}
    return await client.post(f"/linkedin/rest/{collection}", params={"action": "initializeUpload"}, json=body)


async def finalize(client: httpx.AsyncClient, video: str, etags: list[str], token: str = "") -> int:
    body = {"finalizeUploadRequest": {"video": video, "uploadToken": token, "uploadedPartIds": etags}}
    query = {"action": "finalizeUpload"}
    return (await client.post("/linkedin/rest/videos", params=query, json=body)).status_code


async def bring_up(client: httpx.AsyncClient, collection: str = "images", owner: str = PERSON) -> str:
    value = (await announce(client, collection, owner=owner)).json()["value"]
    assert (await client.put(value["uploadUrl"], content=b"content")).status_code == 201
    urn: str = value[collection.removesuffix("s")]
    return urn


async def status_of(client: httpx.AsyncClient, urn: str) -> Any:
    collection = f"{urn.split(':')[2]}s"
    return (await client.get(f"/linkedin/rest/{collection}/{urn.replace(':', '%3A')}")).json().get("status")


def body_of(commentary: str = "hello", author: str = PERSON, **rest: Any) -> dict[str, Any]:
    return {
        "author": author,
        "commentary": commentary,
        "visibility": "PUBLIC",
        "distribution": {"feedDistribution": "MAIN_FEED", "targetEntities": [], "thirdPartyDistributionChannels": []},
        "lifecycleState": "PUBLISHED",
        **rest,
    }


async def publish(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/linkedin/rest/posts", json=body_of(**changes))


async def test_a_text_is_posted_and_the_same_again_names_the_first(client: httpx.AsyncClient) -> None:
    posted = await publish(client, commentary="\\#one \\(two\\) \\\\")
    assert (posted.status_code, posted.content) == (201, b"")
    again = await publish(client, commentary="\\#one \\(two\\) \\\\")
    assert again.status_code == 422
    assert again.json()["message"] == f"Content is a duplicate of {posted.headers['x-restli-id']}"
    [effect] = (await client.get("/_ledger", params={"provider": "linkedin"})).json()
    assert effect["key"] == "ana:#one (two) \\"


async def test_a_video_goes_up_in_parts_that_are_named_in_order(client: httpx.AsyncClient) -> None:
    content = b"a" * PART + b"rest"
    value = (await announce(client, "videos", owner=PERSON, fileSizeBytes=len(content))).json()["value"]
    spans = [(part["firstByte"], part["lastByte"]) for part in value["uploadInstructions"]]
    assert spans == [(0, PART - 1), (PART, PART + 3)]
    urls = [part["uploadUrl"] for part in value["uploadInstructions"]]
    assert (await client.put(urls[1], content=b"too long")).status_code == 400
    etags = []
    for url, (first, last) in zip(urls, spans, strict=True):
        sent = await client.put(url, content=content[first : last + 1], headers={"Authorization": ""})
        etags.append(sent.headers["etag"].strip('"'))
    assert await finalize(client, value["video"], etags[:1]) == 400
    assert await finalize(client, value["video"], etags[::-1]) == 400
    assert await finalize(client, value["video"], etags, "another") == 400
    assert await status_of(client, value["video"]) == "WAITING_UPLOAD"
    assert await finalize(client, value["video"], etags) == 200
    assert await finalize(client, value["video"], etags) == 400

    video = {"media": {"id": value["video"], "title": "T"}}
    early = await publish(client, content=video)
    assert (early.status_code, early.json()["message"]) == (403, "The requested resource is forbidden")
    assert [await status_of(client, value["video"]) for _ in range(2)] == ["PROCESSING", "AVAILABLE"]
    assert (await publish(client, content=video)).status_code == 201
    [effect] = (await client.get("/_ledger")).json()
    assert effect["body_sha256"] == hashlib.sha256(content).hexdigest()


async def test_only_an_organization_may_ask_for_the_state_of_images(client: httpx.AsyncClient) -> None:
    own, page = await bring_up(client), await bring_up(client, owner=PAGE)
    assert await status_of(client, own) == 403
    assert [await status_of(client, page) for _ in range(2)] == ["PROCESSING", "AVAILABLE"]
    images = [{"id": own, "altText": "a"}, {"id": own}]
    assert (await publish(client, content={"multiImage": {"images": images}})).status_code == 201
    document = await bring_up(client, "documents")
    assert (await publish(client, content={"media": {"id": document, "title": "T"}})).status_code == 201
    article = {"source": "https://example.com", "title": "T", "thumbnail": own}
    assert (await publish(client, content={"article": article})).status_code == 201


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("LinkedIn-Version", "", 400),
        ("LinkedIn-Version", "202511", 426),
        ("X-Restli-Protocol-Version", "1.0.0", 400),
        ("Authorization", "Bearer no", 401),
        ("Content-Type", "text/plain", 415),
    ],
)
async def test_the_headers_are_insisted_on(client: httpx.AsyncClient, header: str, value: str, status: int) -> None:
    answer = await client.post("/linkedin/rest/posts", json=body_of(), headers={header: value})
    assert answer.status_code == status
    assert set(answer.json()) == {"status", "code", "message"}


@pytest.mark.parametrize(
    "changes",
    [
        {"commentary": "bare (parenthesis)"},
        {"commentary": "x" * 3001},
        {"visibility": "FRIENDS"},
        {"lifecycleState": "DRAFT"},
        {"distribution": {}},
        {"mood": "good"},
        {"content": {"poll": {}}},
        {"content": {"media": {}}},
        {"content": {"article": {"source": "https://example.com", "title": ""}}},
        {"content": {"multiImage": {"images": [{"id": "urn:li:image:1"}]}}},
    ],
)
async def test_a_post_that_linkedin_would_not_take_is_refused(
    client: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    assert (await publish(client, **changes)).status_code == 422


async def test_nobody_acts_for_somebody_else_or_with_media_that_is_not_there(client: httpx.AsyncClient) -> None:
    assert (await publish(client, author="urn:li:person:eva")).status_code == 403
    assert (await announce(client, "images", owner="urn:li:person:eva")).status_code == 403
    assert (await announce(client, "videos", owner=PERSON)).status_code == 400
    assert (await announce(client, "songs", owner=PERSON)).status_code == 400
    assert (await publish(client, content={"media": {"id": "urn:li:image:none"}})).status_code == 404
    assert (await client.put("/linkedin/upload/urn:li:image:none/0", content=b"a")).status_code == 404
