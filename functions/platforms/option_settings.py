"""What the settings of every option have in common; each platform's own are in its package."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from functions.platforms.lengths import Unit

Milliseconds = Annotated[int, Field(ge=0)]


class OptionSettings(BaseModel):
    """The settings a user may give with an option: camel case names, nothing unknown, nothing converted."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, serialize_by_alias=True
    )


def at_most(limit: int, unit: Unit) -> AfterValidator:
    """For a setting that is text, such as a title: at most `limit` of a platform's own units.

    Use: `title: Annotated[str, at_most(100, CHARACTERS)]`.
    """

    def check(text: str) -> str:
        if (length := unit.measure(text)) > limit:
            raise ValueError(f"takes at most {limit} {unit.name}; this has {length}")
        return text

    return AfterValidator(check)
