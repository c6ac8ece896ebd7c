"""The doubles of TikTok and Instagram: their wire shapes, their refusals, their ledger and faults."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from devstack.providers.app import make_providers
from devstack.providers.server import serving
from devstack.providers.world import ProviderRules, token_for

ACCOUNT = "17841400000000001"
VIDEO = b"\x00" * 1000 + b"video"
IMAGE = b"\xff\xd8\xff image"
MB = 1024 * 1024


pytestmark = pytest.mark.asyncio(loop_scope="module")
shared = pytest_asyncio.fixture(scope="module", loop_scope="module")


@shared
async def base() -> AsyncIterator[str]:
    async with serving(make_providers()) as url:
        yield url


@shared
async def media() -> AsyncIterator[str]:
    async def serve(request: Request) -> Response:
        files = {"clip.mp4": (VIDEO, "video/mp4"), "a.jpg": (IMAGE, "image/jpeg"), "a.png": (b"png", "image/png")}
        if request.path_params["name"] == "moved.jpg":
            return RedirectResponse("/a.jpg")
        found = files.get(request.path_params["name"])
        return Response(found[0], media_type=found[1]) if found else Response(status_code=404)

    async with serving(Starlette(routes=[Route("/{name}", serve)])) as url:
        yield url


@shared
async def connection(base: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token_for(ACCOUNT)}"}
    async with httpx.AsyncClient(base_url=base, headers=headers) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def client(connection: httpx.AsyncClient) -> httpx.AsyncClient:
    await connection.delete("/_state")
    return connection


async def tiktok_init(client: httpx.AsyncClient, *, title: str = "hello", **source: Any) -> httpx.Response:
    body = {"post_info": {"privacy_level": "SELF_ONLY", "title": title}, "source_info": source}
    return await client.post("/tiktok/v2/post/publish/video/init/", json=body)


async def open_upload(client: httpx.AsyncClient, size: int, chunk: int, count: int) -> dict[str, str]:
    plan: dict[str, Any] = {"video_size": size, "chunk_size": chunk, "total_chunk_count": count}
    data: dict[str, str] = (await tiktok_init(client, source="FILE_UPLOAD", **plan)).json()["data"]
    return data


async def put_chunk(client: httpx.AsyncClient, url: str, first: int, body: bytes, total: int) -> int:
    headers = {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{total}", "Content-Type": "video/mp4"}
    return (await client.put(url, content=body, headers=headers)).status_code


async def status_of(client: httpx.AsyncClient, publish_id: str) -> dict[str, Any]:
    answer = await client.post("/tiktok/v2/post/publish/status/fetch/", json={"publish_id": publish_id})
    data: dict[str, Any] = answer.json()["data"]
    return data


async def ledger(client: httpx.AsyncClient, **query: str) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = (await client.get("/_ledger", params=query)).json()
    return entries


async def test_a_small_video_goes_up_in_one_chunk_and_is_polled_to_completion(client: httpx.AsyncClient) -> None:
    creator = (await client.post("/tiktok/v2/post/publish/creator_info/query/")).json()
    assert creator["error"]["code"] == "ok"
    assert "SELF_ONLY" in creator["data"]["privacy_level_options"]

    upload = await open_upload(client, len(VIDEO), len(VIDEO), 1)
    assert await status_of(client, upload["publish_id"]) == {"status": "PROCESSING_UPLOAD", "uploaded_bytes": 0}
    assert await put_chunk(client, upload["upload_url"], 0, VIDEO, len(VIDEO)) == 201

    assert (await status_of(client, upload["publish_id"]))["status"] == "PROCESSING_UPLOAD"
    done = await status_of(client, upload["publish_id"])
    assert done["status"] == "PUBLISH_COMPLETE"
    assert len(done["publicaly_available_post_id"]) == 1

    [effect] = await ledger(client, provider="tiktok", key=f"{ACCOUNT}:hello")
    assert effect["effect"] == "post"
    assert effect["body_sha256"] == hashlib.sha256(VIDEO).hexdigest()
    assert await ledger(client, provider="tiktok", key=f"{ACCOUNT}:other") == []
    assert await ledger(client, provider="instagram") == []


async def test_a_large_video_goes_up_in_order_and_the_last_chunk_makes_it_public(client: httpx.AsyncClient) -> None:
    first, last = b"a" * 5 * MB, b"b" * (5 * MB + 7)
    total = len(first) + len(last)
    upload = await open_upload(client, total, 5 * MB, 2)
    url = upload["upload_url"]
    assert await put_chunk(client, url, len(first), last, total) == 416
    assert await put_chunk(client, url, 0, first, total) == 206
    assert await put_chunk(client, url, 0, first, total) == 416
    assert await ledger(client) == []
    assert await put_chunk(client, url, len(first), last, total) == 201
    assert await put_chunk(client, url, len(first), last, total) == 416
    [effect] = await ledger(client)
    assert effect["body_sha256"] == hashlib.sha256(first + last).hexdigest()


@pytest.mark.parametrize(
    ("size", "chunk", "count"),
    [
        (1000, 500, 2),
        (10 * MB, 4 * MB, 2),
        (200 * MB, 65 * MB, 3),
        (10 * MB, 5 * MB, 3),
        (5 * 1001 * MB, 5 * MB, 1001),
        (0, 1, 1),
        (1000, None, 1),
    ],
)
async def test_a_chunk_plan_outside_the_rules_is_an_invalid_parameter(
    client: httpx.AsyncClient, size: int, chunk: int | None, count: int
) -> None:
    plan: dict[str, Any] = {"video_size": size, "chunk_size": chunk, "total_chunk_count": count}
    answer = await tiktok_init(client, source="FILE_UPLOAD", **plan)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_param")


async def test_tiktok_refuses_bad_tokens_unknown_ids_and_foreign_posts(client: httpx.AsyncClient) -> None:
    path, bad = "/tiktok/v2/post/publish/creator_info/query/", {"Authorization": "Bearer something-else"}
    refused = await client.post(path, headers=bad)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "access_token_invalid")

    status = "/tiktok/v2/post/publish/status/fetch/"
    unknown = await client.post(status, json={"publish_id": "nope"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "invalid_publish_id")

    upload = await open_upload(client, 10, 10, 1)
    other = {"Authorization": f"Bearer {token_for('somebody')}"}
    foreign = await client.post(status, json={"publish_id": upload["publish_id"]}, headers=other)
    assert foreign.json()["error"]["code"] == "token_not_authorized_for_specified_publish_id"
    assert await put_chunk(client, "/tiktok/upload/nope", 0, b"x", 1) == 404


async def test_tiktok_refuses_a_title_or_privacy_level_it_does_not_allow(client: httpx.AsyncClient) -> None:
    plan = {"source": "FILE_UPLOAD", "video_size": 10, "chunk_size": 10, "total_chunk_count": 1}
    assert (await tiktok_init(client, title="\N{GRINNING FACE}" * 1100, **plan)).status_code == 200
    assert (await tiktok_init(client, title="\N{GRINNING FACE}" * 1101, **plan)).status_code == 400
    body = {"post_info": {"privacy_level": "EVERYBODY"}, "source_info": plan}
    answer = await client.post("/tiktok/v2/post/publish/video/init/", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "privacy_level_option_mismatch")


async def test_tiktok_pulls_a_video_itself_and_reports_one_it_cannot_reach(
    client: httpx.AsyncClient, media: str
) -> None:
    reached = (await tiktok_init(client, source="PULL_FROM_URL", video_url=f"{media}/clip.mp4")).json()["data"]
    assert (await status_of(client, reached["publish_id"]))["status"] == "PROCESSING_DOWNLOAD"
    assert (await status_of(client, reached["publish_id"]))["status"] == "PUBLISH_COMPLETE"
    missed = (await tiktok_init(client, source="PULL_FROM_URL", video_url=f"{media}/none.mp4")).json()["data"]
    failed = await status_of(client, missed["publish_id"])
    assert (failed["status"], failed["fail_reason"]) == ("FAILED", "video_pull_failed")
    assert len(await ledger(client)) == 1


async def new_container(client: httpx.AsyncClient, **parameters: Any) -> httpx.Response:
    return await client.post(f"/instagram/v26.0/{ACCOUNT}/media", json=parameters)


async def finished(client: httpx.AsyncClient, container: str) -> None:
    path, query = f"/instagram/v26.0/{container}", {"fields": "status_code,status"}
    assert (await client.get(path, params=query)).json()["status_code"] == "IN_PROGRESS"
    assert (await client.get(path, params=query)).json()["status_code"] == "FINISHED"


async def test_an_image_is_pulled_processed_published_and_has_a_permalink(
    client: httpx.AsyncClient, media: str
) -> None:
    container = (await new_container(client, image_url=f"{media}/a.jpg", caption="hello")).json()["id"]
    publish = f"/instagram/v26.0/{ACCOUNT}/media_publish"
    early = await client.post(publish, json={"creation_id": container})
    assert early.json()["error"]["error_subcode"] == 2207027

    await finished(client, container)
    media_id = (await client.post(publish, json={"creation_id": container})).json()["id"]
    link = await client.get(f"/instagram/v26.0/{media_id}", params={"fields": "permalink"})
    assert link.json()["permalink"].startswith("https://www.instagram.com/p/")
    status = f"/instagram/v26.0/{container}?fields=status_code"
    looks = [(await client.get(status)).json()["status_code"] for _ in range(2)]
    assert looks == ["FINISHED", "PUBLISHED"], "the container does not lag behind"

    [effect] = await ledger(client, provider="instagram", key=f"{ACCOUNT}:hello")
    assert effect["body_sha256"] == hashlib.sha256(IMAGE).hexdigest()
    limit = (await client.get(f"/instagram/v26.0/{ACCOUNT}/content_publishing_limit")).json()["data"][0]
    assert limit == {"quota_usage": 1, "config": {"quota_total": 10_000, "quota_duration": 86_400}}


async def test_a_container_published_twice_shows_twice_in_the_ledger(client: httpx.AsyncClient, media: str) -> None:
    reel = {"media_type": "REELS", "video_url": f"{media}/clip.mp4", "caption": "twice"}
    container = (await new_container(client, **reel)).json()["id"]
    await finished(client, container)
    for _ in range(2):
        await client.post(f"/instagram/v26.0/{ACCOUNT}/media_publish", data={"creation_id": container})
    assert len(await ledger(client, key=f"{ACCOUNT}:twice")) == 2


async def test_a_carousel_needs_two_to_ten_finished_items(client: httpx.AsyncClient, media: str) -> None:
    item = {"image_url": f"{media}/a.jpg", "is_carousel_item": True}
    children = [(await new_container(client, **item)).json()["id"] for _ in range(2)]
    early = await new_container(client, media_type="CAROUSEL", children=",".join(children))
    assert early.json()["error"]["error_subcode"] == 2207027
    for child in children:
        await finished(client, child)
    single = await new_container(client, media_type="CAROUSEL", children=children[0])
    assert single.json()["error"]["error_subcode"] == 2207028
    assert "id" in (await new_container(client, media_type="CAROUSEL", children=",".join(children))).json()


@pytest.mark.parametrize(
    ("parameters", "code", "subcode"),
    [
        ({"image_url": "{media}/none.jpg"}, 9004, 2207052),
        ({"image_url": "{media}/moved.jpg"}, 9004, 2207052),
        ({"image_url": "{media}/a.png"}, 36001, 2207005),
        ({"video_url": "{media}/a.jpg", "media_type": "REELS"}, 352, 2207026),
        ({"video_url": "{media}/clip.mp4", "media_type": "VIDEO"}, 100, 2207023),
        ({"image_url": "{media}/a.jpg", "caption": "x" * 2201}, 36004, 2207010),
        ({}, 100, None),
    ],
)
async def test_instagram_refuses_media_and_captions_with_its_own_codes(
    client: httpx.AsyncClient, media: str, parameters: dict[str, str], code: int, subcode: int | None
) -> None:
    answer = await new_container(client, **{name: each.format(media=media) for name, each in parameters.items()})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("error_subcode")) == (400, code, subcode)


async def test_instagram_refuses_bad_tokens_and_foreign_accounts(client: httpx.AsyncClient) -> None:
    bad = {"Authorization": "Bearer something-else"}
    refused = await client.post(f"/instagram/v26.0/{ACCOUNT}/media", json={}, headers=bad)
    assert refused.json()["error"]["code"] == 190
    foreign = await client.post("/instagram/v26.0/somebody/media", json={})
    assert foreign.json()["error"]["code"] == 10


LIMIT = f"/instagram/v26.0/{ACCOUNT}/content_publishing_limit"


async def order(client: httpx.AsyncClient, mode: str, **rest: Any) -> None:
    fault = {"provider": "instagram", "step": "media_publish", "mode": mode, **rest}
    assert (await client.put("/_faults", json=fault)).status_code == 200


@pytest.mark.parametrize(("mode", "effects"), [("fail_before", 0), ("fail_after", 1), ("reset", 1), ("hang", 1)])
async def test_a_fault_breaks_the_answer_and_leaves_the_effect_its_mode_says(
    client: httpx.AsyncClient, media: str, mode: str, effects: int
) -> None:
    container = (await new_container(client, image_url=f"{media}/a.jpg")).json()["id"]
    await finished(client, container)
    await order(client, mode, seconds=60)
    call = client.post(f"/instagram/v26.0/{ACCOUNT}/media_publish", json={"creation_id": container}, timeout=0.3)
    if mode == "reset":
        with pytest.raises(httpx.ReadError):
            await call
    elif mode == "hang":
        with pytest.raises(httpx.ReadTimeout):
            await call
    else:
        assert (await call).json()["error"]["code"] == 1
    assert len(await ledger(client)) == effects
    assert (await client.get(LIMIT)).status_code == 200


async def test_a_fault_is_met_as_often_as_ordered_and_throttling_names_its_pause(client: httpx.AsyncClient) -> None:
    fault = {"provider": "tiktok", "step": "creator_info", "mode": "rate_limit", "times": 2, "seconds": 7}
    await client.put("/_faults", json=fault)
    answers = [await client.post("/tiktok/v2/post/publish/creator_info/query/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"


async def test_the_control_plane_names_what_is_wrong_and_forgets_on_request(
    client: httpx.AsyncClient, media: str
) -> None:
    unknown = await client.put("/_faults", json={"provider": "tiktok", "step": "dance", "mode": "reset"})
    assert unknown.status_code == 400
    assert "upload" in unknown.json()["steps"]["tiktok"]
    malformed = await client.put("/_faults", json={"provider": "tiktok", "step": "upload", "mode": "explode"})
    assert "mode" in malformed.json()["error"]

    await tiktok_init(client, source="PULL_FROM_URL", video_url=f"{media}/clip.mp4")
    await order(client, "fail_before")
    assert (await client.delete("/_state")).status_code == 204
    assert await ledger(client) == []


async def test_processing_can_be_made_instant(media: str) -> None:
    headers = {"Authorization": f"Bearer {token_for(ACCOUNT)}"}
    async with (
        serving(make_providers(ProviderRules(processing_polls=0))) as base,
        httpx.AsyncClient(base_url=base, headers=headers) as client,
    ):
        container = (await new_container(client, image_url=f"{media}/a.jpg")).json()["id"]
        assert (await client.get(f"/instagram/v26.0/{container}")).json()["status_code"] == "FINISHED"
