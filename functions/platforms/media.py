"""A post's media: which addresses may be fetched, and streaming a part of a file without holding it in memory."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx

from functions.jobs.outcomes import JobError
from functions.platforms.answers import CallFailed, Permanent, TryAgain
from functions.platforms.calls import Timeouts
from functions.platforms.chunks import Chunk
from functions.settings import Settings

TOTAL = re.compile(r"bytes .+/(\d+)", re.ASCII)
PASSING_STATUSES = frozenset({408, 425, 429})


def check_media_url(url: str, settings: Settings) -> None:
    """Refuse an address that media may not be fetched from.

    Allowed are https addresses, the project's own origin, and the hosts of MEDIA_ALLOWED_HOSTS.

    Raises:
        JobError: `media_url_not_allowed`.
    """
    try:
        address, project = httpx.URL(url), httpx.URL(settings.supabase_url)
    except httpx.InvalidURL:
        raise _not_allowed("is not a valid address") from None
    if address.scheme not in ("http", "https") or not address.host or address.userinfo:
        raise _not_allowed("must start with https:// and hold no user name")
    own = (address.scheme, address.netloc) == (project.scheme, project.netloc)
    listed = {address.host, address.netloc.decode("ascii")} & set(settings.media_allowed_hosts)
    if not (own or listed or address.scheme == "https"):
        raise _not_allowed("must start with https://, or belong to the project or to MEDIA_ALLOWED_HOSTS")


async def measure(http: httpx.AsyncClient, url: str, timeouts: Timeouts) -> int:
    """The size of the file at `url` in bytes, as its server tells it.

    Raises:
        CallFailed: permanent when the file is not there or empty, to be tried again when its server is not well.
    """
    # Asks for one byte instead of using HEAD, which signed addresses often do not allow.
    async with _get(http, url, Chunk(0, 0), timeouts) as response:
        match = TOTAL.fullmatch(response.headers.get("content-range", ""))
        size = match.group(1) if match else response.headers.get("content-length", "")
    if not size.isdecimal():
        raise CallFailed(Permanent(JobError("media_size_unknown", "The media's server does not tell the file's size.")))
    if int(size) == 0:
        raise _empty()
    return int(size)


@asynccontextmanager
async def open_chunk(
    http: httpx.AsyncClient, url: str, chunk: Chunk, timeouts: Timeouts
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The bytes of `chunk` of the file at `url`, as they arrive; exactly as many as it has.

    Raises:
        CallFailed: as `measure`, and to be tried again when the file ends too early.
    """
    async with (
        _get(http, url, chunk, timeouts) as response,
        aclosing(_cut(response, 0 if response.status_code == 206 else chunk.first, chunk.length)) as parts,
    ):
        yield parts


@asynccontextmanager
async def _get(http: httpx.AsyncClient, url: str, chunk: Chunk, timeouts: Timeouts) -> AsyncIterator[httpx.Response]:
    headers = {"Range": f"bytes={chunk.first}-{chunk.last}", "Accept-Encoding": "identity"}
    request = http.build_request("GET", url, headers=headers, timeout=timeouts.for_answer())
    try:
        response = await http.send(request, stream=True, follow_redirects=False)
    except httpx.TransportError as error:
        raise _unreachable(type(error).__name__) from error
    try:
        _check_status(response.status_code)
        yield response
    finally:
        await response.aclose()


async def _cut(response: httpx.Response, skip: int, length: int) -> AsyncGenerator[bytes, None]:
    """`length` bytes after the first `skip`, which a server sends when it does not know ranges."""
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


def _check_status(status: int) -> None:
    if status in (200, 206):
        return
    if status == 416:
        raise _empty()
    if status >= 500 or status in PASSING_STATUSES:
        raise _unreachable(f"answer {status}")
    message = f"The media cannot be read: its address answered {status}. Upload it again or make a new address."
    raise CallFailed(Permanent(JobError("media_not_available", message, {"http_status": status})))


def _empty() -> CallFailed:
    return CallFailed(Permanent(JobError("media_empty", "The media file is empty.")))


def _unreachable(reason: str) -> CallFailed:
    return CallFailed(TryAgain(JobError("media_unreachable", "The media could not be read.", {"reason": reason})))


def _not_allowed(problem: str) -> JobError:
    return JobError("media_url_not_allowed", f"The media's address {problem}.")
