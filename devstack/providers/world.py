"""What the doubles of one application share: rules, ledger, faults, numbers, and who a token belongs to."""

import itertools
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from devstack.providers.faults import Faults
from devstack.providers.ledger import Ledger
from devstack.providers.under_way import UnderWay

TOKEN_PREFIX = "double:"  # noqa: S105 - not a secret: the doubles accept it from anybody


@dataclass(frozen=True, slots=True)
class ProviderRules:
    """How the doubles behave where the real platforms vary."""

    processing_polls: int = 1
    """Polls that answer "still processing" before a post or a container is ready."""
    unseen_looks: int = 1
    """Looks that do not show yet what has just gone out: lists of posts and the state of containers lag behind."""
    instagram_quota_total: int = 10_000
    """Posts an account may make in 24 hours. The real limit is 50 or 100; load tests make more."""
    threads_quota_total: int = 10_000
    """The same for Threads, whose real limit is 250."""
    latency_seconds: float = 0
    """How long every step takes before it begins, as a platform on another continent does."""


@dataclass(slots=True)
class World:
    """State of one application of doubles."""

    rules: ProviderRules = ProviderRules()
    ledger: Ledger = field(default_factory=Ledger)
    faults: Faults = field(default_factory=Faults)
    under_way: UnderWay = field(default_factory=UnderWay)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    tls: ssl.SSLContext = field(default_factory=httpx.create_ssl_context)
    """For pulling media."""

    def next_number(self) -> int:
        """A number that was not given before."""
        return next(self.numbers)


def token_for(account: str) -> str:
    """The access token that every double accepts for the account with this external id."""
    return TOKEN_PREFIX + account


def account_of(token: str) -> str | None:
    """Whose token this is; None for a token that the doubles refuse, which is any other shape.

    What follows a ``#`` tells the tokens of one account apart.
    """
    account = token.removeprefix(TOKEN_PREFIX)
    return account.partition("#")[0] or None if account != token else None
