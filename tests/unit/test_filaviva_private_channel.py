"""Private topics: shared, acknowledged, and present again after every rejoin."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from filaviva.errors import PayloadTooLarge, Unavailable
from filaviva.live.private_channel import PrivateChannel, Rooms
from filaviva.realtime.presence import PresenceState
from tests.unit.phoenix import Message, Phoenix, connected, eventually, phoenix
from tests.unit.test_filaviva_watch import ANN, TOKEN

__all__ = ["phoenix"]


def metas(*entries: dict[str, Any]) -> Message:
    return {"metas": list(entries)}


def test_presence_merges_joins_leaves_and_changes() -> None:
    state = PresenceState()
    state.replace({"ann": metas({"phx_ref": "1", "at": "desk"}), "empty": metas()})
    state.merge({"joins": {"ann": metas({"phx_ref": "2", "at": "phone"}), "ben": metas({"phx_ref": "3"})}})
    assert state.metas == {"ann": ({"at": "desk"}, {"at": "phone"}), "ben": ({},)}
    changed = metas({"phx_ref": "4", "phx_ref_prev": "1", "at": "door"})
    state.merge({"joins": {"ann": changed}, "leaves": {"ann": metas({"phx_ref": "1"}), "ben": metas({"phx_ref": "3"})}})
    assert state.metas == {"ann": ({"at": "phone"}, {"at": "door"})}
    state.replace({})
    assert state.metas == {}


async def joined(phoenix: Phoenix, times: int = 1) -> None:
    await phoenix.until(lambda: len(phoenix.said("phx_join")) == times)


async def test_a_topic_is_joined_privately_under_the_users_id_and_once_for_all_views(phoenix: Phoenix) -> None:
    async with connected(phoenix, TOKEN) as connection:
        rooms = Rooms(connection)
        heard: list[tuple[str, Mapping[str, Any]]] = []
        channels = [
            PrivateChannel(rooms, "conversa:1", on_broadcast=lambda *said: heard.append(said)) for _ in range(2)
        ]
        channels[0].on_presence = lambda: 1 / 0  # type: ignore[assignment]
        async with channels[0], channels[1]:
            await joined(phoenix)
            join = phoenix.said("phx_join")[0]
            assert join["topic"] == "realtime:conversa:1"
            assert join["payload"]["config"]["private"] is True
            assert join["payload"]["config"]["presence"] == {"key": ANN, "enabled": True}
            await phoenix.tell("broadcast", {"type": "broadcast", "event": "typing_start", "payload": {"by": "ben"}})
            await eventually(lambda: len(heard) == 2)
            assert heard == [("typing_start", {"by": "ben"})] * 2
            assert all(channel.is_live for channel in channels)
        assert not phoenix.open_topics
        async with PrivateChannel(rooms, "conversa:1"):
            await joined(phoenix, 2)


async def test_what_is_tracked_is_tracked_again_after_a_rejoin(phoenix: Phoenix) -> None:
    async with connected(phoenix, TOKEN) as connection, PrivateChannel(Rooms(connection), "presence:1") as channel:
        await channel.track({"status": "online"})
        await phoenix.until(lambda: phoenix.said("presence"))
        await phoenix.sockets[0].close(1011)
        await phoenix.until(lambda: len(phoenix.said("presence")) == 2)
        tracked = [message["payload"]["payload"] for message in phoenix.said("presence")]
        assert tracked == [{"status": "online"}] * 2
        await channel.untrack()
        await phoenix.until(lambda: len(phoenix.said("presence")) == 3)
        assert phoenix.said("presence")[2]["payload"]["event"] == "untrack"


async def test_states_that_follow_quickly_are_joined_to_the_newest(phoenix: Phoenix) -> None:
    async with connected(phoenix, TOKEN) as connection, PrivateChannel(Rooms(connection), "presence:1") as channel:
        for number in range(100):
            await channel.track({"n": number})
            if number % 20 == 0:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        assert len(phoenix.said("presence")) <= 4


async def test_presence_is_shown_and_forgotten_when_the_channel_is_lost(phoenix: Phoenix) -> None:
    async with connected(phoenix, TOKEN) as connection:
        news: asyncio.Queue[int] = asyncio.Queue()
        channel = PrivateChannel(
            Rooms(connection), "presence:1", on_presence=lambda: news.put_nowait(len(channel.presence))
        )
        async with channel:
            await joined(phoenix)
            await phoenix.tell("presence_state", {"ben": metas({"phx_ref": "1", "status": "online"})})
            while await news.get() != 1:
                pass
            assert channel.presence == {"ben": ({"status": "online"},)}
            await phoenix.tell("phx_close", {})
            while await news.get() != 0:
                pass


async def test_a_message_is_acknowledged_or_refused(phoenix: Phoenix) -> None:
    async with connected(phoenix, TOKEN) as connection:
        channel = PrivateChannel(Rooms(connection), "conversa:1")
        with pytest.raises(Unavailable):
            await channel.send("hello", {})
        async with channel:
            with pytest.raises(Unavailable, match="not joined"):
                await channel.send("hello", {})
            await joined(phoenix)
            await eventually(lambda: channel.is_live)
            await channel.send("hello", {"a": 1})
            said = phoenix.said("broadcast")[0]["payload"]
            assert said == {"type": "broadcast", "event": "hello", "payload": {"a": 1}}
            phoenix.broadcast_refusal = "payload_size_exceeded"
            with pytest.raises(PayloadTooLarge):
                await channel.send("hello", {"a": 1})


async def test_a_topic_that_is_refused_is_told(phoenix: Phoenix) -> None:
    phoenix.joins = ["refuse: Unauthorized: You do not have permissions to read from this Channel topic: x"]
    async with connected(phoenix, TOKEN) as connection, PrivateChannel(Rooms(connection), "conversa:1") as channel:
        await eventually(lambda: channel.error is not None)
        assert channel.error is not None
        assert (channel.error.code, channel.is_refused) == ("realtime_forbidden", True)


async def test_a_server_that_ends_the_channel_after_each_join_is_asked_more_and_more_seldom(phoenix: Phoenix) -> None:
    async with connected(phoenix, TOKEN) as connection, PrivateChannel(Rooms(connection), "presence:1"):
        moments = list[float]()
        for times in range(1, 6):
            await joined(phoenix, times)
            moments.append(asyncio.get_running_loop().time())
            await phoenix.tell("phx_close", {})
        assert moments[4] - moments[3] > 0.4  # 0.8 s at most; without it, about 0.1
