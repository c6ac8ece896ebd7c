"""Buckets and public media through the official client and plain HTTP, on the real gateway."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import jwt
import pytest
import pytest_asyncio
from storage3.exceptions import StorageApiError
from supabase import AsyncClient

from devstack.cluster import Cluster
from tests.wire.storage_support import (
    KEYS,
    LIMIT,
    SERVICE,
    VIDEO,
    StorageServer,
    official_client,
    refusal,
    storage_server,
    token_of,
    user_headers,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICIES = """
create policy "everybody signed in uploads" on storage.objects for insert to authenticated with check (true);
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StorageServer]:
    async with storage_server(cluster, tmp_path_factory.mktemp("data") / "storage", POLICIES) as running:
        yield running


@pytest.fixture(autouse=True)
def emptied(server: StorageServer) -> Iterator[None]:
    yield
    server.empty()


@pytest.fixture
def folder(server: StorageServer) -> Path:
    return server.folder


@pytest_asyncio.fixture(loop_scope="module")
async def http(server: StorageServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.url}/storage/v1") as client:
        await client.post("/bucket", json={"name": "media", "public": True}, headers=SERVICE)
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def supabase(server: StorageServer) -> AsyncIterator[AsyncClient]:
    async with official_client(server.url) as client:
        yield client


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
    with pytest.raises(StorageApiError, match="Object not found"):
        await bucket.create_signed_url("none.mp4", 60)
    with pytest.raises(StorageApiError, match="moving objects"):
        await bucket.move("a.mp4", "b.mp4")


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
    assert (await http.post(upload.format("user"), content=VIDEO, headers=user_headers(token_of()))).is_success
    for number, headers in enumerate(
        (
            {},
            {"apikey": KEYS.anon_key},
            {"apikey": KEYS.anon_key, "Authorization": "Bearer not.a.token"},
            user_headers(token_of(exp=1)),
            user_headers(token_of(role="nobody")),
            user_headers(token_of(role="postgres")),
            {"Authorization": "Bearer " + jwt.encode({"role": "service_role"}, "x" * 40, "HS256")},
        )
    ):
        answer = await http.post(upload.format(number), content=VIDEO, headers=headers)
        assert answer.status_code == 400, headers
        assert (await http.get(f"/object/public/media/{number}.mp4")).json()["statusCode"] == "404"


async def test_only_the_service_makes_buckets(http: httpx.AsyncClient) -> None:
    answer = await http.post("/bucket", json={"name": "mine"}, headers=user_headers(token_of()))
    assert refusal(answer) == (400, "403", "new row violates row-level security policy")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"name": 1}', b'{"name": "a/b"}', b'{"name": "a", "public": "yes"}', b'{"name": "\xc3\xa9"}'],
)
async def test_a_malformed_bucket_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/bucket", content=body, headers=SERVICE)
    assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")


@pytest.mark.parametrize(
    ("options", "status"),
    [({"type": "ANALYTICS"}, 501), ({"file_size_limit": "much"}, 400), ({"allowed_mime_types": "image/png"}, 400)],
)
async def test_a_bucket_option_that_would_be_ignored_is_declined(
    http: httpx.AsyncClient, options: dict[str, object], status: int
) -> None:
    assert (await http.post("/bucket", json={"name": "b", **options}, headers=SERVICE)).status_code == status


async def test_a_bucket_keeps_to_its_own_limits(supabase: AsyncClient) -> None:
    options = {"file_size_limit": 1000, "allowed_mime_types": ["video/*", "image/png"]}
    await supabase.storage.create_bucket("clips", options=options)  # type: ignore[arg-type]
    bucket = supabase.storage.from_("clips")
    await bucket.upload("a.mp4", VIDEO[:1000], {"content-type": "video/mp4"})
    await bucket.upload("a.png", VIDEO[:1], {"content-type": "image/png"})
    with pytest.raises(StorageApiError, match="mime type image/gif is not supported"):
        await bucket.upload("a.gif", VIDEO[:1], {"content-type": "image/gif"})
    with pytest.raises(StorageApiError, match="exceeded the maximum allowed size"):
        await bucket.upload("b.mp4", VIDEO[:1001], {"content-type": "video/mp4"})
    assert sorted(entry["name"] for entry in await bucket.list()) == ["a.mp4", "a.png"]


async def test_buckets_are_read_changed_emptied_and_removed(supabase: AsyncClient) -> None:
    for name in ("b", "a"):
        await supabase.storage.create_bucket(name)
    assert [bucket.id for bucket in await supabase.storage.list_buckets()] == ["a", "b"]
    await supabase.storage.update_bucket("a", {"public": True, "file_size_limit": 9})
    await supabase.storage.update_bucket("a", {"allowed_mime_types": ["image/png"]})
    changed = await supabase.storage.get_bucket("a")
    assert (changed.public, changed.file_size_limit, changed.allowed_mime_types) == (True, 9, ["image/png"])
    await supabase.storage.from_("b").upload("x/y.bin", b"1")
    with pytest.raises(StorageApiError, match="not empty"):
        await supabase.storage.delete_bucket("b")
    await supabase.storage.empty_bucket("b")
    await supabase.storage.delete_bucket("b")
    with pytest.raises(StorageApiError, match="Bucket not found"):
        await supabase.storage.get_bucket("b")


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
        ("POST", "/object/copy", "copying"),
        ("POST", "/object/list-v2/media", "listing"),
        ("GET", "/render/image/public/media/a.png", "image transformation"),
        ("POST", "/upload/resumable", "resumable uploads"),
        ("PATCH", "/object/media/a.mp4", "PATCH"),
        ("POST", "/object/public/media/a.mp4", "public path"),
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
