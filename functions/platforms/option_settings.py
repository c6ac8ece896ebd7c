"""The settings a user may give with an option, under the names of the publication request."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Milliseconds = Annotated[int, Field(ge=0)]


class OptionSettings(BaseModel):
    """Base of all: camel case names, nothing unknown, nothing converted."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, serialize_by_alias=True
    )

    ai_generated: bool | None = None
    """Label the post as made by AI."""
    cover_timestamp_ms: Milliseconds | None = None
    """Frame of the video that becomes its cover, in milliseconds from its start."""


class TikTokVideoSettings(OptionSettings):
    """`tiktok_video`. TikTok requires that the user chooses who sees the post, so `privacy` has no default."""

    privacy: Literal["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"]
    allow_comments: bool = True
    allow_duet: bool = True
    allow_stitch: bool = True
    brand_content: bool = False
    """The post advertises somebody else's business."""
    brand_organic: bool = False
    """The post advertises the account's own business."""

    @model_validator(mode="after")
    def _branded_content_is_visible(self) -> Self:
        if self.brand_content and self.privacy == "SELF_ONLY":
            raise ValueError("branded content cannot have the privacy SELF_ONLY")
        return self


class InstagramFeedSettings(OptionSettings):
    """`instagram_feed`: nothing beyond the common ones."""
