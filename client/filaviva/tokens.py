"""Keeps a client signed in: asks the application for a new access token before the old one expires."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from filaviva.backoff import Backoff, jittered
from filaviva.credentials import read_claims
from filaviva.errors import FilaVivaError

logger = logging.getLogger(__name__)

TokenProvider = Callable[[], Awaitable[str | None]]

_MARGIN_SECONDS = 60.0
_LEAST_SECONDS = 1.0
# A provider that gives no answer must not keep the client from asking again.
_ANSWER_SECONDS = 30.0
# So often a provider may give nothing new before views tell their users that the token is not accepted.
_PATIENCE = 3


class TokenKeeper:
    """Calls `provider` a minute before the token expires, and at once when the server no longer accepts it.

    Args:
        provider: gives the token that is good now, such as that of the session of the official auth client; None when
            nobody is signed in. It is asked again after an error, after 30 s without an answer, or when it gives the
            same token once more.
        token: the token to begin with.
        apply: goes on with the new token.
    """

    def __init__(
        self, provider: TokenProvider, token: str | None, apply: Callable[[str | None], Awaitable[None]]
    ) -> None:
        self._provider = provider
        self._token = token
        self._apply = apply
        self._refused = False
        self._fruitless = 0
        self._rescheduled = asyncio.Event()
        self._backoff = Backoff(_LEAST_SECONDS, 60.0)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask for the first token, if there is none, and keep it good from now on."""
        if self._task is None:
            if self._token is None:
                await self._ask()
            self._task = asyncio.create_task(self._keep())

    def renew(self) -> bool:
        """The server no longer accepts the token: ask for another one, and say whether there is hope for one."""
        self._refused = True
        self._rescheduled.set()
        return self._task is not None and self._fruitless < _PATIENCE

    def changed(self, token: str | None) -> None:
        """The application set a token by itself; the next question comes in its time."""
        self._token, self._refused, self._fruitless = token, False, 0
        self._rescheduled.set()

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _keep(self) -> None:
        while True:
            await self._wait_until_due()
            if await self._ask():
                self._fruitless = 0
                self._backoff.reset()
            else:
                self._fruitless += 1
                await asyncio.sleep(self._backoff.next())

    async def _wait_until_due(self) -> None:
        while not self._refused:
            self._rescheduled.clear()
            try:
                async with asyncio.timeout(self._seconds_left()):
                    await self._rescheduled.wait()
            except TimeoutError:
                return

    async def _ask(self) -> bool:
        """Whether there is a token that is another one than before."""
        former = self._token
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                token = await self._provider()
            if self._token != former:
                return True  # the application has set one meanwhile, and it knows better
            if token == former:
                return False
            await self._apply(token)
        except FilaVivaError as error:
            logger.warning("The token that was provided cannot be used: %s", error)
            return False
        except Exception:
            logger.exception("The provider of access tokens failed")
            return False
        self._token, self._refused = token, False
        return True

    def _seconds_left(self) -> float | None:
        """Until it is time to ask; None when the token does not say when it expires."""
        expires_at = read_claims(self._token).get("exp") if self._token else None
        if not isinstance(expires_at, int | float):
            return None
        left = expires_at - time.time()
        return max(left - min(jittered(_MARGIN_SECONDS), left / 2), 0.0)
