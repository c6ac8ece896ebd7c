"""The double of YouTube: sessions, chunks, the state of a video, and its refusals."""

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

ACCOUNT = "UC1"
UNIT = 256 * 1024
VIDEO = b"a" * UNIT + b"rest"
VIDEOS = "/youtube/upload/youtube/v3/videos"
QUERY = {"uploadType": "resumable", "part": "snippet,status"}


@shared
async def connection() -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token_for(ACCOUNT)}"}
    async with serving(make_providers()) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def client(connection: httpx.AsyncClient) -> httpx.AsyncClient:
    await connection.delete("/_state")
    return connection


async def open_session(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    snippet = {"title": "Title", "description": "hello", **changes.pop("snippet", {})}
    status = {"privacyStatus": "public", **changes.pop("status", {})}
    headers = {"X-Upload-Content-Type": "video/mp4", "X-Upload-Content-Length": str(len(VIDEO))}
    headers |= changes.pop("headers", {})
    body = {"snippet": snippet, "status": status}
    return await client.post(VIDEOS, params=changes.pop("query", QUERY), json=body, headers=headers)


async def put(client: httpx.AsyncClient, session: str, content_range: str, body: bytes = b"") -> httpx.Response:
    return await client.put(
        session, content=body, headers={"Content-Range": content_range, "Content-Type": "video/mp4"}
    )


async def test_a_video_goes_up_in_order_and_can_be_asked_for(client: httpx.AsyncClient) -> None:
    opened = await open_session(client)
    assert (opened.status_code, opened.content) == (200, b"")
    session, size = opened.headers["location"], len(VIDEO)
    empty = await put(client, session, f"bytes */{size}")
    assert (empty.status_code, empty.headers.get("range")) == (308, None)
    assert (await put(client, session, f"bytes 0-99/{size}", VIDEO[:100])).status_code == 400
    assert (await put(client, session, f"bytes {UNIT}-{size - 1}/{size}", VIDEO[UNIT:])).status_code == 400
    assert (await put(client, session, f"bytes 0-{UNIT - 1}/{size}", b"short")).status_code == 400
    first = await put(client, session, f"bytes 0-{UNIT - 1}/{size}", VIDEO[:UNIT])
    assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{UNIT - 1}")
    assert (await client.get("/_ledger")).json() == []

    done = await put(client, session, f"bytes {UNIT}-{size - 1}/{size}", VIDEO[UNIT:])
    assert done.status_code == 200
    again = await put(client, session, f"bytes */{size}")
    assert again.json()["id"] == done.json()["id"]
    [effect] = (await client.get("/_ledger", params={"provider": "youtube", "key": f"{ACCOUNT}:hello"})).json()
    assert effect["body_sha256"] == hashlib.sha256(VIDEO).hexdigest()

    query = {"part": "status,processingDetails", "id": done.json()["id"]}
    states = [(await client.get("/youtube/youtube/v3/videos", params=query)).json()["items"][0] for _ in range(2)]
    assert [state["status"]["uploadStatus"] for state in states] == ["uploaded", "processed"]
    assert states[1]["status"]["privacyStatus"] == "public"
    assert (await client.get("/youtube/youtube/v3/videos", params={"id": "x"})).status_code == 400


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"snippet": {"title": ""}}, "invalidTitle"),
        ({"snippet": {"title": "x" * 101}}, "invalidTitle"),
        ({"snippet": {"title": "a<b"}}, "invalidTitle"),
        ({"snippet": {"description": "\N{GRINNING FACE}" * 1251}}, "invalidDescription"),
        ({"snippet": {"description": "a>b"}}, "invalidDescription"),
        ({"snippet": {"tags": ["x" * 501]}}, "invalidTags"),
        ({"snippet": {"mood": "good"}}, "invalidVideoMetadata"),
        ({"status": {"privacyStatus": "friends"}}, "invalidVideoMetadata"),
        ({"status": {"publishAt": "2027-01-01T00:00:00Z"}}, "invalidPublishAt"),
        ({"query": {"uploadType": "media", "part": "snippet,status"}}, "badRequest"),
        ({"query": {"uploadType": "resumable", "part": "snippet"}}, "badRequest"),
        ({"headers": {"X-Upload-Content-Length": "0"}}, "badRequest"),
        ({"headers": {"X-Upload-Content-Type": "image/png"}}, "mediaTypeUnsupported"),
    ],
)
async def test_what_youtube_would_not_take_is_refused_with_its_reason(
    client: httpx.AsyncClient, changes: dict[str, Any], reason: str
) -> None:
    answer = await open_session(client, **changes)
    assert answer.status_code == 400
    assert answer.json()["error"]["errors"][0]["reason"] == reason


async def test_bad_tokens_and_unknown_sessions_are_refused(client: httpx.AsyncClient) -> None:
    bad = {"headers": {"Authorization": "Bearer no"}}
    refused = await open_session(client, **bad)
    assert (refused.status_code, refused.json()["error"]["errors"][0]["reason"]) == (401, "authError")
    assert (await put(client, "/youtube/session/none", "bytes */5")).status_code == 404
    session = (await open_session(client)).headers["location"]
    assert (await put(client, session, "bytes */5")).status_code == 400
    other = {"Authorization": f"Bearer {token_for('UC2')}", "Content-Range": f"bytes */{len(VIDEO)}"}
    assert (await client.put(session, headers=other)).status_code == 403


async def test_a_fault_meets_the_step_it_names(client: httpx.AsyncClient) -> None:
    session = (await open_session(client)).headers["location"]
    await client.put("/_faults", json={"provider": "youtube", "step": "probe", "mode": "fail_before"})
    broken = await put(client, session, f"bytes */{len(VIDEO)}")
    assert (broken.status_code, broken.json()["error"]["errors"][0]["reason"]) == (503, "backendError")
    await client.put("/_faults", json={"provider": "youtube", "step": "open_session", "mode": "rate_limit"})
    assert (await open_session(client)).json()["error"]["errors"][0]["reason"] == "rateLimitExceeded"
