"""How much memory an upload takes: the same for a video of any size, since it is never held whole."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from devstack.providers.app import make_providers
from devstack.providers.server import serving

MIB = 1024 * 1024
MOST_MEMORY = 32 * MIB
"""Above what the process takes before its upload."""
BLOCK = bytes(range(256)) * 256
GIGABYTE = 1_000_000_000
LARGE = [
    ("youtube_video", {}, 2 * GIGABYTE),
    ("tiktok_video", {"privacy": "SELF_ONLY"}, 2 * GIGABYTE),
    ("x_post", {}, GIGABYTE // 2),
    ("linkedin_video", {}, GIGABYTE // 2),
]
"""The last two take no larger ones."""
PROGRAM = Path(__file__).with_name("upload_program.py")


async def produce(first: int, last: int) -> AsyncIterator[bytes]:
    """Bytes of a file that nobody has to store."""
    while first <= last:
        offset = first % len(BLOCK)
        piece = BLOCK[offset : offset + min(len(BLOCK) - offset, last - first + 1)]
        yield piece
        first += len(piece)


async def serve(request: Request) -> Response:
    size = int(request.path_params["size"])
    first, last = (int(number) for number in request.headers["range"].removeprefix("bytes=").split("-"))
    last = min(last, size - 1)
    headers = {"Content-Range": f"bytes {first}-{last}/{size}", "Content-Length": str(last - first + 1)}
    return StreamingResponse(produce(first, last), 206, headers, "video/mp4")


async def upload(option: str, settings: dict[str, Any], size: int) -> dict[str, Any]:
    """Publish a video of `size` bytes from a process of its own, which says how much memory that took."""
    media = Starlette(routes=[Route("/{size:int}", serve)])
    async with serving(make_providers()) as providers, serving(media) as files:
        wanted = {"option": option, "settings": settings, "size": size, "media": files, "providers": providers}
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), json.dumps(wanted), stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        async with httpx.AsyncClient() as http:
            assert len((await http.get(f"{providers}/_ledger")).json()) == 1
    measured: dict[str, Any] = json.loads(output)
    return measured


@pytest.mark.parametrize("option", ["youtube_video", "x_post"])
async def test_a_video_larger_than_the_memory_it_may_take_is_streamed(option: str) -> None:
    measured = await upload(option, {}, 2 * MOST_MEMORY)
    assert measured["outcome"] == "Published"
    assert measured["grown"] <= MOST_MEMORY


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("option", "settings", "size"), LARGE)
async def test_the_largest_videos_are_streamed(option: str, settings: dict[str, Any], size: int) -> None:
    measured = await upload(option, settings, size)
    assert measured["outcome"] == "Published"
    assert measured["grown"] <= MOST_MEMORY
