"""The HTTP client for everything outside: it connects to public addresses, and to those the operator has named.

Addresses of media come from users, so they are judged where the connection is made: the name is resolved
once, every address found is looked at, and the connection goes to one of exactly these. A name that answers
differently the next time (DNS rebinding) gains nothing. Name, `Host` and certificate stay those of the URL.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpcore
import httpx

from functions.settings import Settings
from functions.web.addresses import is_public

OUTSIDE_TIMEOUT = httpx.Timeout(30, connect=10)
LONGEST_LOOKUP_SECONDS = 10
MOST_ADDRESSES = 4
"""How many addresses of one name are tried, at most."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
SocketOptions = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]]


class AddressRefused(httpx.ConnectError):
    """The host is, or its name stands for, an address that is not public. Nothing was connected to."""


def outside_client(settings: Settings, resolve: Resolve | None = None) -> httpx.AsyncClient:
    """A client that cannot be led into private networks. It takes no proxy from the environment.

    Args:
        settings: `operators_addresses` and MEDIA_ALLOWED_HOSTS may be private: development has all on loopback.
        resolve: gives the IP addresses of a host; the system's resolver by default.
    """
    return httpx.AsyncClient(
        transport=_Transport(_trusted(settings), resolve or lookup),
        timeout=OUTSIDE_TIMEOUT,
        # One client serves all users: a cookie would go from the server of one to the calls of another, and a
        # server of a shared domain could have one sent to all the others there, this project's Storage among them.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def operators_addresses(settings: Settings) -> frozenset[str]:
    """The project's API and the servers that the operator has put in the place of the platforms', as `host:port`."""
    fields = type(settings).model_fields
    set_ = {
        httpx.URL(value)
        for name, value in settings.model_dump().items()
        if (name == "supabase_url" or name.endswith("_base_url")) and value not in (None, fields[name].default)
    }
    return frozenset(map(host_and_port, set_))


def host_and_port(url: httpx.URL) -> str:
    """`host:port` of a web address, the host in ASCII and without brackets."""
    return f"{url.raw_host.decode('ascii')}:{url.port or (443 if url.scheme == 'https' else 80)}"


async def lookup(host: str, port: int) -> Sequence[str]:
    """The IP addresses of `host`, in the order in which the system prefers them.

    Raises:
        OSError: there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own transport with other connections under it."""

    def __init__(self, trusted: frozenset[str], resolve: Resolve) -> None:
        context = httpx.create_ssl_context()
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20)
        super().__init__(verify=context, limits=limits)
        if not isinstance(self._pool, httpcore.AsyncConnectionPool):  # httpx has no public way to give it a backend
            raise TypeError("this version of httpx keeps its connections elsewhere: they could not be checked")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_CheckedBackend(trusted, resolve),
        )


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to checked addresses only."""

    def __init__(self, trusted: frozenset[str], resolve: Resolve) -> None:
        self._trusted, self._resolve = trusted, resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that answers.

        Raises:
            AddressRefused: one of them is not public.
            httpcore.ConnectError, httpcore.ConnectTimeout: there is none, or none answers.
        """
        ends = time.monotonic() + (timeout or OUTSIDE_TIMEOUT.connect or 0)
        addresses = await self._addresses(host, port, min(ends - time.monotonic(), LONGEST_LOOKUP_SECONDS))
        last: Exception | None = None
        for place, address in enumerate(addresses):
            share = max(ends - time.monotonic(), 0.001) / (len(addresses) - place)
            try:
                return await self._network.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: nothing outside is a file of this machine."""
        raise AddressRefused(f"{path} is not a public address")

    async def sleep(self, seconds: float) -> None:
        """Wait, between attempts to connect."""
        await self._network.sleep(seconds)

    async def _addresses(self, host: str, port: int, seconds: float) -> Sequence[str]:
        try:
            async with asyncio.timeout(seconds):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} could not be resolved in time") from None
        except (OSError, UnicodeError) as error:  # the second is a name that cannot be one
            raise httpcore.ConnectError(f"{host} could not be resolved") from error
        if not {host, f"{host}:{port}"} & self._trusted and not all(map(is_public, addresses)):
            raise AddressRefused(f"{host} is not a public address")
        return addresses[:MOST_ADDRESSES]


def _trusted(settings: Settings) -> frozenset[str]:
    """Hosts (`host` or `host:port`) that may be anywhere: the operator has written them into the settings."""
    listed = (host.replace("[", "").replace("]", "") for host in settings.media_allowed_hosts)
    return operators_addresses(settings) | frozenset(listed)
