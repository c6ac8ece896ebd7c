"""What YouTube's options take."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from functions.platforms.lengths import CHARACTERS, UTF8_BYTES
from functions.platforms.option_settings import OptionSettings, at_most
from functions.platforms.rules import CaptionRule, MediaRule, Option, Span

LONGEST_TITLE = 100
LONGEST_TAGS = 500

FORBIDDEN = "<>"
"""Characters that YouTube takes neither in a title nor in a description."""

PlainTitle = Annotated[str, Field(min_length=1, pattern=f"^[^{FORBIDDEN}]*$"), at_most(LONGEST_TITLE, CHARACTERS)]


class YouTubeSettings(OptionSettings):
    """`youtube_video` and `youtube_shorts`."""

    title: PlainTitle | None = None
    """Without one, the first line of the caption; without a caption, the name of the file."""
    privacy: Literal["public", "unlisted", "private"] = "public"
    made_for_kids: bool = False
    """The user's own declaration that the video is made for children."""
    ai_generated: bool | None = None
    """The video shows something realistic that did not happen."""
    publish_at: Annotated[AwareDatetime, Field(strict=False)] | None = None
    """When a private video becomes public, with its time zone."""
    tags: tuple[str, ...] = Field(default=(), strict=False)
    category_id: Annotated[str, Field(pattern=r"^\d{1,3}$")] = "22"
    """22 is "People & Blogs", YouTube's own default."""
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    """Of title and description, such as `pt-BR`."""
    notify_subscribers: bool = True
    allow_embedding: bool | None = None
    license: Literal["youtube", "creativeCommon"] | None = None

    @model_validator(mode="after")
    def _a_later_publication_begins_private(self) -> Self:
        if self.publish_at is not None and self.privacy != "private":
            raise ValueError("publishAt needs the privacy private: the video is private until then")
        return self

    @model_validator(mode="after")
    def _tags_fit(self) -> Self:
        # YouTube counts the commas between tags, and the quotation marks that a tag with a space needs.
        length = sum(len(tag) + (2 if " " in tag else 0) for tag in self.tags) + max(0, len(self.tags) - 1)
        if length > LONGEST_TAGS:
            raise ValueError(f"all tags together take at most {LONGEST_TAGS} characters; these have {length}")
        return self


# YouTube, the description of videos.insert: any video up to 256 GiB; twelve hours; a description up to 5000 bytes.
# What is at most as wide as it is high and at most three minutes long becomes a Short.
LARGEST = 274_877_906_944
TYPES = dict.fromkeys(
    (
        "video/mp4",
        "video/quicktime",
        "video/webm",
        "video/mpeg",
        "video/x-msvideo",
        "video/x-matroska",
        "video/x-flv",
        "video/x-ms-wmv",
        "video/3gpp",
        "application/octet-stream",
    ),
    LARGEST,
)
DESCRIPTION = CaptionRule(5000, UTF8_BYTES, forbidden=FORBIDDEN)
YOUTUBE_VIDEO = Option(
    "youtube_video",
    media=(MediaRule("video", TYPES, seconds=Span(0, 43_200)),),
    caption=DESCRIPTION,
    settings=YouTubeSettings,
)
YOUTUBE_SHORTS = Option(
    "youtube_shorts",
    media=(MediaRule("video", TYPES, seconds=Span(0, 180), ratio=Span(0, 1)),),
    caption=DESCRIPTION,
    settings=YouTubeSettings,
    aliases=("youtube_short",),
)
YOUTUBE_OPTIONS = (YOUTUBE_SHORTS, YOUTUBE_VIDEO)
