"""Typing indicators, by a clock that the tests move."""

import asyncio

from filaviva.errors import Unavailable
from filaviva.live.typing import TypingSender, TypingTimes, TypingUser, TypingUsers


class Clock:
    """Seconds, set by the test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def users(clock: Clock) -> TypingUsers:
    return TypingUsers("me", TypingTimes(), clock)


def start(user_id: str, **more: object) -> dict[str, object]:
    return {"user_id": user_id, **more}


def test_several_tabs_of_one_person_count_once() -> None:
    typing = users(Clock())
    assert typing.heard("typing_start", start("ana", name="Ana"))
    assert not typing.heard("typing_start", start("ana", name="Ana"))
    assert typing.users == [TypingUser("ana", "Ana")]


def test_whoever_began_first_comes_first() -> None:
    typing = users(Clock())
    for user_id in ("ana", "rui", "ana"):
        typing.heard("typing_start", start(user_id))
    assert [user.user_id for user in typing.users] == ["ana", "rui"]


def test_a_stop_takes_it_back() -> None:
    typing = users(Clock())
    typing.heard("typing_start", start("ana"))
    assert typing.heard("typing_stop", start("ana"))
    assert not typing.heard("typing_stop", start("ana"))
    assert typing.users == []


def test_ones_own_typing_is_not_shown() -> None:
    typing = users(Clock())
    assert not typing.heard("typing_start", start("me"))
    assert typing.users == []


def test_who_was_not_heard_of_for_ten_seconds_is_forgotten() -> None:
    clock = Clock()
    typing = users(clock)
    typing.heard("typing_start", start("ana"))
    clock.now += 9.9
    assert not typing.clean()
    assert len(typing.users) == 1
    clock.now += 0.1
    assert typing.users == []
    assert typing.clean()
    assert not typing


def test_who_types_on_is_not_forgotten() -> None:
    clock = Clock()
    typing = users(clock)
    for _ in range(5):
        typing.heard("typing_start", start("ana"))
        clock.now += 5
    assert len(typing.users) == 1


def test_what_is_no_indicator_is_ignored() -> None:
    typing = users(Clock())
    assert not typing.heard("typing_start", {})
    assert not typing.heard("typing_start", {"user_id": 7})
    assert not typing.heard("message_notification", start("ana"))
    typing.heard("typing_start", start("ana", name=7))
    assert typing.users == [TypingUser("ana", None)]


async def test_many_keystrokes_say_it_once_and_the_pause_takes_it_back() -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    sender = TypingSender(said.put, TypingTimes(stop_after=0.05))
    for _ in range(10):
        await sender.keystroke()
    assert [await said.get(), await said.get()] == ["typing_start", "typing_stop"]
    await sender.close()
    assert said.empty()


async def test_a_stop_is_said_once() -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    sender = TypingSender(said.put, TypingTimes())
    await sender.stop()
    await sender.keystroke()
    await sender.stop()
    await sender.stop()
    await sender.close()
    assert [said.get_nowait(), said.get_nowait(), said.empty()] == ["typing_start", "typing_stop", True]


async def test_who_types_for_long_says_so_again_before_others_forget() -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    sender = TypingSender(said.put, TypingTimes(stop_after=60, say_again_after=0))
    for _ in range(3):
        await sender.keystroke()
    assert [said.get_nowait() for _ in range(3)] == ["typing_start"] * 3
    await sender.close()


async def test_an_indicator_that_cannot_be_sent_troubles_nobody() -> None:
    async def fail(_: str) -> None:
        raise Unavailable("away", code="not_joined")

    sender = TypingSender(fail, TypingTimes())
    await sender.keystroke()
    await sender.close()
