"""Auth's rate limits: how many requests an address may make, and how many mails a project may send."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from devstack.auth.errors import AuthError

_MOST_ADDRESSES = 10_000

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Limit:
    """So many in so many seconds, of which `burst` at once."""

    count: int
    seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class AuthLimits:
    """The limits of a project; None for none.

    Attributes:
        tokens: sign-ins and refreshes of one address.
        accounts: sign-ups and changes of users from one address.
        mails: messages of the whole project; none is sent here, but what would send one counts.
    """

    tokens: Limit | None = None
    accounts: Limit | None = None
    mails: Limit | None = None


UNLIMITED = AuthLimits()

HOSTED = AuthLimits(tokens=Limit(150, 300, 30), accounts=Limit(30, 300, 30), mails=Limit(2, 3600, 2))
"""Those of a new hosted project, which sends its mail through the built-in service."""


class Limiter:
    """Token buckets of one limit, one for each key."""

    def __init__(self, limit: Limit | None) -> None:
        """Every bucket is full."""
        self._limit = limit
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> bool:
        """Take one from the bucket of `key`; False if it is empty."""
        if self._limit is None:
            return True
        if len(self._buckets) > _MOST_ADDRESSES:
            self._buckets.clear()
        now = time.monotonic()
        left, at = self._buckets.get(key, (self._limit.burst, now))
        left = min(self._limit.burst, left + (now - at) * self._limit.count / self._limit.seconds)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        return allowed

    def guard(self, endpoint: Endpoint) -> Endpoint:
        """`endpoint`, for addresses that have not asked too often."""

        async def guarded(request: Request) -> Response:
            if not self.take(request.client.host if request.client else ""):
                raise AuthError(429, "over_request_rate_limit", "Request rate limit reached")
            return await endpoint(request)

        return guarded

    def take_mail(self) -> None:
        """Count a mail.

        Raises:
            AuthError: the project has sent too many.
        """
        if not self.take(""):
            raise AuthError(429, "over_email_send_rate_limit", "email rate limit exceeded")
