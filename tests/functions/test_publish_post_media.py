"""How media is measured and a part of it is read, and what a platform that pulls it would find."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import respx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from devstack.providers.server import serving
from functions.platforms.answers import CallFailed, Permanent, TryAgain
from functions.platforms.calls import Timeouts
from functions.platforms.chunks import Chunk
from functions.platforms.media import check_pull, measure, open_chunk
from functions.platforms.post import MediaFile

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
CONTENT = bytes(range(256)) * 1000
TIMEOUTS = Timeouts(connect=1, answer=1, upload=1)
ADDRESS = "https://media.example/clip.mp4"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=TLS) as client:
        yield client


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
async def test_a_chunk_is_read_exactly_whether_or_not_the_server_knows_ranges(
    http: httpx.AsyncClient, tmp_path: Path, ranges: bool
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(CONTENT)

    async def serve(request: Request) -> Response:
        return FileResponse(path) if ranges else Response(CONTENT, media_type="video/mp4")

    async with serving(Starlette(routes=[Route("/clip.mp4", serve)])) as base:
        url = f"{base}/clip.mp4"
        assert await measure(http, url, TIMEOUTS) == len(CONTENT)
        for chunk in (Chunk(0, len(CONTENT) - 1), Chunk(100_000, 199_999), Chunk(255_999, 255_999)):
            async with open_chunk(http, url, chunk, TIMEOUTS) as parts:
                assert b"".join([part async for part in parts]) == CONTENT[chunk.first : chunk.last + 1]


@pytest.mark.parametrize(
    ("response", "failure", "code"),
    [
        (httpx.Response(404), Permanent, "media_not_available"),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example"}), Permanent, "media_not_available"),
        (httpx.Response(416), Permanent, "media_empty"),
        (httpx.Response(200, headers={"Content-Length": "0"}), Permanent, "media_empty"),
        (httpx.Response(200, headers={"Transfer-Encoding": "chunked"}), Permanent, "media_size_unknown"),
        (httpx.Response(503), TryAgain, "media_unreachable"),
        (httpx.Response(429), TryAgain, "media_unreachable"),
        (httpx.ConnectTimeout("slow"), TryAgain, "media_unreachable"),
    ],
)
async def test_media_that_cannot_be_measured_says_whether_another_attempt_may_help(
    http: httpx.AsyncClient, response: httpx.Response | Exception, failure: type, code: str
) -> None:
    with respx.mock:
        route = respx.get(ADDRESS)
        if isinstance(response, Exception):
            route.mock(side_effect=response)
        else:
            route.mock(return_value=response)
        with pytest.raises(CallFailed) as failed:
            await measure(http, ADDRESS, TIMEOUTS)
    assert isinstance(failed.value.failure, failure)
    assert failed.value.failure.error.code == code


async def test_a_file_that_has_become_shorter_is_not_sent_as_if_it_were_whole(http: httpx.AsyncClient) -> None:
    with respx.mock:
        respx.get(ADDRESS).respond(206, content=b"short", headers={"Content-Range": "bytes 0-9/10"})
        with pytest.raises(CallFailed) as failed:
            async with open_chunk(http, ADDRESS, Chunk(0, 9), TIMEOUTS) as parts:
                assert [part async for part in parts] == [b"short"]
    assert isinstance(failed.value.failure, TryAgain)


RANGE = Chunk(4, 6)


@pytest.mark.parametrize(
    ("said", "content"),
    [("bytes 4-6/10", b"456"), ("bytes 0-9/10", b"0123456789"), ("bytes 2-8/10", b"2345678")],
)
async def test_a_server_that_answers_more_than_the_range_is_read_at_the_right_place(
    http: httpx.AsyncClient, said: str, content: bytes
) -> None:
    with respx.mock:
        respx.get(ADDRESS).respond(206, content=content, headers={"Content-Range": said})
        async with open_chunk(http, ADDRESS, RANGE, TIMEOUTS, 10) as parts:
            assert b"".join([part async for part in parts]) == b"456"


@pytest.mark.parametrize(
    "said", ["bytes 5-7/10", "", "bytes 4-6/11"], ids=["a later part", "no word of it", "another file by now"]
)
async def test_bytes_that_are_not_those_of_the_upload_are_not_sent(http: httpx.AsyncClient, said: str) -> None:
    headers = {"Content-Range": said} if said else {}
    with respx.mock:
        respx.get(ADDRESS).respond(206, content=b"567", headers=headers)
        with pytest.raises(CallFailed) as failed:
            async with open_chunk(http, ADDRESS, RANGE, TIMEOUTS, 10) as parts:
                assert [part async for part in parts] == []
    assert isinstance(failed.value.failure, TryAgain)


def video(size: int = 1000, type_: str = "video/mp4") -> MediaFile:
    return MediaFile(name="clip.mp4", size=size, type=type_, url=ADDRESS)


def served(status: int = 206, total: int = 1000, type_: str = "video/mp4; codecs=avc1") -> httpx.Response:
    headers = {"Content-Range": f"bytes 0-0/{total}", "Content-Type": type_}
    return httpx.Response(status, headers=headers, content=b"x")


async def test_a_platform_may_pull_what_is_there_as_the_request_says(http: httpx.AsyncClient) -> None:
    with respx.mock:
        respx.get(ADDRESS, headers={"Range": "bytes=0-0"}).mock(return_value=served())
        await check_pull(http, video(), TIMEOUTS)
        await check_pull(http, video(size=1001, type_="VIDEO/mp4"), TIMEOUTS)


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (served(total=1001), "media_size_differs"),
        (served(type_="text/html"), "media_type_differs"),
        (served(type_=""), "media_type_differs"),
        (served(total=0), "media_empty"),
        (httpx.Response(206, headers={"Content-Range": "bytes 0-0/*", "Content-Length": "x"}), "media_size_unknown"),
        (httpx.Response(206, headers={"Content-Range": f"bytes 0-0/{'9' * 30}"}), "media_size_unknown"),
        (httpx.Response(301, headers={"Location": ADDRESS}), "media_not_available"),
        (httpx.Response(403), "media_not_available"),
    ],
)
async def test_what_a_platform_would_not_find_is_said_before(
    http: httpx.AsyncClient, response: httpx.Response, code: str
) -> None:
    with respx.mock:
        respx.get(ADDRESS).mock(return_value=response)
        with pytest.raises(CallFailed) as failed:
            await check_pull(http, video(), TIMEOUTS)
    assert isinstance(failed.value.failure, Permanent)
    assert failed.value.failure.error.code == code


async def test_a_file_larger_than_the_request_said_is_refused_where_it_was_said(http: httpx.AsyncClient) -> None:
    with respx.mock:
        respx.get(ADDRESS).mock(return_value=served(total=1001))
        assert await measure(http, ADDRESS, TIMEOUTS) == 1001
        assert await measure(http, ADDRESS, TIMEOUTS, declared=1001) == 1001
        with pytest.raises(CallFailed) as failed:
            await measure(http, ADDRESS, TIMEOUTS, declared=1000)
    assert failed.value.failure.error.code == "media_size_differs"
