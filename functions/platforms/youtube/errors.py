"""YouTube's error reasons, sorted into the outcome classes.

Source: the error table of the YouTube Data API's `videos.insert` and of the API's common errors. The reason
decides; a reason that is in no table is judged by the HTTP status.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from functions.platforms.answers import Ambiguous, Auth, Failure, Permanent, Quota, TryAgain
from functions.platforms.calls import Reply, retry_after

PLATFORM = "YouTube"

DAILY = frozenset({"quotaExceeded", "dailyLimitExceeded"})
CHANNEL_LIMIT = "uploadLimitExceeded"
RATE = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
PASSING = frozenset({"backendError", "internalError"})
NO_CHANNEL = "youtubeSignupRequired"
SESSION_GONE = "upload_session_gone"


@dataclass(frozen=True, slots=True)
class Waits:
    """Pauses in seconds."""

    channel_limit: float = 86_400
    """What a channel may upload counts over a day, together with uploads by hand."""
    longest: float = 86_400
    """On the day on which the clocks go back, midnight can be further away."""
    rate_limit: float = 60
    """The rates count over a minute."""


def failure_of(reply: Reply, waits: Waits, now: float, *, irreversible: bool = False) -> Failure | None:
    """The class of an answer; None for success, which includes "go on" during an upload.

    Args:
        reply: the answer.
        waits: the pauses.
        now: Unix time, from which the wait until the quota's renewal counts.
        irreversible: whether the call ends an upload; then only a clear refusal is not ambiguous.
    """
    if reply.status < 400:
        return None
    failure = _class_of(reply, waits, now)
    unclear = isinstance(failure, TryAgain) or _is_rate(reply)
    return Ambiguous(failure.error) if irreversible and unclear else failure


def is_gone(failure: Failure) -> bool:
    """Whether YouTube does not know the upload any more."""
    return failure.error.code == SESSION_GONE


def seconds_until_renewal(now: float) -> float:
    """From `now` in Unix time until midnight at YouTube, when the daily quota is renewed."""
    local = datetime.fromtimestamp(now, UTC).astimezone(_pacific())
    midnight = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), local.tzinfo)
    return midnight.timestamp() - now


def _class_of(reply: Reply, waits: Waits, now: float) -> Failure:
    reason, words = _reason(reply)
    error = reply.error(PLATFORM, reason or f"youtube_{reply.status}", words)
    if reason in DAILY:
        return Quota(error, min(waits.longest, seconds_until_renewal(now)), "app")
    if reason == CHANNEL_LIMIT:
        return Quota(error, waits.channel_limit)
    if _is_rate(reply):
        return Quota(error, retry_after(reply.headers) or waits.rate_limit, "calls")
    if reason in PASSING or reply.status == 408 or reply.status >= 500:
        return TryAgain(error, retry_after(reply.headers))
    return Auth(error) if reply.status == 401 and reason != NO_CHANNEL else Permanent(error)


def _is_rate(reply: Reply) -> bool:
    reason, _ = _reason(reply)
    return reason in RATE or (reply.status == 429 and reason not in DAILY)


def _reason(reply: Reply) -> tuple[str, Any]:
    error = reply.part("error")
    errors = error.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    return str(first.get("reason") or ""), first.get("message") or error.get("message")


def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:
        # A host without time zone data: an hour late in summer, which costs an hour and no quota.
        return timezone(timedelta(hours=-8))
