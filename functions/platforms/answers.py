"""What a platform's answer means for a post. Every adapter sorts every answer into these classes."""

from dataclasses import dataclass
from typing import Literal

from functions.jobs.outcomes import JobError, JsonObject

Scope = Literal["post", "account", "calls", "app"]
"""Whom an allowance concerns. Post: this one alone. Account: what the account has not begun to publish. Calls: every
call for the account, also those that ask what became of a post. App: what no account has begun to publish."""


@dataclass(frozen=True, slots=True)
class Published:
    """The post is out. `result` holds its ids, its permalink and the platform's last answer."""

    result: JsonObject


@dataclass(frozen=True, slots=True)
class Pending:
    """The platform is at work; look again after `after_seconds` with `remote`."""

    remote: JsonObject
    after_seconds: float


@dataclass(frozen=True, slots=True)
class Ready:
    """All that can be undone is done. Commit `remote`, then make the irreversible call."""

    remote: JsonObject


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It did not happen, and a new attempt may succeed; not before `after_seconds`, where given."""

    error: JobError
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """An allowance is used up; it did not happen. Wait without spending an attempt."""

    error: JobError
    after_seconds: float
    scope: Scope = "account"
    """Who has to wait."""


@dataclass(frozen=True, slots=True)
class Auth:
    """The platform does not accept the account's token; its owner has to connect again."""

    error: JobError


@dataclass(frozen=True, slots=True)
class Permanent:
    """The post, the account or its rights are at fault; the same request can never succeed."""

    error: JobError


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The irreversible call got no clear answer: the post may be out or not."""

    error: JobError


@dataclass(frozen=True, slots=True)
class NotPublished:
    """Certain: the irreversible call had no effect, and cannot have one any more."""

    reason: TryAgain | Quota | Permanent


Failure = TryAgain | Quota | Auth | Permanent | Ambiguous


class CallFailed(Exception):  # noqa: N818 - it carries a failure that has a class of its own
    """Carries a failed call's class from where the answer is read to where the step is decided."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.message)
        self.failure = failure
