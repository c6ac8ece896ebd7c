"""Fetching a post's media as the platforms do: from a public address, without following redirects."""

import hashlib
import ssl
from dataclasses import dataclass

import httpx

PULL_TIMEOUT_SECONDS = 30


class PullError(Exception):
    """The media could not be fetched; the message says why."""


@dataclass(frozen=True, slots=True)
class PulledMedia:
    """What was fetched. The bytes themselves are not kept."""

    size: int
    content_type: str
    sha256: str


async def pull(url: str, tls: ssl.SSLContext) -> PulledMedia:
    """Fetch `url` and measure it.

    Args:
        url: where the media is.
        tls: certificates to trust; made once, since making it takes longer than a local fetch.

    Raises:
        PullError: it could not be had, or the answer was not 200.
    """
    digest, size = hashlib.sha256(), 0
    try:
        async with (
            httpx.AsyncClient(timeout=PULL_TIMEOUT_SECONDS, verify=tls) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise PullError(f"{url} answered {response.status_code}")
            async for part in response.aiter_bytes():
                digest.update(part)
                size += len(part)
            content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PullError(f"{url} cannot be fetched: {type(error).__name__}") from error
    return PulledMedia(size, content_type, digest.hexdigest())
