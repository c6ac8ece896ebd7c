"""Reading a post's media: its size, a part of it without holding it in memory, and whether a platform could pull it."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx

from functions.jobs.outcomes import JobError
from functions.platforms.answers import CallFailed, Permanent, TryAgain
from functions.platforms.calls import Timeouts
from functions.platforms.chunks import Chunk
from functions.platforms.post import MediaFile
from functions.web.outside import AddressRefused

TOTAL = re.compile(r"bytes .+/(\d+)", re.ASCII)
FIRST = re.compile(r"bytes (\d+)-", re.ASCII)
PASSING_STATUSES = frozenset({408, 425, 429})
FIRST_BYTE = Chunk(0, 0)
LONGEST_SIZE = 18
"""Digits; a server that tells more means something else."""


async def measure(http: httpx.AsyncClient, url: str, timeouts: Timeouts, declared: int | None = None) -> int:
    """The size of the file at `url` in bytes, as its server tells it.

    Args:
        http: the client that fetches.
        url: a checked address.
        timeouts: the limits of the call.
        declared: the size that the request named and the options' limits were held against.

    Raises:
        CallFailed: permanent when the file is not there, empty or larger than `declared`, to be tried again when
            its server is not well.
    """
    # Asks for one byte instead of using HEAD, which signed addresses often do not allow.
    async with _get(http, url, FIRST_BYTE, timeouts) as response:
        return _size(response, declared)


async def check_pull(http: httpx.AsyncClient, file: MediaFile, timeouts: Timeouts) -> None:
    """Make sure that a platform which fetches media itself will find it: at this address, without a redirect.

    Raises:
        CallFailed: as `measure`, and permanent when the server gives the file another type than the request.
    """
    async with _get(http, file.url, FIRST_BYTE, timeouts) as response:
        _size(response, file.size)
        served = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if served != file.type.lower():
        message = f"{file.name} is served as {served[:100] or 'nothing'}, but the request says {file.type}."
        raise CallFailed(Permanent(JobError("media_type_differs", f"{message} Upload it with its own type.")))


@asynccontextmanager
async def open_chunk(
    http: httpx.AsyncClient, url: str, chunk: Chunk, timeouts: Timeouts, size: int | None = None
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The bytes of `chunk` of the file at `url`, as they arrive; exactly as many as it has.

    Args:
        http: the client that fetches.
        url: a checked address.
        chunk: which bytes.
        timeouts: the limits of the call.
        size: of the whole file when its upload began; half of one file and half of another make no video.

    Raises:
        CallFailed: as `measure`, and to be tried again when the file ends too early or has another size by now.
    """
    async with _get(http, url, chunk, timeouts) as response:
        if size is not None and _size(response, None) != size:
            raise _unreachable("the file has another size than before")
        async with aclosing(_cut(response, chunk.first - _first_of(response), chunk.length)) as parts:
            yield parts


@asynccontextmanager
async def _get(http: httpx.AsyncClient, url: str, chunk: Chunk, timeouts: Timeouts) -> AsyncIterator[httpx.Response]:
    headers = {"Range": f"bytes={chunk.first}-{chunk.last}", "Accept-Encoding": "identity"}
    request = http.build_request("GET", url, headers=headers, timeout=timeouts.for_answer())
    try:
        response = await http.send(request, stream=True, follow_redirects=False)
    except AddressRefused as error:
        message = "The media's address leads to a host that is not a public one."
        raise CallFailed(Permanent(JobError("media_url_not_allowed", message))) from error
    except httpx.TransportError as error:
        raise _unreachable(type(error).__name__) from error
    try:
        _check_status(response.status_code)
        yield response
    finally:
        await response.aclose()


def _first_of(response: httpx.Response) -> int:
    """Where in the file the answer begins: a server may know no ranges, or answer a larger one than was asked for."""
    match = FIRST.match(response.headers.get("content-range", ""))
    if response.status_code == 206 and match is None:
        raise _unreachable("the server does not say which part of the file it sends")
    return int(match.group(1)) if match and response.status_code == 206 else 0


async def _cut(response: httpx.Response, skip: int, length: int) -> AsyncGenerator[bytes, None]:
    """`length` bytes after the first `skip`."""
    if skip < 0:
        raise _unreachable("the server sends a later part of the file")
    try:
        async for part in response.aiter_raw():
            piece = part[skip : skip + length]
            skip = max(0, skip - len(part))
            length -= len(piece)
            if piece:
                yield piece
            if not length:
                return
    except httpx.TransportError as error:
        raise _unreachable(type(error).__name__) from error
    raise _unreachable("the file is shorter than before")


def _size(response: httpx.Response, declared: int | None) -> int:
    """The size of the whole file of which `response` is a part."""
    match = TOTAL.fullmatch(response.headers.get("content-range", ""))
    size = match.group(1) if match else response.headers.get("content-length", "")
    if not size.isascii() or not size.isdecimal() or len(size) > LONGEST_SIZE:
        raise CallFailed(Permanent(JobError("media_size_unknown", "The media's server does not tell the file's size.")))
    if int(size) == 0:
        raise _empty()
    if declared is not None and int(size) > declared:
        message = f"The media has {size} bytes; the request says {declared}. Send the size that it has."
        raise CallFailed(Permanent(JobError("media_size_differs", message)))
    return int(size)


def _check_status(status: int) -> None:
    if status in (200, 206):
        return
    if status == 416:
        raise _empty()
    if status >= 500 or status in PASSING_STATUSES:
        raise _unreachable(f"answer {status}")
    if 300 <= status < 400:
        message = "The media's address redirects, which is not followed. Send the address that it redirects to."
        raise CallFailed(Permanent(JobError("media_not_available", message, {"http_status": status})))
    message = f"The media cannot be read: its address answered {status}. Upload it again or make a new address."
    raise CallFailed(Permanent(JobError("media_not_available", message, {"http_status": status})))


def _empty() -> CallFailed:
    return CallFailed(Permanent(JobError("media_empty", "The media file is empty.")))


def _unreachable(reason: str) -> CallFailed:
    return CallFailed(TryAgain(JobError("media_unreachable", "The media could not be read.", {"reason": reason})))
