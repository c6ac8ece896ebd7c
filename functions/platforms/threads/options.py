"""What Threads' options take.

Source: the Threads API's reference; the sizes and lengths of media are those of its media guide.
"""

from typing import Annotated, Literal

from pydantic import Field

from functions.platforms.lengths import EMOJI_AS_BYTES
from functions.platforms.option_settings import OptionSettings
from functions.platforms.rules import CaptionRule, MediaRule, Option, Span


class ThreadsSettings(OptionSettings):
    """`threads_post`, `threads_carousel`."""

    reply_control: Literal["everyone", "accounts_you_follow", "mentioned_only"] | None = None
    """Who may answer; everybody where it is not given."""
    topic_tag: Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[^.&]*$")] | None = None
    """The post's topic, without the sign `#`."""


MEDIA = dict.fromkeys(("image/jpeg", "image/png"), 8_000_000) | dict.fromkeys(
    ("video/mp4", "video/quicktime"), 1_000_000_000
)
TEXT = CaptionRule(500, EMOJI_AS_BYTES)


def _media(fewest: int) -> MediaRule:
    return MediaRule("image or video", MEDIA, fewest, most=20, seconds=Span(0, 300), ratio=Span(0.01, 10))


THREADS_POST = Option("threads_post", (_media(0),), TEXT, ThreadsSettings, aliases=("threads_text",))
THREADS_CAROUSEL = Option("threads_carousel", (_media(2),), TEXT, ThreadsSettings)
THREADS_OPTIONS = (THREADS_POST, THREADS_CAROUSEL)
