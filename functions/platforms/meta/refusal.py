"""A refusal of the call that publishes, kept until it is certain that the platform meant it.

Instagram and Threads have been seen to refuse a container ("action is blocked", "no permission", "limit reached") and
to publish it all the same. So the container's own status has the last word, and the refusal waits in the checkpoint.
"""

from typing import Self

from pydantic import BaseModel, ConfigDict

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms.answers import Permanent, Quota, Scope


class Refusal(BaseModel):
    """What a refusal said."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    details: JsonObject = {}
    after_seconds: float | None = None
    """Of a used up allowance: how long to wait."""
    scope: Scope = "account"
    """Of a used up allowance: who has to wait."""

    @classmethod
    def of(cls, failure: Permanent | Quota) -> Self:
        """The refusal in a failure."""
        refusal = cls.model_validate(failure.error.to_json())
        if isinstance(failure, Permanent):
            return refusal
        return refusal.model_copy(update={"after_seconds": failure.after_seconds, "scope": failure.scope})

    @property
    def failure(self) -> Permanent | Quota:
        """The failure that it came from."""
        error = JobError(self.code, self.message, self.details)
        return Permanent(error) if self.after_seconds is None else Quota(error, self.after_seconds, self.scope)
