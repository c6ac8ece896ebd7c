"""Calls to the Graph API for one platform."""

from dataclasses import dataclass

import httpx

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms.answers import CallFailed, Quota
from functions.platforms.calls import Reply, Timeouts, send
from functions.platforms.meta.errors import ErrorTable, failure_of
from functions.platforms.meta.usage import Waits, regain_seconds, used_percent
from functions.platforms.post import Account


@dataclass(frozen=True, slots=True)
class Graph:
    """One platform's corner of the Graph API."""

    http: httpx.AsyncClient
    errors: ErrorTable
    timeouts: Timeouts
    waits: Waits

    async def call(
        self,
        method: str,
        url: str,
        account: Account,
        *,
        query: dict[str, str] | None = None,
        body: JsonObject | None = None,
        form: JsonObject | None = None,
        irreversible: bool = False,
    ) -> Reply:
        """A call with the account's token; `body` travels as JSON, `form` as form fields.

        Raises:
            CallFailed: with the class of any answer that is not a success, and of none.
        """
        request = self.http.build_request(
            method,
            url,
            headers=account.authorization,
            params=query,
            json=body,
            data=form,
            timeout=self.timeouts.for_answer(),
        )
        return await self.send(request, irreversible=irreversible)

    async def send(self, request: httpx.Request, *, irreversible: bool = False) -> Reply:
        """The same for a request that is made already."""
        reply = await send(self.http, self.errors.platform, request, irreversible=irreversible)
        if failure := failure_of(reply, self.errors, self.waits, irreversible=irreversible):
            raise CallFailed(failure)
        return reply

    def check_usage(self, reply: Reply) -> None:
        """Begin nothing new while the app has used nearly all the calls it may make.

        Raises:
            CallFailed: quota, with the pause that the answer names.
        """
        used = used_percent(reply.headers)
        if used < self.waits.most_used_percent:
            return
        message = f"The app has used {used:g} % of the calls that {self.errors.platform} lets it make."
        pause = regain_seconds(reply.headers) or self.waits.throttled
        raise CallFailed(Quota(JobError("calls_used_up", message), pause, "calls"))
