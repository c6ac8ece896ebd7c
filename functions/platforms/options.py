"""The publication options: what each one takes, and what is wrong with a post that it does not take."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from functions.platforms.option_settings import InstagramFeedSettings, OptionSettings, TikTokVideoSettings
from functions.platforms.post import MediaFile

HASHTAG = re.compile(r"#\w+")
MENTION = re.compile(r"(?<![\w.])@\w")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a post cannot go out; `field` is the place in the publication request, such as `mediaFiles.0.type`."""

    code: str
    message: str
    field: str


@dataclass(frozen=True, slots=True)
class CaptionRule:
    """How long a caption may be."""

    limit: int
    unit: Literal["UTF-16 units", "characters"]
    """Most emoji are one character and two UTF-16 units."""
    hashtags: int | None = None
    mentions: int | None = None

    def length(self, caption: str) -> int:
        """The caption's length in the platform's unit."""
        return len(caption) if self.unit == "characters" else len(caption.encode("utf-16-le", "surrogatepass")) // 2


@dataclass(frozen=True, slots=True)
class Option:
    """One `<platform>_<format>`."""

    name: str
    fewest_files: int
    most_files: int
    most_bytes: Mapping[str, int]
    """The MIME types it takes, each with the largest size of a file."""
    caption: CaptionRule
    settings: type[OptionSettings]

    @property
    def platform(self) -> str:
        """The platform it publishes on."""
        return self.name.partition("_")[0]


# TikTok, media transfer guide: MP4, WebM or MOV up to 4 GB; a title up to 2200 UTF-16 units.
TIKTOK_VIDEO = Option(
    "tiktok_video",
    fewest_files=1,
    most_files=1,
    most_bytes=dict.fromkeys(("video/mp4", "video/quicktime", "video/webm"), 4_000_000_000),
    caption=CaptionRule(2200, "UTF-16 units"),
    settings=TikTokVideoSettings,
)
# Instagram, content publishing reference: JPEG up to 8 MiB, MP4 or MOV up to 300 MB, at most ten files in a
# carousel; a caption up to 2200 characters with 30 hashtags and 20 mentions.
INSTAGRAM_FEED = Option(
    "instagram_feed",
    fewest_files=1,
    most_files=10,
    most_bytes={"image/jpeg": 8 * 1024 * 1024, "video/mp4": 300_000_000, "video/quicktime": 300_000_000},
    caption=CaptionRule(2200, "characters", hashtags=30, mentions=20),
    settings=InstagramFeedSettings,
)
OPTIONS: Mapping[str, Option] = {option.name: option for option in (TIKTOK_VIDEO, INSTAGRAM_FEED)}
"""Every option there is, by its name."""


def validate(option: Option, media: Sequence[MediaFile], caption: str, settings: Mapping[str, Any]) -> list[Problem]:
    """Everything that keeps this post from going out by this option; empty when nothing does.

    Args:
        option: one of `OPTIONS`.
        media: the files, in the order in which they are to appear.
        caption: already resolved for this option.
        settings: the option's own part of the request's settings.
    """
    return [
        *_media_problems(option, media),
        *_caption_problems(option, caption),
        *_settings_problems(option, settings),
    ]


def _media_problems(option: Option, media: Sequence[MediaFile]) -> Iterator[Problem]:
    if not option.fewest_files <= len(media) <= option.most_files:
        wanted = _count(option.fewest_files, option.most_files)
        yield Problem("media_count", f"{option.name} takes {wanted}; there are {len(media)}.", "mediaFiles")
    for index, file in enumerate(media):
        most = option.most_bytes.get(file.type.lower())
        if most is None:
            types = ", ".join(option.most_bytes)
            yield Problem("media_type", f"{option.name} takes {types}, not {file.type}.", f"mediaFiles.{index}.type")
        elif file.size > most:
            message = f"{option.name} takes {file.type} up to {most} bytes; this file has {file.size}."
            yield Problem("media_too_large", message, f"mediaFiles.{index}.size")


def _caption_problems(option: Option, caption: str) -> Iterator[Problem]:
    rule = option.caption
    counts = (
        ("caption_too_long", rule.length(caption), rule.limit, rule.unit),
        ("too_many_hashtags", len(HASHTAG.findall(caption)), rule.hashtags, "hashtags"),
        ("too_many_mentions", len(MENTION.findall(caption)), rule.mentions, "mentions"),
    )
    for code, count, limit, unit in counts:
        if limit is not None and count > limit:
            message = f"{option.name} takes a caption of at most {limit} {unit}; this one has {count}."
            yield Problem(code, message, "captions")


def _settings_problems(option: Option, settings: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        option.settings.model_validate(settings)
    except ValidationError as error:
        for each in error.errors():
            place = ".".join(["settings", option.name, *(f"{part!s:.200}" for part in each["loc"])])
            match each["type"]:
                case "extra_forbidden":
                    known = ", ".join(str(field.alias) for field in option.settings.model_fields.values())
                    yield Problem("setting_unknown", f"{place} is not a setting; there are {known}.", place)
                case "missing":
                    yield Problem("setting_required", f"{place} is required.", place)
                case _:
                    yield Problem("setting_invalid", f"{place}: {each['msg'].removeprefix('Value error, ')}.", place)


def _count(fewest: int, most: int) -> str:
    if fewest == most:
        return f"exactly {fewest} file" + ("s" if fewest > 1 else "")
    return f"{fewest} to {most} files"
