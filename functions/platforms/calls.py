"""HTTP calls to a platform: their time limits, and what a missing answer means."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms.answers import Ambiguous, CallFailed, TryAgain
from functions.settings import Settings

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Failures that come before the first byte of a request: it cannot have had an effect."""

NUMBER = re.compile(r"\d{1,9}(\.\d*)?", re.ASCII)
"""Of seconds: up to thirty years."""

LONGEST_QUOTE = 300
"""Characters of a platform's own words that an error repeats."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of one call, in seconds: what the platforms' own clients use."""

    connect: float = 10
    answer: float = 30
    upload: float = 300

    @classmethod
    def of(cls, settings: Settings) -> "Timeouts":
        """The limits that the configuration asks for."""
        return cls(
            settings.platform_connect_seconds, settings.platform_answer_seconds, settings.platform_upload_seconds
        )

    def for_answer(self) -> httpx.Timeout:
        """Limits of a call that carries JSON."""
        return httpx.Timeout(self.answer, connect=self.connect)

    def for_upload(self) -> httpx.Timeout:
        """Limits of a call that carries media."""
        return httpx.Timeout(self.upload, connect=self.connect)


@dataclass(frozen=True, slots=True)
class Reply:
    """A platform's answer; `body` is empty where it was not a JSON object."""

    status: int
    headers: httpx.Headers
    body: JsonObject

    @classmethod
    def read(cls, response: httpx.Response) -> "Reply":
        """The reply in `response`, which has been read; without the token that was sent, which some platforms quote."""
        try:
            body = response.json()
        except ValueError:
            body = None
        token = response.request.headers.get("authorization", "").partition(" ")[2]
        return cls(response.status_code, response.headers, _without(token, body) if isinstance(body, dict) else {})

    def part(self, name: str) -> JsonObject:
        """The object under `name`, empty where there is none."""
        value = self.body.get(name)
        return value if isinstance(value, dict) else {}

    def error(self, platform: str, code: str, words: object) -> JobError:
        """What the owner of the post reads: `code` and the platform's own words; the answer is kept in the details."""
        quote = f": {str(words)[:LONGEST_QUOTE]}" if words else ""
        message = f"{platform} answered {code}{quote}"
        return JobError(code, message, {"http_status": self.status, "platform_response": self.body})


def _without(token: str, value: Any) -> Any:
    """`value` with asterisks wherever a text of it holds the token."""
    match value:
        case str() if token:
            return value.replace(token, "***")
        case dict():
            return {name: _without(token, each) for name, each in value.items()}
        case list():
            return [_without(token, each) for each in value]
        case _:
            return value


async def send(http: httpx.AsyncClient, platform: str, request: httpx.Request, *, irreversible: bool = False) -> Reply:
    """Send a request and read its answer, whatever its status.

    Raises:
        CallFailed: there was no answer: ambiguous for an irreversible call that was sent, else to be tried again.
    """
    try:
        return Reply.read(await http.send(request))
    except NEVER_SENT as error:
        reason = JobError("platform_unreachable", f"{platform} could not be reached.", {"reason": type(error).__name__})
        raise CallFailed(TryAgain(reason)) from error
    except httpx.TransportError as error:
        reason = JobError("platform_no_answer", f"{platform} did not answer.", {"reason": type(error).__name__})
        raise CallFailed(Ambiguous(reason) if irreversible else TryAgain(reason)) from error


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds that `Retry-After` asks for, given as a number or as a date; None where it asks for neither."""
    value = headers.get("retry-after", "")
    if NUMBER.fullmatch(value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def without_none(**fields: Any) -> JsonObject:
    """The fields that have a value: platforms read null as a wrong value, not as absence."""
    return {name: value for name, value in fields.items() if value is not None}
