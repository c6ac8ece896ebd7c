"""One call to LinkedIn's API, with the headers it insists on and the class of its answer."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from functions.jobs.outcomes import JsonObject
from functions.platforms.answers import CallFailed, TryAgain
from functions.platforms.calls import Reply, Timeouts, send
from functions.platforms.linkedin import errors
from functions.platforms.linkedin.errors import PLATFORM
from functions.platforms.post import Account


@dataclass(frozen=True, slots=True)
class Api:
    """Where LinkedIn is, which version of it, and how to call it."""

    http: httpx.AsyncClient
    base_url: str
    version: str
    timeouts: Timeouts
    clock: Callable[[], float]

    async def call(
        self,
        method: str,
        path: str,
        account: Account,
        body: JsonObject | None = None,
        *,
        action: str | None = None,
        irreversible: bool = False,
    ) -> Reply:
        """Send a request below `/rest` and read a successful answer.

        Raises:
            CallFailed: for any other answer, or none.
        """
        headers = {
            **account.authorization,
            "LinkedIn-Version": self.version,
            "X-Restli-Protocol-Version": "2.0.0",
            "Content-Type": "application/json",
        }
        url, timeout = f"{self.base_url}/rest/{path}", self.timeouts.for_answer()
        query = {"action": action} if action else None
        request = self.http.build_request(method, url, headers=headers, json=body, params=query, timeout=timeout)
        reply = await send(self.http, PLATFORM, request, irreversible=irreversible)
        if failure := errors.failure_of(reply, self.clock(), irreversible=irreversible):
            raise CallFailed(failure)
        return reply

    async def value(self, path: str, account: Account, body: JsonObject) -> JsonObject:
        """The `value` of what `initializeUpload` answers."""
        reply = await self.call("POST", path, account, {"initializeUploadRequest": body}, action="initializeUpload")
        value = reply.part("value")
        if not value:
            raise CallFailed(TryAgain(reply.error(PLATFORM, "platform_answer_unexpected", "no upload")))
        return value


def in_path(urn: str) -> str:
    """A URN as a part of a path: its colons are escaped."""
    return quote(urn, safe="")


def author_of(account: Account) -> str:
    """The URN of who posts: a person, or an organization whose page it is."""
    if account.external_id.startswith("urn:li:"):
        return account.external_id
    sort = "organization" if account.kind == "organization" else "person"
    return f"urn:li:{sort}:{account.external_id}"
