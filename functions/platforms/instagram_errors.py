"""The Graph API's error codes, sorted into the outcome classes for Instagram.

Source: the Graph API's error handling page and Instagram's list of error subcodes. The HTTP status says
little (it is 400 even for throttling), so code and subcode decide, the subcode first.
"""

import json
import re
from dataclasses import dataclass

from functions.jobs.outcomes import JobError
from functions.platforms.answers import Ambiguous, Auth, Failure, Permanent, Quota, TryAgain
from functions.platforms.calls import Reply, retry_after

PLATFORM = "Instagram"

AUTH_CODES = frozenset({102, 190})
THROTTLE_CODES = frozenset({4, 17, 32, 613, *range(80001, 80007)})
PASSING_CODES = frozenset({-2, -1, 1, 2, 24, 341, 9004, 9007})
DUPLICATE_CODE = 506

DAILY_LIMIT = 2207042
NOT_READY = frozenset({2207027, 2207008})
PASSING_SUBCODES = frozenset({2207001, 2207003, 2207006, 2207020, 2207032, 2207052, 2207053, 2207082}) | NOT_READY
PERMANENT_SUBCODES = frozenset(
    {
        2207004,  # image too large
        2207005,  # image format
        2207009,  # aspect ratio
        2207010,  # caption
        2207023,  # media type
        2207026,  # video format
        2207028,  # number of items in a carousel
        2207035,  # tags
        2207036,
        2207037,
        2207040,
        2207050,  # account restricted
        2207051,  # action blocked as spam
        2207057,  # cover timestamp
        2207077,  # video could not be downloaded
        2207081,  # trial reels not available
    }
)
GONE_SUBCODES = frozenset({2207006, 2207020})
"""The container is lost; a new one has to be made."""

SUBCODE_IN_TEXT = re.compile(r"\b(22\d{5})\b")


@dataclass(frozen=True, slots=True)
class ThrottleWaits:
    """Pauses in seconds where the answer names none."""

    throttled: float = 300
    """The Graph API counts calls over an hour and frees them step by step."""
    quota: float = 3600
    """Posts count over a sliding day, so an hour later there may be room again."""


def failure_of(reply: Reply, waits: ThrottleWaits, *, irreversible: bool = False) -> Failure | None:
    """The class of an answer; None for success.

    An irreversible call is ambiguous after any answer that does not clearly refuse it: an error of the server
    or a "temporary" one may follow a post that went out.
    """
    if reply.status < 400 and "error" not in reply.body:
        return None
    error = reply.part("error")
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    failure = _class_of(reply, waits, code, subcode)
    unclear = isinstance(failure, TryAgain) and subcode not in NOT_READY
    if irreversible and (unclear or reply.status >= 500 or code == DUPLICATE_CODE):
        return Ambiguous(failure.error)
    return failure


def failure_of_container(status_code: str, status: str, reply: Reply) -> TryAgain | Permanent:
    """The class of a container that ended as ERROR or EXPIRED; its `status` text may hold the subcode."""
    match = SUBCODE_IN_TEXT.search(status)
    subcode = int(match.group(1)) if match else None
    error = reply.error(PLATFORM, f"container_{status_code.lower()}", status)
    return Permanent(error) if subcode in PERMANENT_SUBCODES else TryAgain(error)


def is_gone(failure: Failure) -> bool:
    """Whether the failure says that the container does not exist any more."""
    error = failure.error.details.get("platform_response", {}).get("error", {})
    return _number(error.get("error_subcode")) in GONE_SUBCODES


def _class_of(reply: Reply, waits: ThrottleWaits, code: int | None, subcode: int | None) -> Failure:
    error = _words(reply, code, subcode)
    if subcode == DAILY_LIMIT:
        return Quota(error, waits.quota)
    if subcode in PERMANENT_SUBCODES:
        return Permanent(error)
    if code in AUTH_CODES or (code is None and reply.status == 401):
        return Auth(error)
    if code in THROTTLE_CODES or reply.status == 429:
        return Quota(error, retry_after(reply.headers) or _regain_seconds(reply) or waits.throttled)
    if _passes(reply, code, subcode):
        return TryAgain(error, retry_after(reply.headers))
    return Permanent(error)


def _passes(reply: Reply, code: int | None, subcode: int | None) -> bool:
    transient = reply.part("error").get("is_transient") is True
    return transient or subcode in PASSING_SUBCODES or code in PASSING_CODES or reply.status >= 500


def _words(reply: Reply, code: int | None, subcode: int | None) -> JobError:
    error = reply.part("error")
    name = f"graph_{reply.status if code is None else code}" + (f"_{subcode}" if subcode is not None else "")
    return reply.error(PLATFORM, name, error.get("error_user_msg") or error.get("message"))


def _regain_seconds(reply: Reply) -> float | None:
    """The longest `estimated_time_to_regain_access`, given in minutes per kind of use."""
    try:
        usage = json.loads(reply.headers.get("x-business-use-case-usage", "{}"))
        minutes = [use["estimated_time_to_regain_access"] for uses in usage.values() for use in uses]
        return max(minutes) * 60.0 if minutes else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
