"""What X's option takes."""

from typing import Literal

from functions.platforms.lengths import Unit
from functions.platforms.option_settings import OptionSettings
from functions.platforms.rules import CaptionRule, MediaRule, Option, Span
from functions.platforms.x.text import weighted_length

WEIGHTED = Unit("weighted characters", weighted_length)
"""Emoji and the letters of many scripts are 2, an address is 23."""


class XPostSettings(OptionSettings):
    """`x_post`."""

    reply_settings: Literal["following", "mentionedUsers", "subscribers", "verified"] | None = None
    """Who may answer; everybody where it is not given."""
    ai_generated: bool | None = None
    """Label the post as made by AI."""
    paid_partnership: bool | None = None
    """Label the post as paid for by somebody else."""


# X, media best practices: four images up to 5 MB, or one GIF up to 15 MB, or one video up to 512 MB of half a second
# to 140 seconds and of a shape from 1:3 to 3:1.
IMAGES = MediaRule("image", dict.fromkeys(("image/jpeg", "image/png", "image/webp"), 5_000_000), fewest=0, most=4)
GIF = MediaRule("GIF", {"image/gif": 15_000_000})
VIDEO = MediaRule(
    "video",
    dict.fromkeys(("video/mp4", "video/quicktime", "video/webm"), 512_000_000),
    seconds=Span(0.5, 140),
    ratio=Span(1 / 3, 3),
)
X_POST = Option(
    "x_post",
    media=(IMAGES, GIF, VIDEO),
    caption=CaptionRule(280, WEIGHTED),
    settings=XPostSettings,
    aliases=("x_tweet",),
)
X_OPTIONS = (X_POST,)
