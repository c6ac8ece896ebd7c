"""Holding a post against the rules of an option, before anything is sent."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from functions.platforms.post import MediaFile
from functions.platforms.rules import MediaRule, Option

HASHTAG = re.compile(r"#\w+")
MENTION = re.compile(r"(?<![\w.])@\w")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a post cannot go out; `field` is the place in the publication request, such as `mediaFiles.0.type`."""

    code: str
    message: str
    field: str


def validate(option: Option, media: Sequence[MediaFile], caption: str, settings: Mapping[str, Any]) -> list[Problem]:
    """Everything that keeps this post from going out by this option; empty when nothing does.

    Args:
        option: one of `options.OPTIONS`.
        media: the files, in the order in which they are to appear.
        caption: already resolved for this option.
        settings: the option's own part of the request's settings.
    """
    return [
        *_media_problems(option, media),
        *_caption_problems(option, media, caption),
        *_settings_problems(option, settings),
    ]


def _media_problems(option: Option, media: Sequence[MediaFile]) -> list[Problem]:
    """The problems with the choice that the post comes nearest to: by the types of its files, then by their number."""
    return min((list(_problems_with(option, rule, media)) for rule in option.media), key=_distance)


def _distance(problems: Sequence[Problem]) -> tuple[int, int, int]:
    codes = [problem.code for problem in problems]
    return codes.count("media_type"), codes.count("media_count"), len(codes)


def _problems_with(option: Option, rule: MediaRule, media: Sequence[MediaFile]) -> Iterator[Problem]:
    if not rule.fewest <= len(media) <= rule.most:
        choices = ", or ".join(map(str, option.media))
        yield Problem("media_count", f"{option.name} takes {choices}; there are {len(media)} files.", "mediaFiles")
    for index, file in enumerate(media):
        yield from _file_problems(option, rule, file, f"mediaFiles.{index}")


def _file_problems(option: Option, rule: MediaRule, file: MediaFile, place: str) -> Iterator[Problem]:
    most = rule.most_bytes.get(file.mime)
    if most is None:
        yield Problem("media_type", _wrong_type(option, file), f"{place}.type")
        return
    if file.size > most:
        message = f"{option.name} takes {file.type} up to {most} bytes; this file has {file.size}."
        yield Problem("media_too_large", message, f"{place}.size")
    seconds = file.duration_seconds
    if rule.seconds and seconds is not None and file.is_video and not rule.seconds.holds(seconds):
        span = f"{rule.seconds.least:g} to {rule.seconds.most:g} seconds"
        message = f"{option.name} takes videos of {span}; this one lasts {seconds:g}."
        yield Problem("media_duration", message, f"{place}.durationSeconds")
    if rule.ratio and file.width and file.height and not rule.ratio.holds(file.width / file.height):
        span = f"{rule.ratio.least:g} to {rule.ratio.most:g}"
        message = f"{option.name} takes a width of {span} times the height; this is {file.width} by {file.height}."
        yield Problem("media_shape", message, f"{place}.width")


def _wrong_type(option: Option, file: MediaFile) -> str:
    types = option.most_bytes
    if file.mime in types:
        return f"{option.name} takes {', or '.join(map(str, option.media))}, not together with this {file.type}."
    return f"{option.name} takes {', '.join(types)}, not {file.type}." if types else f"{option.name} takes no files."


def _caption_problems(option: Option, media: Sequence[MediaFile], caption: str) -> Iterator[Problem]:
    rule = option.caption
    if rule is None:
        return
    if not media and not caption.strip() and any(choice.fewest == 0 for choice in option.media):
        yield Problem("caption_required", f"{option.name} needs a caption where there is no media.", "captions")
    counts = (
        ("caption_too_long", rule.unit.measure(caption), rule.limit, rule.unit.name),
        ("too_many_hashtags", len(HASHTAG.findall(caption)), rule.hashtags, "hashtags"),
        ("too_many_mentions", len(MENTION.findall(caption)), rule.mentions, "mentions"),
    )
    for code, count, limit, unit in counts:
        if limit is not None and count > limit:
            message = f"{option.name} takes a caption of at most {limit} {unit}; this one has {count}."
            yield Problem(code, message, "captions")
    if set(rule.forbidden) & set(caption):
        message = f"{option.name} takes no caption with {' or '.join(rule.forbidden)}."
        yield Problem("caption_characters", message, "captions")


def _settings_problems(option: Option, settings: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        option.settings.model_validate(settings)
    except ValidationError as error:
        for each in error.errors():
            place = ".".join(["settings", option.name, *(f"{part!s:.200}" for part in each["loc"])])
            match each["type"]:
                case "extra_forbidden":
                    known = ", ".join(str(field.alias) for field in option.settings.model_fields.values())
                    there = f"there are {known}" if known else "this option has none"
                    yield Problem("setting_unknown", f"{place} is not a setting; {there}.", place)
                case "missing":
                    yield Problem("setting_required", f"{place} is required.", place)
                case _:
                    yield Problem("setting_invalid", f"{place}: {each['msg'].removeprefix('Value error, ')}.", place)
