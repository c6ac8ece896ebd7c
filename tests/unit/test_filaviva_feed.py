"""A feed stays joined through everything a server and a network can do to it, and many views share it.

The far end is a script that speaks the Realtime protocol, so that each fault comes when a test wants it.
"""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from filaviva.errors import FilaVivaError, Forbidden, InvalidRequest, NotSignedIn, RateLimited, Unavailable
from filaviva.realtime.connection import Connection
from filaviva.realtime.feed import Change, Feeds
from filaviva.realtime.socket import Socket
from tests.unit.phoenix import QUICK, Ear, Message, Phoenix, confirmation, connected, phoenix

__all__ = ["phoenix"]

ROW = {"id": "1", "version": 1}
FILTER_ERROR = "Unable to subscribe to changes with given parameters. Please check Realtime is enabled"


@asynccontextmanager
async def following(
    connection: Connection, row_filter: str = "id=eq.1", feeds: Feeds | None = None
) -> AsyncIterator[Ear]:
    ear = Ear()
    place = (feeds or Feeds(connection)).follow(ear, "jobs", row_filter)
    try:
        yield ear
    finally:
        await place.close()


async def test_changes_flow_only_when_the_server_says_so(phoenix: Phoenix) -> None:
    phoenix.joins = ["joined only"]
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next(0.2) is None
        await phoenix.tell("system", confirmation())
        assert await ear.next() == "joined"
        await phoenix.change(record=ROW)
        assert await ear.next() == Change("UPDATE", "1", ROW)


async def test_a_feed_names_its_rows_and_its_user(phoenix: Phoenix) -> None:
    async with connected(phoenix, "user-token") as connection, following(connection, "id=eq.42") as ear:
        assert await ear.next() == "joined"
        payload = phoenix.said("phx_join")[0]["payload"]
        assert payload["access_token"] == "user-token"
        wanted = {"event": "*", "schema": "public", "table": "jobs", "filter": "id=eq.42"}
        assert payload["config"]["postgres_changes"] == [wanted]


async def test_a_second_confirmation_asks_for_a_read(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next() == "joined"
        await phoenix.tell("system", confirmation())
        assert await ear.next() == "joined"


@pytest.mark.parametrize("how", ["refuse", "system error"])
async def test_a_failed_join_is_tried_again_on_a_new_topic(phoenix: Phoenix, how: str) -> None:
    phoenix.joins = [how]
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next() == "joined"
        topics = [message["topic"] for message in phoenix.said("phx_join")]
        assert len(set(topics)) == len(topics) == 2


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("refuse: Unauthorized: You do not have permissions to read from this Channel topic: x", Forbidden),
        ("refuse: JwtSignatureError: Failed to validate JWT signature", NotSignedIn),
        (f"system error: {FILTER_ERROR}", InvalidRequest),
    ],
)
async def test_a_join_refused_for_good_is_told_and_tried_again_with_the_next_token(
    phoenix: Phoenix, how: str, error: type[FilaVivaError]
) -> None:
    phoenix.joins = [how]
    async with connected(phoenix, "old") as connection, following(connection) as ear:
        assert type(await ear.next()) is error
        assert await ear.next(0.4) is None
        assert len(phoenix.said("phx_join")) == 1
        await connection.set_token("new")
        assert await ear.next() == "joined"


async def test_a_join_above_a_limit_is_told(phoenix: Phoenix) -> None:
    phoenix.joins = ["refuse: ChannelRateLimitReached: Too many channels"]
    async with connected(phoenix) as connection, following(connection) as ear:
        assert isinstance(await ear.next(), RateLimited)


@pytest.mark.parametrize("event", ["phx_close", "phx_error"])
async def test_a_channel_that_the_server_ends_is_joined_again(phoenix: Phoenix, event: str) -> None:
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next() == "joined"
        await phoenix.tell(event, {})
        assert [await ear.next(), await ear.next()] == ["lost", "joined"]
        await phoenix.change(record=ROW)
        assert await ear.next() == Change("UPDATE", "1", ROW)
        assert len(phoenix.sockets) == 1


async def test_the_late_end_of_a_former_join_ends_nothing(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next() == "joined"
        await phoenix.tell("phx_close", {}, ref="of another join")
        await phoenix.change(record=ROW)
        assert await ear.next() == Change("UPDATE", "1", ROW)


@pytest.mark.parametrize("code", [1000, 1001, 1011])
async def test_a_socket_that_the_server_closes_is_replaced(phoenix: Phoenix, code: int) -> None:
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next() == "joined"
        await phoenix.sockets[0].close(code)
        assert [await ear.next(), await ear.next()] == ["lost", "joined"]
        assert connection.meter.snapshot().total_connections == 2
        assert connection.meter.snapshot().reconnection_rate > 0


async def test_a_server_that_is_away_is_asked_until_it_is_back(phoenix: Phoenix) -> None:
    await phoenix.stop()
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next(0.5) is None
        await phoenix.start()
        assert await ear.next() == "joined"
        assert connection.meter.snapshot().error_rate > 0


async def test_a_peer_that_falls_silent_is_noticed_within_two_heartbeats(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next() == "joined"
        await phoenix.until(lambda: phoenix.said("heartbeat"))
        phoenix.is_mute, since = True, time.monotonic()
        assert await ear.next(4 * QUICK.heartbeat_seconds) == "lost"
        assert time.monotonic() - since < 2.5 * QUICK.heartbeat_seconds
        phoenix.is_mute = False
        assert await ear.next() == "joined"


async def test_an_application_that_blocks_the_loop_is_not_taken_for_a_dead_peer(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next() == "joined"
        for _ in range(3):
            time.sleep(0.8 * QUICK.heartbeat_seconds)  # noqa: ASYNC251 - that is what it does
            await asyncio.sleep(0.05)
        assert await ear.next(0.5) is None
        assert len(phoenix.sockets) == 1


async def test_views_of_the_same_rows_share_a_channel(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection:
        feeds = Feeds(connection)
        async with following(connection, feeds=feeds) as first:
            assert await first.next() == "joined"
            async with following(connection, feeds=feeds) as second:
                assert await second.next() == "joined"
                await phoenix.change(record=ROW)
                assert await first.next() == await second.next() == Change("UPDATE", "1", ROW)
            await phoenix.change(record={**ROW, "version": 2})
            assert (await first.next()).record["version"] == 2
            assert len(phoenix.said("phx_join")) == 1
            assert not phoenix.said("phx_leave")
        await phoenix.until(lambda: phoenix.said("phx_leave"))
        assert not phoenix.open_topics


async def test_a_feed_of_one_owner_serves_many_single_rows(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection:
        feeds, ears = Feeds(connection), [Ear() for _ in range(300)]
        places = [
            feeds.follow(ear, "jobs", "user_id=eq.u", row_ids=frozenset((str(number),)))
            for number, ear in enumerate(ears)
        ]
        assert [await ear.next() for ear in ears] == ["joined"] * 300
        await phoenix.change(record={"id": "7", "version": 1})
        assert (await ears[7].next()).row_id == "7"
        assert all(ear.heard.empty() for ear in ears)
        assert len(phoenix.open_topics) == 1
        for place in places:
            await place.close()
        assert not phoenix.open_topics


async def test_the_socket_stays_a_while_for_the_next_view_and_then_closes(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection:
        for _ in range(2):
            async with following(connection) as ear:
                assert await ear.next() == "joined"
        assert len(phoenix.sockets) == 1
        await asyncio.wait_for(phoenix.sockets[0].wait_closed(), 5)
        assert not connection.is_connected
        async with following(connection) as ear:
            assert await ear.next() == "joined"
        assert len(phoenix.sockets) == 2


@pytest.mark.parametrize(
    ("change", "heard"),
    [
        ({"kind": "DELETE", "old_record": {"id": "1"}}, Change("DELETE", "1", None)),
        ({"errors": ["Error 413: Payload Too Large"], "record": {"id": "1"}}, Change("UPDATE", "1", None)),
        ({"errors": ["Error 401: Unauthorized"], "record": {}}, Change("UPDATE", None, None)),
    ],
)
async def test_a_change_without_the_new_row_is_told_as_such(phoenix: Phoenix, change: Message, heard: Change) -> None:
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next() == "joined"
        await phoenix.change(**change)
        assert await ear.next() == heard


async def test_an_event_of_two_mebibytes_arrives(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection, following(connection) as ear:
        assert await ear.next() == "joined"
        await phoenix.change(record={**ROW, "payload": "x" * (2 << 20)})
        assert len((await ear.next()).record["payload"]) == 2 << 20
        assert len(phoenix.sockets) == 1


async def test_a_listener_that_fails_costs_the_others_nothing(
    phoenix: Phoenix, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Ear):
        def changed(self, change: Change) -> None:
            raise ValueError(change.kind)

    async with connected(phoenix) as connection:
        feeds = Feeds(connection)
        place = feeds.follow(Broken(), "jobs", "id=eq.1")
        async with following(connection, feeds=feeds) as ear:
            assert await ear.next() == "joined"
            await phoenix.change(record=ROW)
            assert await ear.next() == Change("UPDATE", "1", ROW)
        await place.close()
    assert "could not be taken" in caplog.text


async def test_a_new_token_reaches_joined_channels_and_later_joins(phoenix: Phoenix) -> None:
    async with connected(phoenix, "old") as connection, following(connection) as ear:
        assert await ear.next() == "joined"
        await connection.set_token("new")
        await phoenix.until(lambda: phoenix.said("access_token"))
        assert phoenix.said("access_token")[0]["payload"] == {"access_token": "new"}
        await phoenix.sockets[0].close(1011)
        await phoenix.until(lambda: len(phoenix.said("phx_join")) == 2)
        assert phoenix.said("phx_join")[1]["payload"]["access_token"] == "new"


async def test_one_client_joins_no_faster_than_its_pace(phoenix: Phoenix) -> None:
    async with connected(phoenix, settings=dataclasses.replace(QUICK, joins_per_second=20)) as connection:
        feeds, since = Feeds(connection), time.monotonic()
        places = [feeds.follow(Ear(), "jobs", f"id=eq.{number}") for number in range(11)]
        await phoenix.until(lambda: len(phoenix.open_topics) == len(places))
        assert time.monotonic() - since > 0.45
        for place in places:
            await place.close()


async def test_closing_the_connection_leaves_every_channel_and_is_for_good(phoenix: Phoenix) -> None:
    connection = Connection(phoenix.url, "anon", settings=QUICK)
    ear, feeds = Ear(), Feeds(connection)
    feeds.follow(ear, "jobs", "id=eq.1")
    assert await ear.next() == "joined"
    await connection.close()
    assert await ear.next() == "lost"
    await phoenix.sockets[0].wait_closed()
    with pytest.raises(FilaVivaError) as caught:
        feeds.follow(Ear(), "jobs", "id=eq.2")
    assert caught.value.code == "client_closed"


async def test_leaving_that_is_given_up_still_frees_the_connection(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection:
        ear = Ear()
        place = Feeds(connection).follow(ear, "jobs", "id=eq.1")
        assert await ear.next() == "joined"
        phoenix.is_mute = True  # the leave is not answered
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await place.close()
        async with asyncio.timeout(5):  # nobody holds the socket any more
            await phoenix.sockets[0].wait_closed()


async def test_a_url_in_capitals_is_one_and_no_error_holds_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "filaviva")
    async with connected(Phoenix()) as connection:
        with pytest.raises(Unavailable) as caught:
            await Socket.open("HTTP://127.0.0.1:9/realtime/v1", "s3cret", 1, connection.meter.answered)
        assert "isn't a valid URI" not in caught.value.message
        with pytest.raises(Unavailable) as caught:
            await Socket.open("http://a b/#c", "s3cret", 1, connection.meter.answered)
        assert "s3cret" not in str(caught.value)
