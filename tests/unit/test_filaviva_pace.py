"""Joins of one client go out evenly, and those of many clients that lost their server do not meet."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from filaviva.realtime.pace import Pace, rejoin_delay
from filaviva.realtime.settings import RealtimeSettings


def most_in_any_second(moments: Sequence[float]) -> int:
    ordered, first, most = sorted(moments), 0, 0
    for last, moment in enumerate(ordered):
        while ordered[first] <= moment - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("channels", [1, 2])
def test_five_hundred_clients_rejoin_within_half_a_minute_and_never_a_hundred_in_a_second(channels: int) -> None:
    random.seed(20261121)
    settings = RealtimeSettings()
    for _ in range(20):
        # The sockets open again after the first pause, cut by up to half.
        pauses = [random.uniform(0.5, 1) * settings.first_pause_seconds for _ in range(500)]
        spread = settings.rejoin_spread_seconds
        delays = [pause + rejoin_delay(spread, channels) for pause in pauses for _ in range(channels)]
        assert max(delays) < 25
        assert most_in_any_second(delays) < 100


def test_more_channels_take_longer_up_to_a_bound() -> None:
    longest = {channels: max(rejoin_delay(10, channels) for _ in range(2000)) for channels in (0, 1, 2, 90)}
    assert 9 < longest[0] <= 10
    assert 9 < longest[1] <= 10
    assert 19 < longest[2] <= 20
    assert 19 < longest[90] <= 20


async def test_turns_are_given_in_order_and_at_the_pace() -> None:
    pace, loop, order = Pace(100), asyncio.get_running_loop(), list[int]()

    async def take(number: int) -> float:
        await pace.turn()
        order.append(number)
        return loop.time()

    began = loop.time()
    times = await asyncio.gather(*(take(number) for number in range(20)))
    assert order == list(range(20))
    assert times[-1] - began >= 0.19


async def test_a_pace_that_was_not_used_lets_nobody_wait() -> None:
    pace, loop = Pace(10), asyncio.get_running_loop()
    await pace.turn()
    await asyncio.sleep(0.15)
    began = loop.time()
    await pace.turn()
    assert loop.time() - began < 0.08


async def test_who_gives_up_waiting_takes_no_turn() -> None:
    pace, loop = Pace(10), asyncio.get_running_loop()
    began = loop.time()
    for _ in range(100):
        waiting = asyncio.create_task(pace.turn())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    await pace.turn()
    assert loop.time() - began < 1
