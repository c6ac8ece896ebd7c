"""No address that a user sends makes this server connect to a private network: judged by traps that listen."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx
import pytest

from functions.jobs.outcomes import JobError
from functions.platforms import media
from functions.platforms.answers import CallFailed, Permanent
from functions.platforms.calls import Timeouts
from functions.platforms.media_urls import check_media_url
from functions.web.addresses import is_public
from functions.web.outside import AddressRefused, lookup, outside_client
from functions.web.services import Services
from tests.functions.conftest import make_settings
from tests.functions.hostile_addresses import PRIVATE, PUBLIC, hostile_urls

TIMEOUTS = Timeouts(connect=2, answer=2)


@dataclass
class Traps:
    """Servers that wait for a connection which must not come; all on one port."""

    port: int
    connections: list[str] = field(default_factory=list)


@pytest.fixture
async def traps() -> AsyncIterator[Traps]:
    """One on every local address that this machine has; a connection is answered like any web server does."""
    async with AsyncExitStack() as stack:
        first = socket.create_server(("0.0.0.0", 0))
        found = Traps(first.getsockname()[1])
        sockets = [first]
        with contextlib.suppress(OSError):  # a machine without IPv6
            sockets.append(socket.create_server(("::", found.port), family=socket.AF_INET6))

        async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.connections.append(str(writer.get_extra_info("sockname")[0]))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Type: video/mp4\r\n\r\nx")
            writer.close()
            await writer.wait_closed()

        for listener in sockets:
            await stack.enter_async_context(await asyncio.start_server(note, sock=listener))
        yield found


async def worst_answer(host: str, port: int) -> Sequence[str]:
    """Numbers as the system reads them, in every notation; and each name stands for this machine."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
    except OSError:
        return ["127.0.0.1"]
    return [str(address[0]) for *_, address in found]


async def test_no_address_that_a_user_sends_reaches_a_private_one(
    traps: Traps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enqueueing refuses them; and where one came past it, fetching does: nothing is even tried to connect to."""
    tried: list[str] = []

    connect = httpcore.AnyIOBackend.connect_tcp

    async def noted(backend: httpcore.AnyIOBackend, host: str, *others: Any) -> httpcore.AsyncNetworkStream:
        tried.append(host)
        return await connect(backend, host, *others)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", noted)
    sent = list(hostile_urls(traps.port))
    assert len(sent) >= 200
    settings = make_settings()
    async with outside_client(settings, worst_answer) as http:
        for url in sent:
            with pytest.raises(JobError) as refused:
                check_media_url(url, settings)
            assert refused.value.code == "media_url_not_allowed", url
            with pytest.raises((CallFailed, httpx.InvalidURL, UnicodeError)):
                await media.measure(http, url, TIMEOUTS)
    assert (tried, traps.connections) == ([], [])


async def test_the_trap_would_have_noticed(traps: Traps) -> None:
    async with httpx.AsyncClient() as plain:
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1"):
            await plain.get(f"http://{host}:{traps.port}/")
    assert len(traps.connections) == 4


async def test_a_name_that_stands_for_a_private_address_is_refused(traps: Traps) -> None:
    """Alone, and hidden behind a public one."""

    async def resolve(host: str, _port: int) -> Sequence[str]:
        kind, place, _ = host.split(".")
        address = PRIVATE[int(place)]
        return [address] if kind == "alone" else [PUBLIC, address]

    async with outside_client(make_settings(), resolve) as http:
        for place, address in enumerate(PRIVATE):
            for kind in ("alone", "hidden"):
                with pytest.raises(CallFailed) as refused:
                    await media.measure(http, f"http://{kind}.{place}.example:{traps.port}/", TIMEOUTS)
                assert isinstance(refused.value.failure, Permanent), address
                assert refused.value.failure.error.code == "media_url_not_allowed"
    assert traps.connections == []


async def test_a_name_that_changes_its_address_is_looked_up_once_a_connection(traps: Traps) -> None:
    """DNS rebinding: public when it is checked, private when it is used. Here it is checked as it is used."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    async with outside_client(make_settings(), resolve) as http:
        with pytest.raises(httpx.TransportError) as first:
            await http.get(f"http://turn.example:{traps.port}/", timeout=0.2)
        assert not isinstance(first.value, AddressRefused)
        assert asked == ["turn.example"], "a second lookup would have given the private address"
        with pytest.raises(AddressRefused):
            await http.get(f"http://turn.example:{traps.port}/", timeout=0.2)
    assert traps.connections == []


async def test_what_the_operator_has_named_may_be_private(traps: Traps) -> None:
    named = [
        make_settings(f"http://127.0.0.1:{traps.port}"),
        make_settings(media_allowed_hosts="127.0.0.1"),
        make_settings(media_allowed_hosts=f"cdn.example, 127.0.0.1:{traps.port}"),
        make_settings(tiktok_base_url=f"http://127.0.0.1:{traps.port}"),
    ]
    for settings in named:
        async with outside_client(settings) as http:
            assert (await http.get(f"http://127.0.0.1:{traps.port}/")).content == b"x"
    for settings in (make_settings("http://127.0.0.1:1"), make_settings(media_allowed_hosts="127.0.0.1:1")):
        async with outside_client(settings) as http:
            with pytest.raises(AddressRefused):
                await http.get(f"http://127.0.0.1:{traps.port}/")
    assert len(traps.connections) == len(named)


async def test_a_redirect_is_not_followed(traps: Traps) -> None:
    """Not even by a host that is allowed, and not to any address."""
    followed: list[str] = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        target = f"http://127.0.0.1:{traps.port}/" if path == "/private" else f"{path}x"
        followed.append(path)
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, outside_client(make_settings(media_allowed_hosts=address)) as http:
        for path in ("/private", "/public"):
            with pytest.raises(CallFailed) as refused:
                await media.measure(http, f"http://{address}{path}", TIMEOUTS)
            assert "redirects" in refused.value.failure.error.message
    assert followed == ["/private", "/public"]
    assert traps.connections == []


async def test_no_proxy_of_the_environment_and_no_socket_file_is_a_way_around(
    traps: Traps, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{traps.port}")

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1"]

    async with outside_client(make_settings(), resolve) as http:
        with pytest.raises(AddressRefused):
            await http.get("http://cdn.example/")
    assert traps.connections == []


async def test_the_certificate_is_held_against_the_name_not_the_address() -> None:
    """What is sent first names the host, so the server behind a shared address can find its certificate."""
    hello: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.append(await reader.read(2000))
        writer.close()
        await writer.wait_closed()

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, outside_client(make_settings(media_allowed_hosts="named.example"), resolve) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"https://named.example:{port}/")
    assert b"named.example" in hello[0]


async def test_a_name_without_an_address_may_be_tried_again() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    async with outside_client(make_settings(), resolve) as http:
        with pytest.raises(httpx.ConnectError) as failed:
            await http.get("https://cdn.example/")
    assert not isinstance(failed.value, AddressRefused)


async def test_a_resolver_that_hangs_does_not_hold_the_job() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    async with outside_client(make_settings(), resolve) as http:
        with pytest.raises(httpx.ConnectTimeout):
            await http.get("https://cdn.example/", timeout=0.05)


async def test_the_next_address_is_tried_when_one_does_not_answer(traps: Traps) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]

    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]  # nobody listens there on 127.0.0.2
    async with server, outside_client(make_settings(media_allowed_hosts="two.example"), resolve) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"http://two.example:{port}/")


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "192.0.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1"])
def test_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", [*PRIVATE, "", "cdn.example", "127.1", "0x7f.1", "1.1.1", "01.1.1.1"])
def test_everything_else_is_not(address: str) -> None:
    assert not is_public(address)


async def test_the_system_resolver_gives_addresses_and_not_names() -> None:
    assert "127.0.0.1" in await lookup("127.0.0.1", 80)


async def test_handlers_are_given_this_client_and_no_other(traps: Traps) -> None:
    services = Services(make_settings())
    with pytest.raises(AddressRefused):
        await services.outside.get(f"http://127.0.0.1:{traps.port}/")
    await services.close()
    assert traps.connections == []


async def test_no_server_leaves_a_cookie_for_the_calls_of_others() -> None:
    """Servers of users and of the project may share a domain, as all projects of a host do."""
    carried: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n")
        writer.write(b"Set-Cookie: big=" + b"A" * 3000 + b"; Domain=hosted.example; Path=/\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async def here(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        hosts = [f"{name}.hosted.example:{port}" for name in ("theirs", "ours")]
        async with outside_client(make_settings(media_allowed_hosts=",".join(hosts)), here) as http:
            for host in hosts:
                await http.get(f"http://{host}/")
    assert len(carried) == 2
    assert b"cookie" not in carried[1].lower()


async def test_the_sites_own_address_opens_no_private_network(traps: Traps) -> None:
    """Nothing of ours calls it, but any user may name it."""

    async def inside(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    settings = make_settings(site_url=f"http://app.corp.example:{traps.port}")
    async with outside_client(settings, inside) as http:
        with pytest.raises(AddressRefused):
            await http.get(f"http://app.corp.example:{traps.port}/")
    assert traps.connections == []
