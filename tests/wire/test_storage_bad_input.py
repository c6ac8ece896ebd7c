"""What Storage is sent by mistake or in bad faith: a refusal in its own words, never a crash, and nothing kept."""

import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from functions.sign_uploads import TYPES
from tests.conftest import MIGRATED
from tests.wire.storage_support import KEYS, SERVICE, StorageServer, refusal, storage_server, token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANA = str(uuid4())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StorageServer]:
    async with storage_server(cluster, tmp_path_factory.mktemp("data"), template=MIGRATED) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def ana(server: StorageServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.url}/storage/v1", headers=bearing(token_of(ANA))) as client:
        yield client


def bearing(token: str) -> dict[str, str]:
    return {"apikey": KEYS.publishable_key, "Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "body",
    [
        *(
            {"sortBy": "name"},
            {"sortBy": ["name"]},
            {"sortBy": {"column": ["name"]}},
            {"prefix": "\0"},
            {"search": "\0"},
        ),
        *({"limit": 10**30}, {"limit": True}, {"offset": -1}, {"offset": "1"}),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused(ana: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await ana.post("/object/list/media", json={"prefix": ANA, **body})
    assert refusal(answer)[1] == "400"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"", b"[]"])
async def test_a_body_that_is_no_object_is_refused(ana: httpx.AsyncClient, body: bytes) -> None:
    assert refusal(await ana.post("/object/sign/media", content=body))[1] == "400"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_no_name_holds_a_zero(ana: httpx.AsyncClient, method: str) -> None:
    answer = await ana.request(method, f"/object/media/{ANA}/%00.png", headers={"Content-Type": "image/png"})
    assert refusal(answer)[1] == "400"


async def test_a_token_needs_no_end_but_keeps_to_one_that_it_has(ana: httpx.AsyncClient) -> None:
    about = {"role": "authenticated", "sub": ANA}
    for end, status in (
        ({}, 200),
        ({"exp": time.time() - 60}, 400),
        ({"exp": "2999-01-01"}, 400),
        ({"exp": None}, 400),
    ):
        token = jwt.encode({**about, **end}, KEYS.jwt_secret, "HS256")
        assert (await ana.get("/bucket", headers=bearing(token))).status_code == status, end


async def test_the_bucket_for_media_takes_what_some_platform_takes(ana: httpx.AsyncClient) -> None:
    for type_ in sorted(TYPES):
        answer = await ana.post(f"/object/media/{ANA}/{uuid4()}", content=b"x", headers={"Content-Type": type_})
        assert answer.status_code == 200, type_


@pytest.mark.parametrize(
    "type_",
    ["image/svg+xml", "text/html", "image/", "image/png, text/html", "application/javascript", "*/*", "image/*"],
)
async def test_the_bucket_for_media_takes_nothing_that_may_hold_a_script(ana: httpx.AsyncClient, type_: str) -> None:
    answer = await ana.post(f"/object/media/{ANA}/{uuid4()}", content=b"<svg/>", headers={"Content-Type": type_})
    assert refusal(answer)[1] == "415"


async def test_a_page_is_shown_as_text_however_its_type_is_written(ana: httpx.AsyncClient) -> None:
    bucket = f"pages-{uuid4().hex[:8]}"
    service = {**SERVICE, "Authorization": f"Bearer {KEYS.service_role_key}"}
    await ana.post("/bucket", json={"name": bucket, "public": True}, headers=service)
    page = {**service, "Content-Type": "Text/HTML"}
    assert (await ana.post(f"/object/{bucket}/a", content=b"<script>", headers=page)).status_code == 200
    assert (await ana.get(f"/object/public/{bucket}/a")).headers["content-type"].startswith("text/plain")


async def test_nobody_but_the_service_opens_a_bucket_or_empties_it(
    ana: httpx.AsyncClient, server: StorageServer
) -> None:
    await ana.post(f"/object/media/{ANA}/kept.png", content=b"x", headers={"Content-Type": "image/png"})
    for method, path, body in (
        ("PUT", "/bucket/media", {"public": True}),
        ("POST", "/bucket/media/empty", {}),
        ("DELETE", "/bucket/media", {}),
        ("POST", "/bucket", {"name": "mine", "public": True}),
    ):
        assert (await ana.request(method, path, json=body)).status_code == 400, path
    found = server.database.execute("select count(*) from storage.objects where name = %s", (f"{ANA}/kept.png",))
    assert found.fetchone() == (1,)
    assert server.database.execute("select id, public from storage.buckets where id = 'media'").fetchall() == [
        ("media", False)
    ]
