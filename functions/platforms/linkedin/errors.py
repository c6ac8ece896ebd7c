"""LinkedIn's answers, sorted into the outcome classes.

Source: the error handling and rate limit pages of LinkedIn's marketing APIs. The HTTP status decides; two of
them are told apart by their words.
"""

import re
from datetime import UTC, datetime, timedelta

from functions.jobs.outcomes import JobError
from functions.platforms.answers import Ambiguous, Auth, Failure, Permanent, Quota, TryAgain
from functions.platforms.calls import Reply, retry_after

PLATFORM = "LinkedIn"

DUPLICATE = "duplicate_post"
THROTTLED = "throttled"
DUPLICATE_WORDS = re.compile(r"duplicate of (urn:li:(?:share|ugcPost):\d+)", re.IGNORECASE)
NOT_READY_WORDS = "resource is forbidden"
"""What LinkedIn says of a post whose media is not ready, instead of saying so."""


def failure_of(reply: Reply, now: float, *, irreversible: bool = False) -> Failure | None:
    """The class of an answer; None for success.

    Args:
        reply: the answer.
        now: Unix time, from which the wait until the counters' renewal counts.
        irreversible: whether the call publishes; then an error of the server is ambiguous.
    """
    if reply.status < 400:
        return None
    failure = _class_of(reply, now)
    unclear = reply.status >= 500 or reply.status in (408, 409)  # a conflict may be one with the post itself
    return Ambiguous(failure.error) if irreversible and unclear else failure


def seconds_until_renewal(now: float) -> float:
    """From `now` in Unix time until midnight UTC, when LinkedIn's daily counters begin anew."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=1)).timestamp() - now


def duplicate_of(failure: Failure) -> str | None:
    """The URN of the identical post that is live, where LinkedIn refused this one for it."""
    urn = failure.error.details.get("duplicate_of")
    return urn if isinstance(urn, str) else None


def is_throttled(failure: Failure) -> bool:
    """Whether it is a 429, which may be the end of a day's allowance or a moment's protection."""
    return failure.error.code == THROTTLED


def _class_of(reply: Reply, now: float) -> Failure:
    words = str(reply.body.get("message") or "")
    code = reply.body.get("code") or reply.body.get("serviceErrorCode")
    error = reply.error(PLATFORM, str(code).lower() if code else f"linkedin_{reply.status}", words)
    if reply.status >= 500 or reply.status in (408, 409):
        return TryAgain(error, retry_after(reply.headers))
    if reply.status == 401:
        return Auth(error)
    if reply.status == 429:
        return Quota(JobError(THROTTLED, error.message, error.details), seconds_until_renewal(now))
    if reply.status == 403 and NOT_READY_WORDS in words.lower():
        return TryAgain(error)
    return Permanent(_explained(reply, error, words))


def _explained(reply: Reply, error: JobError, words: str) -> JobError:
    """The error with what a reader can do about it, where that is known."""
    if reply.status == 426:
        message = f"LinkedIn no longer serves the version that LINKEDIN_API_VERSION names. {error.message}"
        return JobError("version_sunset", message, error.details)
    if match := DUPLICATE_WORDS.search(words):
        return JobError(DUPLICATE, error.message, error.details | {"duplicate_of": match.group(1)})
    return error
