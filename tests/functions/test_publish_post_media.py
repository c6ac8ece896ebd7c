"""Where media may come from, and how a part of it is read."""

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
from functions.jobs.outcomes import JobError
from functions.platforms.answers import CallFailed, Permanent, TryAgain
from functions.platforms.calls import Timeouts
from functions.platforms.chunks import Chunk
from functions.platforms.media import check_media_url, measure, open_chunk
from functions.settings import Settings

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
CONTENT = bytes(range(256)) * 1000
TIMEOUTS = Timeouts(connect=1, answer=1, upload=1)
ADDRESS = "https://media.example/clip.mp4"


def settings(hosts: str) -> Settings:
    return Settings.from_environ(
        {
            "SUPABASE_URL": "http://127.0.0.1:54321",
            "SUPABASE_ANON_KEY": "anon",
            "SUPABASE_SERVICE_ROLE_KEY": "service",
            "CRON_SECRET": "secret",
            "MEDIA_ALLOWED_HOSTS": hosts,
        }
    )


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=TLS) as client:
        yield client


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example/a.mp4",
        "http://127.0.0.1:54321/storage/v1/object/public/media/a.mp4",
        "http://files.example/a.mp4",
        "http://files.example:8080/a.mp4",
        "http://other.example:9000/a.mp4",
    ],
)
def test_https_the_projects_own_origin_and_listed_hosts_are_allowed(url: str) -> None:
    check_media_url(url, settings("files.example, other.example:9000"))


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example/a.mp4",
        "http://127.0.0.1:8000/a.mp4",
        "http://other.example/a.mp4",
        "ftp://cdn.example/a.mp4",
        "file:///etc/passwd",
        "https://user:password@cdn.example/a.mp4",
        "https://",
        "https://cdn.example:port/a.mp4",
        "https://cdn.example/\na.mp4",
        "a.mp4",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(JobError) as refused:
        check_media_url(url, settings("files.example, other.example:9000"))
    assert refused.value.code == "media_url_not_allowed"


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
        respx.get(ADDRESS).respond(206, content=b"short")
        with pytest.raises(CallFailed) as failed:
            async with open_chunk(http, ADDRESS, Chunk(0, 9), TIMEOUTS) as parts:
                assert [part async for part in parts] == [b"short"]
    assert isinstance(failed.value.failure, TryAgain)
