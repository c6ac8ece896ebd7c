"""Presence on public channels: who is there, and how the others hear of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from realtime import AsyncRealtimeClient

from devstack.cluster import Cluster
from tests.wire.realtime_support import Json, RawClient, Server, database_of_module, serve, sign, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

OK: Json = {"status": "ok", "response": {}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_presence") as database:
        async with serve(database) as running:
            yield running


async def track(client: RawClient, data: Any, event: str = "track") -> Json:
    """Track and return the payload of the answer."""
    ref = await client.send("presence", {"type": "presence", "event": event, "payload": data})
    reply = await client.until(lambda frame: frame["event"] == "phx_reply")
    assert reply["ref"] == ref
    payload: Json = reply["payload"]
    return payload


async def diff(client: RawClient) -> Json:
    """The next diff."""
    frame = await client.receive()
    assert (frame["event"], frame["ref"]) == ("presence_diff", None)
    payload: Json = frame["payload"]
    return payload


def present(key: str) -> Json:
    return {"presence": {"key": key, "enabled": True}}


async def test_the_state_follows_the_join_and_lists_who_is_there(server: Server) -> None:
    async with RawClient.open(server) as one, RawClient.open(server) as two:
        await one.join(**present("one"))
        empty = await one.receive()
        await track(one, {"online": True})
        told = await diff(one)
        await two.join(**present("two"))
        state = await two.receive()
    assert empty == {"event": "presence_state", "payload": {}, "ref": None, "topic": "realtime:room"}
    meta = told["joins"]["one"]["metas"][0]
    assert meta == {"online": True, "phx_ref": meta["phx_ref"]}
    assert meta["phx_ref"]
    assert told["leaves"] == {}
    assert state["payload"] == {"one": {"metas": [meta]}}


async def test_other_data_replaces_the_entry_in_one_diff_and_the_same_data_changes_nothing(server: Server) -> None:
    async with RawClient.open(server) as mover, RawClient.open(server) as watcher:
        await mover.join(presence={"key": "mover"})
        await watcher.join()
        await track(mover, {"at": 1})
        first = (await diff(watcher))["joins"]["mover"]["metas"][0]
        assert await track(mover, {"at": 1}) == OK
        assert await track(mover, {"at": 2}, event="TRACK") == OK
        second = await diff(watcher)
    meta = second["joins"]["mover"]["metas"][0]
    assert meta == {"at": 2, "phx_ref": meta["phx_ref"], "phx_ref_prev": first["phx_ref"]}
    assert meta["phx_ref"] != first["phx_ref"]
    assert second["leaves"] == {"mover": {"metas": [first]}}


async def test_members_with_one_key_are_several_entries_of_it(server: Server) -> None:
    async with RawClient.open(server) as one, RawClient.open(server) as two, RawClient.open(server) as late:
        await one.join(presence={"key": "same"})
        await two.join(presence={"key": "same"})
        await track(one, {"n": 1})
        await track(two, {"n": 2})
        await late.join(**present("late"))
        state = await late.receive()
    assert [meta["n"] for meta in state["payload"]["same"]["metas"]] == [1, 2]


@pytest.mark.parametrize("way", ["untrack", "leave", "rejoin", "loss"])
async def test_whoever_goes_is_reported_once(server: Server, way: str) -> None:
    async with RawClient.open(server) as watcher, RawClient.open(server) as goer:
        await watcher.join()
        await goer.join(presence={"key": "goer"})
        await track(goer, {"here": 1})
        joined = await diff(watcher)
        if way == "untrack":
            assert await track(goer, {}, event="untrack") == OK
            assert await track(goer, {}, event="untrack") == OK
        elif way == "leave":
            await goer.send("phx_leave", {})
        elif way == "rejoin":
            await goer.join(presence={"key": "goer"})
        else:
            await goer.connection.close()
        assert await diff(watcher) == {"joins": {}, "leaves": joined["joins"]}
        ref = await watcher.send("heartbeat", {}, "phoenix")
        assert (await watcher.receive())["ref"] == ref


async def test_the_end_of_the_token_ends_the_presence(server: Server) -> None:
    async with RawClient.open(server) as watcher, RawClient.open(server) as goer:
        await watcher.join()
        await goer.join(presence={"key": "goer"}, token=user("u", seconds=0.4))
        await track(goer, {})
        await diff(watcher)
        assert list((await diff(watcher))["leaves"]) == ["goer"]


async def test_what_cannot_be_tracked_is_answered(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.join()
        not_a_map = await track(client, ["list"])
        unknown = await track(client, {}, event="dance")
    assert not_a_map == {"status": "error", "response": {"reason": "Presence track payload must be a map"}}
    assert unknown == {"status": "error", "response": {}}


async def test_without_a_key_each_member_gets_one_of_its_own(server: Server) -> None:
    async with RawClient.open(server) as one, RawClient.open(server) as two:
        await one.join()
        await two.join(presence={"key": ""})
        await track(one, {})
        await track(two, {})
        keys = [list((await diff(two))["joins"]) for _ in range(1)]
    assert len(keys[0][0]) == 36


async def test_two_python_clients_see_each_other_come_and_go(server: Server) -> None:
    one, two = (AsyncRealtimeClient(f"{server.url}/realtime/v1", sign()) for _ in range(2))
    events: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    try:
        watched = one.channel("room", {"config": {"private": False, "broadcast": None, "presence": None}})
        watched.on_presence_join(lambda key, _old, _new: events.put_nowait(("join", key)))
        watched.on_presence_leave(lambda key, _old, _new: events.put_nowait(("leave", key)))
        await watched.subscribe()
        options: Any = {"config": {"presence": {"key": "two", "enabled": True}}}
        there = two.channel("room", options)
        await there.subscribe()
        await there.track({"online": True})
        async with asyncio.timeout(5):
            assert await events.get() == ("join", "two")
            assert "two" in watched.presence_state()
            await there.untrack()
            assert await events.get() == ("leave", "two")
        assert watched.presence_state() == {}
    finally:
        await one.close()
        await two.close()
