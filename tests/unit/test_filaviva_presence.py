"""Views of presence and conversations that come, go and share a topic, on a server that is a script."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from filaviva.errors import Forbidden, InvalidRequest
from filaviva.live.conversation import NEW_MESSAGE, LiveConversation
from filaviva.live.presence import LivePresence
from tests.unit.phoenix import Phoenix, eventually, phoenix
from tests.unit.test_filaviva_watch import Table, context_of

__all__ = ["phoenix"]

COMPANY = UUID("00000000-0000-4000-8000-0000000000c0")


def tracked(phoenix: Phoenix) -> list[Any]:
    """What the server was told of the user's presence, in order."""
    return [message["payload"].get("payload") for message in phoenix.said("presence")]


async def is_live(view: LivePresence | LiveConversation) -> None:
    await eventually(lambda: view.is_live)


async def test_who_goes_online_before_the_topic_is_joined_is_shown_once_it_is(phoenix: Phoenix) -> None:
    async with context_of(phoenix, Table()) as context, LivePresence(context, COMPANY, name="Ana") as view:
        await view.go_online(status="free")
        await phoenix.until(lambda: tracked(phoenix) == [{"name": "Ana", "status": "free"}])


async def test_a_view_that_is_closed_while_it_waits_to_be_listed_holds_nobody_up(phoenix: Phoenix) -> None:
    async with context_of(phoenix, Table()) as context:
        async with LivePresence(context, COMPANY) as view:
            await is_live(view)
            waiting = asyncio.create_task(view.go_online())
            await phoenix.until(lambda: tracked(phoenix))  # and the server lists nobody
        async with asyncio.timeout(3):
            await waiting


async def test_a_view_that_is_closed_takes_its_presence_along_and_leaves_that_of_another(phoenix: Phoenix) -> None:
    async with context_of(phoenix, Table()) as context, LivePresence(context, COMPANY) as other:
        await is_live(other)
        async with LivePresence(context, COMPANY) as view:
            waiting = [asyncio.create_task(view.go_online(by="view"))]
            await phoenix.until(lambda: tracked(phoenix) == [{"by": "view"}])
            waiting.append(asyncio.create_task(other.go_online(by="other")))
            await phoenix.until(lambda: tracked(phoenix)[1:] == [{"by": "other"}])
            await other.go_offline()
            await phoenix.until(lambda: tracked(phoenix)[2:] == [{"by": "view"}])
        await phoenix.until(lambda: phoenix.said("presence")[3:])
        assert phoenix.said("presence")[3]["payload"]["event"] == "untrack"
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_a_limit_that_passes_ends_no_loop_and_a_missing_right_does(phoenix: Phoenix) -> None:
    phoenix.joins = ["refuse: ClientJoinRateLimitReached: Too many joins per second"]
    async with context_of(phoenix, Table()) as context, LivePresence(context, COMPANY) as view:
        waiting = asyncio.create_task(view.loaded())
        await eventually(lambda: view.error is not None)
        assert (await waiting).online_users == ()
    phoenix.joins = ["refuse: Unauthorized: You do not have permissions to read from this Channel topic: x"]
    async with context_of(phoenix, Table()) as context, LivePresence(context, COMPANY) as view:
        await eventually(lambda: view.error)
        with pytest.raises(Forbidden):
            await view.loaded()


async def test_a_server_that_acknowledges_nothing_does_not_hold_up_who_stops_typing(phoenix: Phoenix) -> None:
    async with context_of(phoenix, Table()) as context:
        async with LivePresence(context, COMPANY) as view:
            await is_live(view)
            for conversation in ("1", "2", "3"):
                await view.start_typing(conversation)
            phoenix.is_mute = True
            began = time.monotonic()
        assert time.monotonic() - began < 5


async def test_notifications_reach_a_slow_callback_one_at_a_time_and_in_order(phoenix: Phoenix) -> None:
    taken, running = list[int](), list[int]()

    async def take(message: Mapping[str, Any]) -> None:
        running.append(message["n"])
        await asyncio.sleep(0.02)
        taken.append(message["n"])
        assert running == taken

    async with context_of(phoenix, Table()) as context, LiveConversation(context, COMPANY, on_message=take) as view:
        await is_live(view)
        for number in range(5):
            await phoenix.tell("broadcast", {"event": NEW_MESSAGE, "payload": {"n": number}})
        await eventually(lambda: taken == list(range(5)))


async def test_a_presence_that_is_not_json_is_refused(phoenix: Phoenix) -> None:
    async with context_of(phoenix, Table()) as context, LivePresence(context, COMPANY) as view:
        with pytest.raises(InvalidRequest, match="The presence"):
            await view.go_online(since=object())
        await view.go_online(since=COMPANY)
        await phoenix.until(lambda: tracked(phoenix) == [{"since": str(COMPANY)}])


async def test_a_notification_may_close_the_conversation(phoenix: Phoenix) -> None:
    taken = list[int]()

    async def take(message: Mapping[str, Any]) -> None:
        await view.close()
        taken.append(message["n"])

    async with context_of(phoenix, Table()) as context, LiveConversation(context, COMPANY, on_message=take) as view:
        tasks = asyncio.all_tasks()
        await is_live(view)
        for number in range(3):
            await phoenix.tell("broadcast", {"event": NEW_MESSAGE, "payload": {"n": number}})
        await eventually(lambda: taken == [0])
        await eventually(lambda: not [task for task in tasks if "LiveView" in repr(task) and not task.done()])
