"""What LinkedIn's options take."""

from typing import Annotated, Literal

from pydantic import Field

from functions.platforms.lengths import CHARACTERS
from functions.platforms.option_settings import OptionSettings
from functions.platforms.rules import CaptionRule, MediaRule, Option, Span

Words = Annotated[str, Field(min_length=1)]


class LinkedInSettings(OptionSettings):
    """What all of LinkedIn's options know."""

    visibility: Literal["PUBLIC", "CONNECTIONS"] = "PUBLIC"
    allow_resharing: bool = True


class LinkedInImageSettings(LinkedInSettings):
    """`linkedin_post` and `linkedin_images`."""

    alt_texts: tuple[str, ...] = Field(default=(), strict=False)
    """What each image shows, in the order of the files."""


class LinkedInTitleSettings(LinkedInSettings):
    """`linkedin_video` and `linkedin_document`."""

    title: Words | None = None
    """A document without one shows the name of its file."""


class LinkedInArticleSettings(LinkedInSettings):
    """`linkedin_article`: a card that leads to a page. LinkedIn does not read the page, so its words are given."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2000)]
    title: Words
    description: Words | None = None


# LinkedIn, images API: JPG, PNG and GIF up to 36,152,320 pixels, which are at most four bytes each; videos API: MP4
# of 3 seconds to 30 minutes up to 500 MB; documents API: PDF up to 100 MB; a commentary up to 3000 characters.
MOST_PIXELS = 36_152_320
IMAGES = dict.fromkeys(("image/jpeg", "image/png", "image/gif"), 4 * MOST_PIXELS)
COMMENTARY = CaptionRule(3000, CHARACTERS)

LINKEDIN_POST = Option(
    "linkedin_post",
    media=(MediaRule("image", IMAGES, fewest=0, most=1),),
    caption=COMMENTARY,
    settings=LinkedInImageSettings,
)
LINKEDIN_IMAGES = Option(
    "linkedin_images",
    media=(MediaRule("image", IMAGES, fewest=2, most=20),),
    caption=COMMENTARY,
    settings=LinkedInImageSettings,
)
LINKEDIN_VIDEO = Option(
    "linkedin_video",
    media=(MediaRule("video", {"video/mp4": 500_000_000}, seconds=Span(3, 1800)),),
    caption=COMMENTARY,
    settings=LinkedInTitleSettings,
)
LINKEDIN_DOCUMENT = Option(
    "linkedin_document",
    media=(MediaRule("document", {"application/pdf": 100_000_000}),),
    caption=COMMENTARY,
    settings=LinkedInTitleSettings,
)
LINKEDIN_ARTICLE = Option(
    "linkedin_article",
    media=(MediaRule("image", IMAGES, fewest=0, most=1),),
    caption=COMMENTARY,
    settings=LinkedInArticleSettings,
)
LINKEDIN_OPTIONS = (LINKEDIN_ARTICLE, LINKEDIN_DOCUMENT, LINKEDIN_IMAGES, LINKEDIN_POST, LINKEDIN_VIDEO)
