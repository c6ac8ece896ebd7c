"""One call to X's API, with the class of its answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from functions.platforms.answers import CallFailed
from functions.platforms.calls import Reply, Timeouts, send
from functions.platforms.post import Account
from functions.platforms.x import errors
from functions.platforms.x.errors import PLATFORM, Waits


@dataclass(frozen=True, slots=True)
class Api:
    """Where X is, and how to call it."""

    http: httpx.AsyncClient
    base_url: str
    timeouts: Timeouts
    waits: Waits
    clock: Callable[[], float]

    async def call(
        self, method: str, path: str, account: Account, *, irreversible: bool = False, **content: Any
    ) -> Reply:
        """Send a request and read a successful answer.

        Args:
            method: the HTTP method.
            path: below the base address.
            account: whose token goes with it.
            irreversible: whether the call publishes.
            content: `json`, `params`, `data` and `files`, as httpx takes them.

        Raises:
            CallFailed: for any other answer, or none.
        """
        limits = self.timeouts.for_upload() if "files" in content else self.timeouts.for_answer()
        request = self.http.build_request(
            method, self.base_url + path, headers=account.authorization, timeout=limits, **content
        )
        reply = await send(self.http, PLATFORM, request, irreversible=irreversible)
        if failure := errors.failure_of(reply, self.waits, self.clock(), irreversible=irreversible):
            raise CallFailed(failure)
        return reply
