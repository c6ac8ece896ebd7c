"""What Instagram's options take.

Sources: Instagram's content publishing reference; the lengths and sizes of stories are those of its media guide.
"""

from functions.platforms.lengths import CHARACTERS
from functions.platforms.option_settings import Milliseconds, OptionSettings
from functions.platforms.rules import CaptionRule, MediaRule, Option, Span


class InstagramSettings(OptionSettings):
    """`instagram_carousel`, `instagram_story`."""

    ai_generated: bool | None = None
    """Label the post as made by AI."""


class InstagramReelsSettings(InstagramSettings):
    """`instagram_reels`, and `instagram_feed`, where the last two count for a single video."""

    cover_timestamp_ms: Milliseconds | None = None
    """Frame of the video that becomes its cover, in milliseconds from its start."""
    share_to_feed: bool = True
    """Whether the reel is also shown in the feed."""


IMAGES = {"image/jpeg": 8 * 1024 * 1024}
VIDEO_TYPES = ("video/mp4", "video/quicktime")
VIDEOS = dict.fromkeys(VIDEO_TYPES, 300_000_000)
CAPTION = CaptionRule(2200, CHARACTERS, hashtags=30, mentions=20)

# From 4:5 to 1.91:1, which pictures of whole pixels such as 1200 by 628 pass by a hair.
IMAGE = MediaRule("image", IMAGES, ratio=Span(0.8, 1.92))
REEL = MediaRule("video", VIDEOS, seconds=Span(3, 900), ratio=Span(0.01, 10))
CAROUSEL = MediaRule("image or video", IMAGES | VIDEOS, fewest=2, most=10)
STORY_VIDEO = MediaRule("video", dict.fromkeys(VIDEO_TYPES, 100_000_000), seconds=Span(3, 60))

INSTAGRAM_FEED = Option("instagram_feed", (IMAGE, REEL, CAROUSEL), CAPTION, InstagramReelsSettings)
INSTAGRAM_CAROUSEL = Option("instagram_carousel", (CAROUSEL,), CAPTION, InstagramSettings)
INSTAGRAM_REELS = Option("instagram_reels", (REEL,), CAPTION, InstagramReelsSettings, aliases=("instagram_reel",))
INSTAGRAM_STORY = Option(
    "instagram_story",
    (MediaRule("image", IMAGES), STORY_VIDEO),
    caption=None,
    settings=InstagramSettings,
    aliases=("instagram_stories",),
)
INSTAGRAM_OPTIONS = (INSTAGRAM_FEED, INSTAGRAM_CAROUSEL, INSTAGRAM_REELS, INSTAGRAM_STORY)
