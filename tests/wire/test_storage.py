"""Public media through the official client and plain HTTP, on the real gateway."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from storage3.exceptions import StorageApiError
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from devstack.gateway import gateway, listen, serving
from devstack.keys import local_keys
from devstack.storage import Storage, StorageSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEYS = local_keys()
LIMIT = 300_000
VIDEO = bytes(range(256)) * 400
SERVICE = {"apikey": KEYS.service_role_key}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data") / "storage"


@pytest.fixture(autouse=True)
def emptied(folder: Path) -> Iterator[None]:
    yield
    for file in folder.glob("*/*"):
        file.unlink()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(folder: Path) -> AsyncIterator[str]:
    storage = Storage(StorageSettings(folder, KEYS.jwt_secret, size_limit=LIMIT))
    await storage.start()
    listener = listen(0)
    async with serving(gateway({"/storage/v1": storage}, KEYS, ""), listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    await storage.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{url}/storage/v1") as client:
        await client.post("/bucket", json={"name": "media", "public": True}, headers=SERVICE)
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def supabase(url: str) -> AsyncIterator[AsyncClient]:
    async with httpx.AsyncClient() as connections:
        yield await acreate_client(url, KEYS.secret_key, AsyncClientOptions(httpx_client=connections))


def user_token(**claims: Any) -> dict[str, str]:
    token = jwt.encode({"role": "authenticated", "aud": "authenticated", **claims}, KEYS.jwt_secret, "HS256")
    return {"apikey": KEYS.anon_key, "Authorization": f"Bearer {token}"}


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """HTTP status, the number in the body, the message."""
    return answer.status_code, answer.json()["statusCode"], answer.json()["message"]


async def test_the_official_client_uploads_what_anyone_may_read(supabase: AsyncClient) -> None:
    await supabase.storage.create_bucket("media", options={"public": True})
    bucket = supabase.storage.from_("media")
    stored = await bucket.upload("films/a b.mp4", VIDEO, {"content-type": "video/mp4", "cache-control": "60"})
    assert stored.full_path == "media/films/a b.mp4"
    async with httpx.AsyncClient() as anyone:
        answer = await anyone.get(await bucket.get_public_url("films/a b.mp4"))
    assert answer.content == VIDEO
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(VIDEO))
    assert answer.headers["cache-control"] == "max-age=60"


async def test_the_official_client_understands_every_refusal(supabase: AsyncClient) -> None:
    await supabase.storage.create_bucket("media", options={"public": True})
    bucket = supabase.storage.from_("media")
    await bucket.upload("a.mp4", VIDEO)
    with pytest.raises(StorageApiError, match="already exists"):
        await bucket.upload("a.mp4", VIDEO)
    with pytest.raises(StorageApiError, match="already exists"):
        await supabase.storage.create_bucket("media")
    with pytest.raises(StorageApiError, match="Bucket not found"):
        await supabase.storage.from_("other").upload("a.mp4", VIDEO)
    with pytest.raises(StorageApiError, match="signed URLs"):
        await bucket.create_signed_url("a.mp4", 60)


async def test_an_upsert_replaces_the_object(supabase: AsyncClient) -> None:
    await supabase.storage.create_bucket("media", options={"public": True})
    bucket = supabase.storage.from_("media")
    for content in (VIDEO, b"short"):
        await bucket.upload("a.mp4", content, {"upsert": "true", "content-type": "video/mp4"})
    async with httpx.AsyncClient() as anyone:
        assert (await anyone.get(await bucket.get_public_url("a.mp4"))).content == b"short"


async def test_a_raw_body_is_the_object(http: httpx.AsyncClient) -> None:
    answer = await http.post("/object/media/a.mp4", content=VIDEO, headers={**SERVICE, "Content-Type": "video/mp4"})
    assert answer.json()["Key"] == "media/a.mp4"
    read = await http.get("/object/public/media/a.mp4")
    assert (read.content, read.headers["content-type"]) == (VIDEO, "video/mp4")


async def test_a_range_is_served_with_its_place_in_the_whole(http: httpx.AsyncClient) -> None:
    await http.post("/object/media/a.mp4", content=VIDEO, headers={**SERVICE, "Content-Type": "video/mp4"})
    answer = await http.get("/object/public/media/a.mp4", headers={"Range": "bytes=100-199"})
    assert (answer.status_code, answer.content) == (206, VIDEO[100:200])
    assert answer.headers["content-range"] == f"bytes 100-199/{len(VIDEO)}"
    assert answer.headers["content-length"] == "100"
    beyond = await http.get("/object/public/media/a.mp4", headers={"Range": f"bytes={len(VIDEO)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(VIDEO)}")


async def test_head_tells_size_and_type(http: httpx.AsyncClient) -> None:
    await http.post("/object/media/a.mp4", content=VIDEO, headers={**SERVICE, "Content-Type": "video/mp4"})
    answer = await http.head("/object/public/media/a.mp4")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(VIDEO))
    assert (answer.headers["content-type"], answer.headers["accept-ranges"]) == ("video/mp4", "bytes")


async def test_a_download_names_the_file(http: httpx.AsyncClient) -> None:
    await http.post("/object/media/a.mp4", content=VIDEO, headers=SERVICE)
    answer = await http.get("/object/public/media/a.mp4?download=mein%20film.mp4")
    assert "filename*=UTF-8''mein%20film.mp4" in answer.headers["content-disposition"]


async def test_a_page_is_shown_as_text(http: httpx.AsyncClient) -> None:
    await http.post("/object/media/a.html", content=b"<script>", headers={**SERVICE, "Content-Type": "text/html"})
    answer = await http.get("/object/public/media/a.html")
    assert answer.headers["content-type"].startswith("text/plain")


async def test_what_is_missing_or_private_is_not_found(http: httpx.AsyncClient) -> None:
    await http.post("/bucket", json={"name": "inner"}, headers=SERVICE)
    await http.post("/object/inner/a.mp4", content=VIDEO, headers=SERVICE)
    assert refusal(await http.get("/object/public/media/none")) == (400, "404", "Object not found")
    assert refusal(await http.get("/object/public/none/a.mp4")) == (400, "404", "Bucket not found")
    assert refusal(await http.get("/object/public/inner/a.mp4")) == (400, "404", "Bucket not found")


async def test_a_signed_in_user_uploads_and_nobody_else(http: httpx.AsyncClient) -> None:
    upload = "/object/media/{}.mp4"
    assert (await http.post(upload.format("user"), content=VIDEO, headers=user_token(exp=2**32))).is_success
    for number, headers in enumerate(
        (
            {},
            {"apikey": KEYS.anon_key},
            {"apikey": KEYS.anon_key, "Authorization": "Bearer not.a.token"},
            user_token(exp=1),
            {"Authorization": "Bearer " + jwt.encode({"role": "service_role"}, "x" * 40, "HS256")},
        )
    ):
        answer = await http.post(upload.format(number), content=VIDEO, headers=headers)
        assert answer.status_code == 400, headers
        assert (await http.get(f"/object/public/media/{number}.mp4")).json()["statusCode"] == "404"


async def test_only_the_service_makes_buckets(http: httpx.AsyncClient) -> None:
    answer = await http.post("/bucket", json={"name": "mine"}, headers=user_token(exp=2**32))
    assert refusal(answer) == (400, "403", "new row violates row-level security policy")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"name": 1}', b'{"name": "a/b"}', b'{"name": "a", "public": "yes"}', b'{"name": "\xc3\xa9"}'],
)
async def test_a_malformed_bucket_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/bucket", content=body, headers=SERVICE)
    assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")


@pytest.mark.parametrize("option", [{"file_size_limit": 1}, {"allowed_mime_types": ["a/b"]}, {"type": "ANALYTICS"}])
async def test_a_bucket_option_that_would_be_ignored_is_declined(
    http: httpx.AsyncClient, option: dict[str, object]
) -> None:
    assert (await http.post("/bucket", json={"name": "b", **option}, headers=SERVICE)).status_code == 501


async def test_an_object_above_the_limit_is_refused_and_leaves_nothing(http: httpx.AsyncClient, folder: Path) -> None:
    too_large = (400, "413", "The object exceeded the maximum allowed size")
    body = b"x" * (LIMIT + 1)

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    assert refusal(await http.post("/object/media/a", content=body, headers=SERVICE)) == too_large
    assert refusal(await http.post("/object/media/a", content=in_pieces(), headers=SERVICE)) == too_large
    assert refusal(await http.post("/object/media/a", files={"file": ("a", body)}, headers=SERVICE)) == too_large
    assert not any(files for _, _, files in os.walk(folder / "bytes"))
    assert (await http.post("/object/media/a", files={"file": ("a", body[:-1])}, headers=SERVICE)).is_success


@pytest.mark.parametrize(
    "name", ["..%2f..%2f..%2fescaped", "a/..%2f..%2f..%2fescaped", "%2e%2e/%2e%2e/escaped", "a%00b", "%c3%a9"]
)
async def test_no_name_is_a_path(http: httpx.AsyncClient, folder: Path, name: str) -> None:
    answer = await http.post(f"/object/media/{name}", content=VIDEO, headers=SERVICE)
    assert answer.status_code in (400, 501)
    for bucket in ("..", "..%2f..%2fmedia", "media%2f..%2f..%2fbuckets"):
        assert not (await http.get(f"/object/public/{bucket}/{name}")).is_success
    assert not any("escaped" in file for _, _, files in os.walk(folder.parent) for file in files)


@pytest.mark.parametrize(
    ("method", "path", "feature"),
    [
        ("GET", "/bucket", "buckets"),
        ("DELETE", "/bucket/media", "buckets"),
        ("POST", "/object/list/media", "listing objects"),
        ("POST", "/object/sign/media/a.mp4", "signed URLs"),
        ("GET", "/object/authenticated/media/a.mp4", "private"),
        ("GET", "/render/image/public/media/a.png", "image transformation"),
        ("POST", "/upload/resumable", "resumable uploads"),
        ("DELETE", "/object/media", "DELETE"),
        ("PUT", "/object/media/a.mp4", "PUT"),
    ],
)
async def test_the_rest_of_storage_is_declined_by_name(
    http: httpx.AsyncClient, method: str, path: str, feature: str
) -> None:
    answer = await http.request(method, path, headers=SERVICE)
    assert (answer.status_code, answer.json()["error"]) == (501, "NotSupported")
    assert feature in answer.json()["message"]


async def test_a_form_without_a_file_or_without_sense_is_refused(http: httpx.AsyncClient) -> None:
    form = {**SERVICE, "Content-Type": "multipart/form-data; boundary=x"}
    empty = await http.post("/object/media/a", content=b"--x--\r\n", headers=form)
    assert refusal(empty) == (400, "400", "No file provided")
    assert (await http.post("/object/media/a", content=b"nonsense", headers=form)).status_code == 400
