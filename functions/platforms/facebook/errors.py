"""Facebook's own error numbers, sorted into the outcome classes.

Source: the Graph API's reference of pages, photos and videos. Facebook gives some as codes and some as subcodes.
"""

from functions.platforms.meta.errors import ErrorTable

WRONG_OFFSET = 1363037
"""A part of an upload was sent from another place than Facebook stands at; its answer names the right one."""

ERRORS = ErrorTable(
    "Facebook",
    permanent=frozenset(
        {
            1346003,  # against the community's rules
            1349125,  # media format
            1366046,  # photo too large, or its format
            1366051,  # photo used in an earlier post
            1404006,  # security check of the account
            1404102,  # against the community's rules
            1404112,  # account locked for a while
            1609008,  # link to Facebook itself
            2061006,  # address of a link
            2069019,  # file
            4854002,  # identity to be confirmed
        }
    ),
    auth=frozenset({1404078}),  # the page's owner has to authorise publishing again
    throttled=frozenset({1390008}),  # posting too fast
    passing=frozenset({1363047, 1609005, 1609010, WRONG_OFFSET}),
)
