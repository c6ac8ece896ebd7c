"""The Graph API's error codes, sorted into the outcome classes.

Source: the Graph API's page on handling errors. The HTTP status says little (it is 400 even for throttling), so
code and subcode decide, what a platform says of its own before what is common to all. The servers that take uploads
have a shape of their own, `debug_info`.
"""

from dataclasses import dataclass

from functions.jobs.outcomes import JobError
from functions.platforms.answers import Ambiguous, Auth, Failure, Permanent, Quota, TryAgain
from functions.platforms.calls import Reply, retry_after
from functions.platforms.meta.usage import Waits, regain_seconds

AUTH = frozenset({102, 190})
THROTTLED = frozenset({4, 17, 32, 613, *range(80001, 80007)})
PASSING = frozenset({1, 2, 341})
DUPLICATE = 506

NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """One platform's own codes and subcodes; a number means the same in either place."""

    platform: str
    quota: frozenset[int] = NONE
    """The allowance of posts is used up."""
    permanent: frozenset[int] = NONE
    auth: frozenset[int] = NONE
    throttled: frozenset[int] = NONE
    passing: frozenset[int] = NONE
    refused: frozenset[int] = NONE
    """Of the passing ones those that are certain not to have published, even as an answer to the irreversible call."""


def failure_of(reply: Reply, table: ErrorTable, waits: Waits, *, irreversible: bool = False) -> Failure | None:
    """The class of an answer; None for success.

    An irreversible call is ambiguous after any answer that does not clearly refuse it: an error of the server
    or a "temporary" one may follow a post that went out.
    """
    if reply.status < 400 and "error" not in reply.body:
        return None
    numbers = _numbers_of(reply.body)
    failure = _class_of(reply, numbers, table, waits)
    unclear = isinstance(failure, TryAgain) and not numbers & table.refused
    if irreversible and (unclear or reply.status >= 500 or DUPLICATE in numbers):
        return Ambiguous(failure.error)
    return failure


def numbers_in(error: JobError) -> frozenset[int]:
    """The code and the subcode in an answer that has become the error of a job; empty where there are none."""
    return _numbers_of(error.details.get("platform_response"))


def _numbers_of(body: object) -> frozenset[int]:
    error = body.get("error") if isinstance(body, dict) else None
    given = (error.get("code"), error.get("error_subcode")) if isinstance(error, dict) else ()
    return frozenset(number for number in given if isinstance(number, int) and not isinstance(number, bool))


def _class_of(reply: Reply, numbers: frozenset[int], table: ErrorTable, waits: Waits) -> Failure:
    error = _words(reply, table.platform)
    if numbers & table.quota:
        return Quota(error, waits.quota)
    if numbers & table.permanent:
        return Permanent(error)
    if numbers & (AUTH | table.auth) or (not numbers and reply.status == 401):
        return Auth(error)
    if numbers & (THROTTLED | table.throttled) or reply.status == 429:
        return Quota(error, retry_after(reply.headers) or regain_seconds(reply.headers) or waits.throttled, "calls")
    transient = reply.part("error").get("is_transient"), reply.part("debug_info").get("retriable")
    if True in transient or numbers & (PASSING | table.passing) or reply.status == 408 or reply.status >= 500:
        return TryAgain(error, retry_after(reply.headers))
    return Permanent(error)


def _words(reply: Reply, platform: str) -> JobError:
    error = reply.part("error")
    code, subcode = error.get("code", reply.status), error.get("error_subcode")
    name = f"graph_{code}" + (f"_{subcode}" if subcode is not None else "")
    words = error.get("error_user_msg") or error.get("message") or reply.part("debug_info").get("message")
    return reply.error(platform, name, words)
