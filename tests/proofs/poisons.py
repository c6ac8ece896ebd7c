"""What handlers do to their workers in proof 8, and how each of them ends."""

import asyncio
import gc
from contextlib import suppress
from typing import Any

from functions.jobs.context import Context
from functions.jobs.outcomes import Done, JobError, Outcome, Reject, Retry

ATTEMPTS = 3


class Unprintable(Exception):  # noqa: N818
    """It fails once more when it is logged."""

    def __str__(self) -> str:
        raise ValueError("no words")

    __repr__ = __str__


class BeyondException(BaseException):
    """What `except Exception` does not catch."""


async def hang(ctx: Context) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


async def hang_on(ctx: Context) -> Outcome:
    """Does not even end when it is told to; the second time it does."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return await hang(ctx)


async def undecodable(ctx: Context) -> Outcome:
    return Done({"text": b"\xff\xfe".decode()})


async def far_too_large(ctx: Context) -> Outcome:
    return Done({"x": "y" * 10_000_000})


async def raise_while_logging(ctx: Context) -> Outcome:
    ctx.log.error("it broke", problem=Unprintable())
    raise Unprintable


async def recurse(ctx: Context) -> Outcome:
    gc.disable()  # the abandoned tasks of others, collected at such a depth, would raise where nobody can catch it
    try:
        return await recurse_on(ctx)
    finally:
        gc.enable()


async def recurse_on(ctx: Context) -> Outcome:
    return await recurse_on(ctx)


async def no_outcome(ctx: Context) -> Any:
    return {"status": "ok"}


async def contain_itself(ctx: Context) -> Outcome:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    return Done(loop)


async def say_too_much(ctx: Context) -> Outcome:
    return Retry(JobError("x" * 100_000, "\0\ud800" + "y" * 10_000_000, {"trace": "z" * 10_000_000}))


async def let_cancellation_escape(ctx: Context) -> Outcome:
    stopped = asyncio.get_running_loop().create_future()
    stopped.cancel()
    return await stopped  # type: ignore[no-any-return]


async def leave(ctx: Context) -> Outcome:
    raise SystemExit(3)


async def raise_beyond(ctx: Context) -> Outcome:
    raise BeyondException


async def refuse(ctx: Context) -> Outcome:
    return Reject(JobError("never", "It can never succeed."))


POISON: dict[str, tuple[Any, str, int]] = {
    "hang": (hang, "timeout", ATTEMPTS),
    "hang_on": (hang_on, "timeout", ATTEMPTS),
    "undecodable": (undecodable, "handler_error", ATTEMPTS),
    "too_large": (far_too_large, "result_too_large", 1),
    "logging": (raise_while_logging, "handler_error", ATTEMPTS),
    "recursion": (recurse, "handler_error", ATTEMPTS),
    "no_outcome": (no_outcome, "handler_error", ATTEMPTS),
    "loop": (contain_itself, "invalid_result", 1),
    "too_much": (say_too_much, "x" * 100, ATTEMPTS),
    "cancellation": (let_cancellation_escape, "handler_error", ATTEMPTS),
    "exit": (leave, "handler_error", ATTEMPTS),
    "beyond": (raise_beyond, "handler_error", ATTEMPTS),
    "reject": (refuse, "never", 1),
    "schema": (None, "invalid_payload", 1),
}
"""What a handler does, the code its dead letter shows, and after how many attempts it is one."""
