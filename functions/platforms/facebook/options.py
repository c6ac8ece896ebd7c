"""What Facebook's options take.

Sources: the Graph API's reference of pages, the Reels API and the Stories API. Where a video's largest size is not
stated for an option, it is that of a page's feed.
"""

from typing import Annotated

from pydantic import Field

from functions.platforms.lengths import CHARACTERS
from functions.platforms.option_settings import OptionSettings
from functions.platforms.rules import CaptionRule, MediaRule, Option, Span


class FacebookSettings(OptionSettings):
    """`facebook_photo`, `facebook_story`: none."""


class FacebookVideoSettings(OptionSettings):
    """`facebook_video`, `facebook_reels`, and `facebook_feed`, where it counts for a video."""

    title: Annotated[str, Field(min_length=1)] | None = None
    """Above the description."""


LARGEST_VIDEO = 10_000_000_000
IMAGES = dict.fromkeys(("image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff"), 10_000_000)
TEXT = CaptionRule(63206, CHARACTERS)

IMAGE = MediaRule("image", IMAGES)
FEED_VIDEO = MediaRule(
    "video", dict.fromkeys(("video/mp4", "video/quicktime"), LARGEST_VIDEO), seconds=Span(0, 4 * 3600)
)
REEL = MediaRule("video", {"video/mp4": LARGEST_VIDEO}, seconds=Span(3, 90))
STORY_VIDEO = MediaRule("video", {"video/mp4": LARGEST_VIDEO}, seconds=Span(0, 60))

FACEBOOK_FEED = Option(
    "facebook_feed", (MediaRule("image", IMAGES, fewest=0, most=10), FEED_VIDEO), TEXT, FacebookVideoSettings
)
FACEBOOK_PHOTO = Option("facebook_photo", (IMAGE,), TEXT, FacebookSettings)
FACEBOOK_VIDEO = Option("facebook_video", (FEED_VIDEO,), TEXT, FacebookVideoSettings)
FACEBOOK_REELS = Option("facebook_reels", (REEL,), TEXT, FacebookVideoSettings, aliases=("facebook_reel",))
FACEBOOK_STORY = Option(
    "facebook_story",
    (IMAGE, STORY_VIDEO),
    caption=None,
    settings=FacebookSettings,
    aliases=("facebook_stories",),
)
FACEBOOK_OPTIONS = (FACEBOOK_FEED, FACEBOOK_PHOTO, FACEBOOK_VIDEO, FACEBOOK_REELS, FACEBOOK_STORY)
