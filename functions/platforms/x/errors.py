"""The problems X answers with, sorted into the outcome classes.

Source: X's OpenAPI description and its page of response codes. A problem is named by the last part of its
`type`; some older ones have no type and are known by their words.
"""

from dataclasses import dataclass

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms.answers import Ambiguous, Auth, Failure, Permanent, Quota, TryAgain
from functions.platforms.calls import Reply, retry_after

PLATFORM = "X"

DUPLICATE = "duplicate_content"
DUPLICATE_WORDS = "duplicate content"
AUTH_WORDS = "unsupported authentication"
PASSING = frozenset({"internal-error", "resource-unavailable"})


@dataclass(frozen=True, slots=True)
class Waits:
    """Pauses in seconds where the answer names none."""

    rate_limit: float = 900
    """The limits count over 15 minutes."""
    usage_cap: float = 86_400
    """The cap of a plan counts over a month; a day later is soon enough to look again."""
    credits: float = 3600
    """An operator buys credits by hand."""


def failure_of(reply: Reply, waits: Waits, now: float, *, irreversible: bool = False) -> Failure | None:
    """The class of an answer; None for success.

    Args:
        reply: the answer.
        waits: the pauses.
        now: Unix time, which `x-rate-limit-reset` is compared with.
        irreversible: whether the call publishes; then an error of the server is ambiguous, and so is one beside a
            status of success.
    """
    problem = _problem(reply)
    if reply.status < 400 and ("data" in reply.body or not problem):
        return None
    failure = _class_of(reply, problem, waits, now)
    unclear = isinstance(failure, TryAgain) or reply.status < 400
    return Ambiguous(failure.error) if irreversible and unclear else failure


def is_duplicate(failure: Failure) -> bool:
    """Whether X refused the post because it knows an identical one of the account."""
    return failure.error.code == DUPLICATE


def _problem(reply: Reply) -> JsonObject:
    """The problem itself, or the first of a list of them; empty where there is none."""
    errors = reply.body.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return {**errors[0], "type": errors[0].get("type") or reply.body.get("type", "")}
    return reply.body if "title" in reply.body or "type" in reply.body else {}


def _class_of(reply: Reply, problem: JsonObject, waits: Waits, now: float) -> Failure:
    slug = str(problem.get("type", "")).rpartition("/")[2]
    words = str(problem.get("detail") or problem.get("message") or problem.get("title") or "")
    title = f"{problem.get('title', '')} {words}".lower()
    name = DUPLICATE if DUPLICATE_WORDS in title else slug if slug not in ("", "about:blank") else f"x_{reply.status}"
    error = reply.error(PLATFORM, name.replace("-", "_"), words)
    if slug == "usage-capped":
        return Quota(error, waits.usage_cap, "app")
    if reply.status == 429 or slug == "rate-limit-exceeded":
        return Quota(error, _reset_seconds(reply, now) or retry_after(reply.headers) or waits.rate_limit)
    if reply.status == 402:
        return Quota(_no_credits(error), waits.credits, "app")
    if reply.status == 401 or AUTH_WORDS in title:
        return Auth(error)
    if reply.status >= 500 or reply.status == 408 or slug in PASSING:
        return TryAgain(error, retry_after(reply.headers))
    return Permanent(error)


def _no_credits(error: JobError) -> JobError:
    message = f"X takes no post because the app's credits are used up; its operator has to buy some. {error.message}"
    return JobError("credits_depleted", message, error.details)


def _reset_seconds(reply: Reply, now: float) -> float | None:
    try:
        return max(1.0, float(reply.headers["x-rate-limit-reset"]) - now)
    except (KeyError, ValueError):
        return None
