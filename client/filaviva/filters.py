"""Which jobs a call is about, as conditions that must all hold; and the checks of what a caller gives."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from filaviva.errors import InvalidRequest
from filaviva.models import JobStatus, NewJob


class JobFilter(BaseModel):
    """Conditions on jobs; all that are given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: list[UUID] | None = None
    queue: str | None = None
    kind: str | None = None
    status: JobStatus | None = None
    user_id: UUID | None = None
    """Whose jobs. Needed by nobody but operators: everyone else reaches their own."""
    company_id: UUID | None = None
    instance_id: str | None = None
    group_key: str | None = None
    error_code: str | None = None
    error_text: str | None = None
    """A part of the error's message, with capitals as they stand there."""
    created_before: AwareDatetime | None = None
    created_after: AwareDatetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The conditions that were given, as the engine takes them."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_columns(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """The conditions as `(where, above, below)` on the table's columns, without `ids` and `error_text`."""
        where = self.to_json()
        bounds = {name: where.pop(name, None) for name in ("created_after", "created_before")}
        for name in ("ids", "error_text"):
            where.pop(name, None)
        above = {"created_at": bounds["created_after"]} if bounds["created_after"] else {}
        below = {"created_at": bounds["created_before"]} if bounds["created_before"] else {}
        return where, above, below


def check_filter(conditions: JobFilter | Mapping[str, Any]) -> JobFilter:
    """The conditions as a filter.

    Raises:
        InvalidRequest: one of them is unknown or has the wrong type.
    """
    try:
        return JobFilter.model_validate(conditions)
    except ValidationError as error:
        raise InvalidRequest.from_validation(error, "filter") from None


def check_new_job(job: NewJob | Mapping[str, Any], where: str) -> dict[str, Any]:
    """The job as the engine takes it: a field that is None is left out.

    Raises:
        InvalidRequest: a field is wrong; the message names it as one of `where`.
    """
    try:
        return NewJob.model_validate(job).model_dump(exclude_none=True)
    except ValidationError as error:
        raise InvalidRequest.from_validation(error, where) from None


def check_id(value: UUID | str, name: str = "job_id") -> UUID:
    """The id of a job, or of what `name` says.

    Raises:
        InvalidRequest: it is no uuid.
    """
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (ValueError, TypeError, AttributeError):
        hint = "Use the `id` that enqueue gave." if name == "job_id" else "Use the id as the database has it."
        raise InvalidRequest(f"{name}: expected a uuid, found {value!r}.", code="invalid_field", hint=hint) from None
