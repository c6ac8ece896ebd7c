"""Instagram's own error subcodes, sorted into the outcome classes.

Source: Instagram's list of error codes for publishing.
"""

import re

from functions.platforms.answers import Permanent, TryAgain
from functions.platforms.calls import Reply
from functions.platforms.meta.errors import ErrorTable

GONE = frozenset({33, 2207006, 2207020})
"""The container is lost; a new one has to be made. 33 is the Graph API's own number for an unknown object."""
NOT_READY = frozenset({2207008, 2207027})

ERRORS = ErrorTable(
    "Instagram",
    quota=frozenset({2207042}),
    permanent=frozenset(
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
    ),
    passing=frozenset({-2, -1, 24, 9004, 9007, 2207001, 2207003, 2207032, 2207052, 2207053, 2207082})
    | (GONE - {33})
    | NOT_READY,
    refused=NOT_READY,
)

SUBCODE_IN_TEXT = re.compile(r"\b(22\d{5})\b")


def failure_of_container(status_code: str, status: str, reply: Reply) -> TryAgain | Permanent:
    """The class of a container that ended as ERROR or EXPIRED; its `status` text may hold the subcode."""
    match = SUBCODE_IN_TEXT.search(status)
    subcode = int(match.group(1)) if match else None
    error = reply.error(ERRORS.platform, f"container_{status_code.lower()}", status)
    return Permanent(error) if subcode in ERRORS.permanent else TryAgain(error)
