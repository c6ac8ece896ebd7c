"""Threads' own error numbers, and the words of a container that failed.

Source: the Threads API's reference and troubleshooting page.
"""

from functions.platforms.answers import Permanent, TryAgain
from functions.platforms.calls import Reply
from functions.platforms.meta.errors import ErrorTable

GONE = frozenset({33})
"""The Graph API knows no such object; a new container has to be made."""
NOT_READY = frozenset({2207008, 2207027, 4279009})
"""The last says that the container is not found, which it answers for some seconds after it was made."""

ERRORS = ErrorTable(
    "Threads",
    quota=frozenset({2207042}),
    permanent=frozenset({2207050, 2207051, 4279013}),  # account or user restricted
    passing=frozenset({-2, -1, 24, 9004, 9007, 2207052}) | NOT_READY,
    refused=NOT_READY,
)

PASSING_MESSAGES = frozenset({"", "UNKNOWN", "FAILED_DOWNLOADING_VIDEO"})
"""Any other `error_message` is about the media itself: its format, its shape or its length."""


def failure_of_container(status: str, message: str, reply: Reply) -> TryAgain | Permanent:
    """The class of a container that ended as ERROR or EXPIRED."""
    error = reply.error(ERRORS.platform, f"container_{status.lower()}", message)
    return TryAgain(error) if status == "EXPIRED" or message in PASSING_MESSAGES else Permanent(error)
