"""What TikTok's options take."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from functions.platforms.lengths import UTF16_UNITS
from functions.platforms.option_settings import Milliseconds, OptionSettings, at_most
from functions.platforms.rules import CaptionRule, MediaRule, Option, Span


class TikTokDirectSettings(OptionSettings):
    """What is posted at once. TikTok requires that the user chooses who sees the post, so `privacy` has no default."""

    privacy: Literal["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"]
    allow_comments: bool = True
    brand_content: bool = False
    """The post advertises somebody else's business."""
    brand_organic: bool = False
    """The post advertises the account's own business."""

    @model_validator(mode="after")
    def _branded_content_is_visible(self) -> Self:
        if self.brand_content and self.privacy == "SELF_ONLY":
            raise ValueError("branded content cannot have the privacy SELF_ONLY")
        return self


class TikTokVideoSettings(TikTokDirectSettings):
    """`tiktok_video`."""

    allow_duet: bool = True
    allow_stitch: bool = True
    ai_generated: bool | None = None
    """Label the post as made by AI."""
    cover_timestamp_ms: Milliseconds | None = None
    """Frame of the video that becomes its cover, in milliseconds from its start."""


class TikTokPhotoDraftSettings(OptionSettings):
    """`tiktok_photo_draft`: the user chooses the rest in the app."""

    title: Annotated[str, at_most(90, UTF16_UNITS)] | None = None
    cover_index: Annotated[int, Field(ge=0, le=34)] = 0
    """Which photo is the cover, counted from 0."""


class TikTokPhotoSettings(TikTokPhotoDraftSettings, TikTokDirectSettings):
    """`tiktok_photo`."""

    add_music: bool = False
    """Let TikTok choose music."""


class TikTokVideoDraftSettings(OptionSettings):
    """`tiktok_video_draft`: the user chooses everything in the app."""


# TikTok, media transfer guide: MP4, WebM or MOV up to 4 GB and ten minutes; up to 35 photos of JPEG or WebP, each up
# to 20 MB. A video's title has up to 2200 UTF-16 units, the description of photos 4000.
VIDEO = MediaRule(
    "video", dict.fromkeys(("video/mp4", "video/quicktime", "video/webm"), 4_000_000_000), seconds=Span(0, 600)
)
PHOTOS = MediaRule("photo", dict.fromkeys(("image/jpeg", "image/webp"), 20_000_000), most=35)
DESCRIPTION = CaptionRule(4000, UTF16_UNITS)

TIKTOK_VIDEO = Option(
    "tiktok_video", media=(VIDEO,), caption=CaptionRule(2200, UTF16_UNITS), settings=TikTokVideoSettings
)
TIKTOK_VIDEO_DRAFT = Option("tiktok_video_draft", media=(VIDEO,), caption=None, settings=TikTokVideoDraftSettings)
TIKTOK_PHOTO = Option(
    "tiktok_photo", media=(PHOTOS,), caption=DESCRIPTION, settings=TikTokPhotoSettings, aliases=("tiktok_photos",)
)
TIKTOK_PHOTO_DRAFT = Option(
    "tiktok_photo_draft", media=(PHOTOS,), caption=DESCRIPTION, settings=TikTokPhotoDraftSettings
)
TIKTOK_OPTIONS = (TIKTOK_PHOTO, TIKTOK_PHOTO_DRAFT, TIKTOK_VIDEO, TIKTOK_VIDEO_DRAFT)
