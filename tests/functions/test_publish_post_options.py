"""What each option takes, and the words and places of what it does not take."""

from typing import Any

import pytest

from functions.platforms.instagram.options import INSTAGRAM_FEED
from functions.platforms.post import MediaFile
from functions.platforms.rules import Option
from functions.platforms.tiktok.options import TIKTOK_VIDEO, TikTokVideoSettings
from functions.platforms.validation import validate

PRIVATE = {"privacy": "SELF_ONLY"}
EMOJI = "\N{GRINNING FACE}"


def file(mime: str = "video/mp4", size: int = 1000) -> MediaFile:
    return MediaFile(name="clip", size=size, type=mime, url="https://media.example/clip")


def problems(option: Option, media: list[MediaFile], caption: str = "", **settings: Any) -> list[tuple[str, str]]:
    found = validate(option, media, caption, settings)
    assert all(problem.message for problem in found)
    return [(problem.code, problem.field) for problem in found]


def test_the_example_of_the_design_document_has_no_problem() -> None:
    media = [MediaFile(name="video.mp4", size=1_024_000, type="video/mp4", url="https://media.example/video.mp4")]
    settings = {"privacy": "PUBLIC_TO_EVERYONE", "allowComments": True}
    assert validate(TIKTOK_VIDEO, media, "Legenda específica para TikTok", settings) == []
    assert validate(INSTAGRAM_FEED, media, "Legenda universal", {}) == []


@pytest.mark.parametrize(("option", "count"), [(TIKTOK_VIDEO, 0), (TIKTOK_VIDEO, 2), (INSTAGRAM_FEED, 11)])
def test_a_wrong_number_of_files_is_a_problem_of_the_files(option: Option, count: int) -> None:
    settings = PRIVATE if option is TIKTOK_VIDEO else {}
    assert problems(option, [file()] * count, **settings) == [("media_count", "mediaFiles")]


def test_each_file_of_a_wrong_type_or_size_is_named_by_its_place() -> None:
    media = [file("image/jpeg"), file("image/png"), file("image/jpeg", 8 * 1024 * 1024 + 1)]
    assert problems(INSTAGRAM_FEED, media) == [
        ("media_type", "mediaFiles.1.type"),
        ("media_too_large", "mediaFiles.2.size"),
    ]
    assert problems(TIKTOK_VIDEO, [file("VIDEO/MP4")], **PRIVATE) == []
    assert problems(TIKTOK_VIDEO, [file("image/jpeg")], **PRIVATE) == [("media_type", "mediaFiles.0.type")]


@pytest.mark.parametrize(
    ("option", "caption", "codes"),
    [
        (TIKTOK_VIDEO, "x" * 2200, []),
        (TIKTOK_VIDEO, EMOJI * 1100, []),
        (TIKTOK_VIDEO, EMOJI * 1101, ["caption_too_long"]),
        (TIKTOK_VIDEO, "\ud800", []),
        (INSTAGRAM_FEED, EMOJI * 2200, []),
        (INSTAGRAM_FEED, "x" * 2201, ["caption_too_long"]),
        (INSTAGRAM_FEED, "#a " * 30 + "@a " * 20 + "mail@example.com", []),
        (INSTAGRAM_FEED, "#a " * 31, ["too_many_hashtags"]),
        (INSTAGRAM_FEED, "@a " * 21, ["too_many_mentions"]),
    ],
)
def test_a_caption_is_counted_in_the_platforms_own_unit(option: Option, caption: str, codes: list[str]) -> None:
    settings = PRIVATE if option is TIKTOK_VIDEO else {}
    assert problems(option, [file()], caption, **settings) == [(code, "captions") for code in codes]


@pytest.mark.parametrize(
    ("settings", "code", "place"),
    [
        ({}, "setting_required", "settings.tiktok_video.privacy"),
        ({"privacy": "EVERYBODY"}, "setting_invalid", "settings.tiktok_video.privacy"),
        (PRIVATE | {"allowComments": "yes"}, "setting_invalid", "settings.tiktok_video.allowComments"),
        (PRIVATE | {"coverTimestampMs": -1}, "setting_invalid", "settings.tiktok_video.coverTimestampMs"),
        (PRIVATE | {"allowLikes": True}, "setting_unknown", "settings.tiktok_video.allowLikes"),
        (PRIVATE | {"allow_comments": True}, "setting_unknown", "settings.tiktok_video.allow_comments"),
        (PRIVATE | {"brandContent": True}, "setting_invalid", "settings.tiktok_video"),
    ],
)
def test_a_setting_that_is_wrong_is_named(settings: dict[str, Any], code: str, place: str) -> None:
    assert problems(TIKTOK_VIDEO, [file()], **settings) == [(code, place)]


def test_an_unknown_setting_is_answered_with_those_there_are() -> None:
    [problem] = validate(INSTAGRAM_FEED, [file()], "", {"privacy": "SELF_ONLY"})
    assert (problem.code, problem.field) == ("setting_unknown", "settings.instagram_feed.privacy")
    assert "coverTimestampMs" in problem.message


def test_comments_duets_and_stitches_are_allowed_unless_the_user_says_otherwise() -> None:
    settings = TikTokVideoSettings.model_validate(PRIVATE)
    assert settings.allow_comments
    assert settings.allow_duet
    assert settings.allow_stitch


def test_the_name_of_an_unknown_setting_is_not_repeated_whole() -> None:
    (problem,) = validate(INSTAGRAM_FEED, [file()], "", {"k" * 100_000: 1})
    assert problem.code == "setting_unknown"
    assert len(problem.field) < 300 and len(problem.message) < 500
