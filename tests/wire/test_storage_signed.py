"""Private media: the bucket `media` of this project's migrations, its policies, and signed addresses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import jwt
import pytest
import pytest_asyncio
from storage3.exceptions import StorageApiError
from storage3.types import CreateSignedUploadUrlOptions
from supabase import AsyncClient

from devstack.cluster import Cluster
from tests.conftest import MIGRATED
from tests.wire.storage_support import (
    KEYS,
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

ANA, BEN = str(uuid4()), str(uuid4())
MP4: Any = {"content-type": "video/mp4"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StorageServer]:
    async with storage_server(cluster, tmp_path_factory.mktemp("data"), template=MIGRATED) as running:
        yield running


@pytest.fixture(autouse=True)
def emptied(server: StorageServer) -> Iterator[None]:
    yield
    server.database.execute("truncate storage.objects")


@pytest_asyncio.fixture(loop_scope="module")
async def ana(server: StorageServer) -> AsyncIterator[AsyncClient]:
    async with official_client(server.url, token_of(ANA)) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def ben(server: StorageServer) -> AsyncIterator[AsyncClient]:
    async with official_client(server.url, token_of(BEN)) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def http(server: StorageServer) -> AsyncIterator[httpx.AsyncClient]:
    """Anybody, without a key."""
    async with httpx.AsyncClient(base_url=f"{server.url}/storage/v1") as client:
        yield client


def token_in(url: str) -> str:
    return parse_qs(urlsplit(url).query)["token"][0]


async def test_a_user_uploads_and_reads_in_a_folder_of_their_own(ana: AsyncClient, ben: AsyncClient) -> None:
    own = f"{ANA}/films/a b.mp4"
    stored = await ana.storage.from_("media").upload(own, VIDEO, MP4)
    assert stored.full_path == f"media/{own}"
    assert await ana.storage.from_("media").download(own) == VIDEO
    assert await ana.storage.from_("media").exists(own)
    about = await ana.storage.from_("media").info(own)
    assert (about["size"], about["content_type"], about["name"]) == (len(VIDEO), "video/mp4", own)

    media = ben.storage.from_("media")
    for attempt in (media.download(own), media.info(own), media.create_signed_url(own, 60)):
        with pytest.raises(StorageApiError, match="Object not found"):
            await attempt
    with pytest.raises(StorageApiError, match="violates row-level security"):
        await media.upload(f"{ANA}/b.mp4", VIDEO, MP4)
    with pytest.raises(StorageApiError, match="violates row-level security"):
        await media.create_signed_upload_url(f"{ANA}/b.mp4")
    assert await media.remove([own]) == []
    assert await media.list(ANA) == []
    assert await ana.storage.from_("media").exists(own)


@pytest.mark.parametrize("name", ["a.mp4", "{}", "{}.mp4", "x/{}/a.mp4", "./{}/a.mp4", "{}/../x/a.mp4"])
async def test_nothing_is_uploaded_beside_the_folders(http: httpx.AsyncClient, name: str) -> None:
    headers = {**user_headers(token_of(ANA)), "Content-Type": "video/mp4"}
    place = name.format(ANA).replace("./", "%2e/").replace("../", "%2e%2e/")
    answer = await http.post(f"/object/media/{place}", content=VIDEO, headers=headers)
    assert answer.json()["statusCode"] in ("400", "403")


async def test_nobody_uploads_without_signing_in(http: httpx.AsyncClient) -> None:
    headers = {"apikey": KEYS.anon_key, "Content-Type": "video/mp4"}
    answer = await http.post(f"/object/media/{ANA}/a.mp4", content=VIDEO, headers=headers)
    assert refusal(answer)[1] == "403"


async def test_an_object_of_the_user_cannot_be_replaced_but_removed(ana: AsyncClient) -> None:
    media = ana.storage.from_("media")
    await media.upload(f"{ANA}/a.mp4", VIDEO, MP4)
    with pytest.raises(StorageApiError, match="already exists"):
        await media.upload(f"{ANA}/a.mp4", b"other", MP4)
    with pytest.raises(StorageApiError, match="violates row-level security"):
        await media.upload(f"{ANA}/a.mp4", b"other", MP4 | {"upsert": "true"})
    with pytest.raises(StorageApiError, match="violates row-level security"):
        await media.update(f"{ANA}/a.mp4", b"other", MP4)
    assert await media.download(f"{ANA}/a.mp4") == VIDEO
    removed = await media.remove([f"{ANA}/a.mp4", f"{ANA}/none.mp4"])
    assert [entry["name"] for entry in removed] == [f"{ANA}/a.mp4"]
    assert not await media.exists(f"{ANA}/a.mp4")


async def test_removed_bytes_do_not_stay(ana: AsyncClient, server: StorageServer) -> None:
    before = set(server.folder.glob("bytes/*"))
    await ana.storage.from_("media").upload(f"{ANA}/a.mp4", VIDEO, MP4)
    assert len(set(server.folder.glob("bytes/*")) - before) == 1
    await ana.storage.from_("media").remove([f"{ANA}/a.mp4"])
    assert set(server.folder.glob("bytes/*")) == before


async def test_a_signed_upload_address_takes_one_object_from_anybody_who_holds_it(
    ana: AsyncClient, http: httpx.AsyncClient
) -> None:
    media = ana.storage.from_("media")
    signed = await media.create_signed_upload_url(f"{ANA}/a.mp4")
    stored = await media.upload_to_signed_url(f"{ANA}/a.mp4", signed["token"], VIDEO, MP4)
    assert stored.full_path == f"media/{ANA}/a.mp4"
    assert await media.download(f"{ANA}/a.mp4") == VIDEO

    plain = (await media.create_signed_upload_url(f"{ANA}/b.mp4"))["signed_url"]
    put = await http.put(plain, content=VIDEO, headers={"Content-Type": "video/mp4"})
    assert put.json() == {"Key": f"media/{ANA}/b.mp4"}
    again = await http.put(plain, content=b"other", headers={"Content-Type": "video/mp4"})
    assert refusal(again) == (400, "409", "The resource already exists")
    assert (await media.info(f"{ANA}/b.mp4"))["content_type"] == "video/mp4"
    assert [entry["name"] for entry in await media.list(ANA)] == ["a.mp4", "b.mp4"]


async def test_an_object_that_came_by_a_signed_address_belongs_to_who_signed(
    ana: AsyncClient, http: httpx.AsyncClient, server: StorageServer
) -> None:
    address = (await ana.storage.from_("media").create_signed_upload_url(f"{ANA}/a.mp4"))["signed_url"]
    await http.put(address, content=VIDEO, headers={"Content-Type": "video/mp4"})
    found = server.database.execute("select owner_id, metadata ->> 'size' from storage.objects").fetchone()
    assert found == (ANA, str(len(VIDEO)))


async def test_the_limits_of_the_bucket_hold_for_signed_uploads(ana: AsyncClient, http: httpx.AsyncClient) -> None:
    address = (await ana.storage.from_("media").create_signed_upload_url(f"{ANA}/a.html"))["signed_url"]
    answer = await http.put(address, content=b"<script>", headers={"Content-Type": "text/html"})
    assert refusal(answer) == (400, "415", "mime type text/html is not supported")
    large = await http.put(address, content=b"x" * 400_000, headers={"Content-Type": "video/mp4"})
    assert refusal(large)[1] == "413"


async def test_a_signed_upload_address_may_replace_only_if_it_was_asked_to(server: StorageServer) -> None:
    async with official_client(server.url) as service:
        media = service.storage.from_("media")
        await media.upload("a.mp4", b"old", MP4)
        with pytest.raises(StorageApiError, match="already exists"):
            await media.create_signed_upload_url("a.mp4")
        signed = await media.create_signed_upload_url("a.mp4", CreateSignedUploadUrlOptions(upsert="true"))
        await media.upload_to_signed_url("a.mp4", signed["token"], b"new", MP4)
        assert await media.download("a.mp4") == b"new"


async def test_a_signed_address_is_read_by_anybody_and_in_parts(ana: AsyncClient, http: httpx.AsyncClient) -> None:
    await ana.storage.from_("media").upload(f"{ANA}/a b.mp4", VIDEO, MP4)
    address = (await ana.storage.from_("media").create_signed_url(f"{ANA}/a b.mp4", 60))["signedURL"]
    assert address is not None
    whole, part = await asyncio.gather(http.get(address), http.get(address, headers={"Range": "bytes=100-199"}))
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, VIDEO, "video/mp4")
    assert (part.status_code, part.content) == (206, VIDEO[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(VIDEO)}"
    named = await ana.storage.from_("media").create_signed_url(f"{ANA}/a b.mp4", 60, {"download": "film.mp4"})
    assert "film.mp4" in (await http.get(str(named["signedURL"]))).headers["content-disposition"]


async def test_many_addresses_are_signed_at_once_but_none_for_others_files(ana: AsyncClient, ben: AsyncClient) -> None:
    await ana.storage.from_("media").upload(f"{ANA}/a.mp4", VIDEO, MP4)
    await ben.storage.from_("media").upload(f"{BEN}/b.mp4", VIDEO, MP4)
    names = [f"{ANA}/a.mp4", f"{BEN}/b.mp4", f"{ANA}/none.mp4"]
    signed = await ana.storage.from_("media").create_signed_urls(names, 60)
    assert [entry["path"] for entry in signed] == names
    assert [entry["signedURL"] is not None for entry in signed] == [True, False, False]
    assert [bool(entry["error"]) for entry in signed] == [False, True, True]


async def test_a_token_is_good_for_one_object_one_purpose_and_some_time(
    ana: AsyncClient, http: httpx.AsyncClient
) -> None:
    media = ana.storage.from_("media")
    for name in ("a.mp4", "b.mp4"):
        await media.upload(f"{ANA}/{name}", VIDEO, MP4)
    read = token_in(str((await media.create_signed_url(f"{ANA}/a.mp4", 60))["signedURL"]))
    upload = (await media.create_signed_upload_url(f"{ANA}/c.mp4"))["token"]
    own = token_of(ANA)
    claims = jwt.decode(read, options={"verify_signature": False})
    forged = jwt.encode({**claims, "url": f"media/{ANA}/b.mp4"}, KEYS.jwt_secret, "HS256")
    changed = f"{read[:-8]}AAAAAAAA"

    for name, token, why in (
        ("b.mp4", read, "Invalid signature"),
        ("c.mp4", upload, "Invalid signature"),
        ("a.mp4", own, "signature verification failed"),
        ("b.mp4", forged, "signature verification failed"),
        ("a.mp4", changed, "signature verification failed"),
    ):
        answer = await http.get(f"/object/sign/media/{ANA}/{name}", params={"token": token})
        assert refusal(answer) == (400, "400", why), name
    put = await http.put(f"/object/upload/sign/media/{ANA}/a.mp4", params={"token": read}, content=VIDEO)
    assert refusal(put) == (400, "400", "Invalid signature")
    assert "token" in refusal(await http.get(f"/object/sign/media/{ANA}/a.mp4"))[2]
    bearer = await http.get(f"/object/media/{ANA}/a.mp4", headers={"Authorization": f"Bearer {read}"})
    assert refusal(bearer)[1] == "403", "a signed address is no session"


async def test_a_signed_address_ends(ana: AsyncClient, http: httpx.AsyncClient) -> None:
    await ana.storage.from_("media").upload(f"{ANA}/a.mp4", VIDEO, MP4)
    address = str((await ana.storage.from_("media").create_signed_url(f"{ANA}/a.mp4", 1))["signedURL"])
    for _ in range(100):
        answer = await http.get(address)
        if not answer.is_success:
            break
        await asyncio.sleep(0.1)
    assert refusal(answer) == (400, "400", '"exp" claim timestamp check failed')


@pytest.mark.parametrize("body", [{}, {"expiresIn": 0}, {"expiresIn": "soon"}, {"expiresIn": True}, {"expiresIn": -1}])
async def test_an_address_needs_an_end(ana: AsyncClient, http: httpx.AsyncClient, body: dict[str, object]) -> None:
    await ana.storage.from_("media").upload(f"{ANA}/a.mp4", VIDEO, MP4)
    answer = await http.post(f"/object/sign/media/{ANA}/a.mp4", json=body, headers=SERVICE)
    assert refusal(answer)[1] == "400"


async def test_a_folder_is_listed_with_its_folders_first(ana: AsyncClient) -> None:
    media = ana.storage.from_("media")
    for name in ("b.mp4", "a.mp4", "Z/1.mp4", "Z/2.mp4", "Ab.mp4"):
        await media.upload(f"{ANA}/{name}", VIDEO[:10], MP4)
    listed = await media.list(ANA)
    assert listed[0]["name"] == "Z"
    assert {entry["name"] for entry in listed[1:]} == {"Ab.mp4", "a.mp4", "b.mp4"}
    assert listed[0]["id"] is None
    assert listed[1]["metadata"]["size"] == 10
    assert [entry["name"] for entry in await media.list(f"{ANA}/Z")] == ["1.mp4", "2.mp4"]
    assert {entry["name"] for entry in await media.list(ANA, {"search": "a"})} == {"Ab.mp4", "a.mp4"}
    page = await media.list(ANA, {"limit": 1, "offset": 1, "sortBy": {"column": "name", "order": "desc"}})
    assert [entry["name"] for entry in page] == ["b.mp4"]
    assert [entry["name"] for entry in await media.list()] == [ANA]


async def test_sorting_by_something_else_is_refused(ana: AsyncClient) -> None:
    sort: Any = {"sortBy": {"column": "name; drop table storage.objects", "order": "asc"}}
    with pytest.raises(StorageApiError, match="sortBy"):
        await ana.storage.from_("media").list(ANA, sort)
