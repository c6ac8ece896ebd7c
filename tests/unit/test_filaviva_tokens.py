"""A client with a provider of tokens always speaks with one that is good."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import jwt
import pytest

from filaviva.credentials import read_claims
from filaviva.realtime.metrics import Meter
from filaviva.tokens import TokenKeeper


def token(seconds: float, number: int = 0) -> str:
    return jwt.encode({"sub": "ann", "exp": time.time() + seconds, "n": number}, "s" * 32, "HS256")


@asynccontextmanager
async def keeping(
    first: str | None, give: Callable[[], str | None]
) -> AsyncIterator[tuple[TokenKeeper, asyncio.Queue[str | None]]]:
    applied: asyncio.Queue[str | None] = asyncio.Queue()

    async def provide() -> str | None:
        return give()

    async def apply(given: str | None) -> None:
        applied.put_nowait(given)

    keeper = TokenKeeper(provide, first, apply)
    await keeper.start()
    yield keeper, applied
    await keeper.close()


async def test_without_a_token_the_provider_is_asked_at_once() -> None:
    given = token(3600)
    async with keeping(None, lambda: given) as (_, applied):
        assert applied.get_nowait() == given


async def test_a_token_is_replaced_before_it_expires() -> None:
    first, second = token(0.6), token(3600, 1)
    async with keeping(first, lambda: second) as (_, applied):
        assert await asyncio.wait_for(applied.get(), 5) == second
        assert time.time() < read_claims(first)["exp"]


async def test_a_token_that_is_good_is_kept_until_the_server_refuses_it() -> None:
    first, second = token(3600), token(3600, 1)
    async with keeping(first, lambda: second) as (keeper, applied):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(applied.get(), 0.1)
        keeper.renew()
        assert await asyncio.wait_for(applied.get(), 5) == second


async def test_a_provider_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filaviva.tokens._LEAST_SECONDS", 0.05)
    given, asked = token(3600), []

    def give() -> str:
        asked.append(1)
        if len(asked) < 3:
            raise OSError("the auth server is away")
        return given

    async with keeping(None, give) as (keeper, applied):
        keeper.renew()
        assert await asyncio.wait_for(applied.get(), 5) == given


def test_claims_are_read_without_trust_in_their_shape() -> None:
    assert read_claims(token(10))["sub"] == "ann"
    for odd in ("", "sb_secret_x", "a.b.c", "a.!!!.c", "a.WzFd.c"):
        assert read_claims(odd) == {}


def test_metrics_count_what_happened_in_their_units() -> None:
    now = [0.0]
    meter = Meter(lambda: now[0])
    assert meter.snapshot().average_latency is None
    meter.socket_opened(again=False)
    meter.answered(0.1)
    meter.answered(0.3)
    for _ in range(2):
        meter.attempted(succeeded=False)
    meter.socket_opened(again=True)
    now[0] = 120.0
    shown = meter.snapshot()
    assert (shown.total_connections, shown.reconnection_rate, shown.error_rate) == (2, 0.5, 50.0)
    assert shown.average_latency == pytest.approx(200)
    now[0] = 1000.0
    assert (meter.snapshot().reconnection_rate, meter.snapshot().error_rate) == (0.0, 0.0)


async def test_a_provider_that_gives_no_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filaviva.tokens._ANSWER_SECONDS", 0.05)
    monkeypatch.setattr("filaviva.tokens._LEAST_SECONDS", 0.01)
    good, asked = token(3600), list[int]()
    applied: asyncio.Queue[str | None] = asyncio.Queue()

    async def provide() -> str | None:
        asked.append(1)
        if len(asked) < 3:
            await asyncio.get_running_loop().create_future()
        return good

    keeper = TokenKeeper(provide, token(0.01), applied.put)
    await keeper.start()
    assert await asyncio.wait_for(applied.get(), 5) == good
    await keeper.close()


async def test_a_client_that_was_not_entered_promises_no_new_token() -> None:
    async def provide() -> str | None:
        return token(3600)

    assert not TokenKeeper(provide, None, asyncio.Queue[str | None]().put).renew()


async def test_a_token_that_the_application_sets_meanwhile_stays() -> None:
    asked, answer = asyncio.Event(), asyncio.get_running_loop().create_future()
    applied: asyncio.Queue[str | None] = asyncio.Queue()

    async def provide() -> str | None:
        asked.set()
        given: str = await answer
        return given

    keeper = TokenKeeper(provide, token(0.01), applied.put)
    await keeper.start()
    await asyncio.wait_for(asked.wait(), 5)
    keeper.changed(token(3600, 1))
    answer.set_result(token(1800, 2))
    await asyncio.sleep(0.05)
    assert applied.empty()
    await keeper.close()
