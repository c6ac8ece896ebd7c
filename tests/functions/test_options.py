"""Every option there is: its names, the media it takes, and the unit its caption is counted in."""

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from functions.platforms.catalogue import build_platform
from functions.platforms.lengths import CHARACTERS, EMOJI_AS_BYTES, UTF8_BYTES, UTF16_UNITS, Unit
from functions.platforms.options import ALIASES, OPTIONS, find_option
from functions.platforms.post import Account, MediaFile
from functions.platforms.validation import validate
from tests.functions.conftest import make_settings

MB = 1_000_000
FACE, FAMILY, FLAG, KEYCAP = "😀", "👩‍👩‍👧", "🇧🇷", "1️⃣"

NAMES = {
    "facebook": {"feed", "photo", "video", "reels", "story"},
    "instagram": {"feed", "carousel", "reels", "story"},
    "linkedin": {"post", "images", "video", "document", "article"},
    "threads": {"post", "carousel"},
    "tiktok": {"video", "photo", "video_draft", "photo_draft"},
    "x": {"post"},
    "youtube": {"video", "shorts"},
}


def file(mime: str, size: int = 1000, **facts: Any) -> MediaFile:
    return MediaFile.model_validate(
        {"name": "file", "size": size, "type": mime, "url": "https://media.example/file", **facts}
    )


JPEG, MP4 = file("image/jpeg"), file("video/mp4")


def problems(option: str, *media: MediaFile, caption: str = "words", **settings: Any) -> list[tuple[str, str]]:
    found = validate(OPTIONS[option], media, caption, settings)
    assert all(problem.message.startswith((option, f"settings.{option}")) for problem in found)
    return [(problem.code, problem.field) for problem in found]


def test_these_are_the_options() -> None:
    wanted = {f"{platform}_{name}" for platform, names in NAMES.items() for name in names}
    assert set(OPTIONS) == wanted
    assert all(option.platform in NAMES for option in OPTIONS.values())


async def test_every_option_has_an_adapter_of_its_platform() -> None:
    async with httpx.AsyncClient() as http:
        names = {build_platform(option.platform, http, make_settings()).name for option in OPTIONS.values()}
    assert names == set(NAMES)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("instagram_reel", "instagram_reels"),
        ("instagram_stories", "instagram_story"),
        ("facebook_reel", "facebook_reels"),
        ("facebook_stories", "facebook_story"),
        ("youtube_short", "youtube_shorts"),
        ("tiktok_photos", "tiktok_photo"),
        ("x_tweet", "x_post"),
        ("threads_text", "threads_post"),
    ],
)
def test_an_option_is_found_by_its_alias_too(alias: str, name: str) -> None:
    assert ALIASES[alias] == name
    assert find_option(alias) is find_option(name) is OPTIONS[name]


def test_no_alias_is_the_name_of_another_option() -> None:
    assert not set(ALIASES) & set(OPTIONS)
    assert len(ALIASES) == 8
    assert find_option("orkut_scrap") is None


@pytest.mark.parametrize(
    ("option", "media"),
    [
        ("facebook_feed", []),
        ("facebook_feed", [JPEG] * 10),
        ("facebook_feed", [MP4]),
        ("instagram_feed", [JPEG]),
        ("instagram_feed", [MP4]),
        ("instagram_feed", [JPEG, MP4] * 5),
        ("instagram_story", [MP4]),
        ("threads_post", []),
        ("threads_post", [JPEG, MP4] * 10),
        ("x_post", [JPEG] * 4),
        ("x_post", [file("image/gif")]),
        ("x_post", [MP4]),
    ],
)
def test_a_post_that_fits_one_choice_of_an_option_fits_the_option(option: str, media: list[MediaFile]) -> None:
    assert problems(option, *media) == []


@pytest.mark.parametrize(
    ("option", "media", "found"),
    [
        ("facebook_feed", [JPEG] * 11, [("media_count", "mediaFiles")]),
        ("facebook_feed", [MP4] * 2, [("media_count", "mediaFiles")]),
        ("facebook_feed", [JPEG, MP4], [("media_type", "mediaFiles.1.type")]),
        ("facebook_feed", [file("application/pdf")], [("media_type", "mediaFiles.0.type")]),
        ("facebook_photo", [], [("media_count", "mediaFiles")]),
        ("facebook_photo", [file("image/png", 10 * MB + 1)], [("media_too_large", "mediaFiles.0.size")]),
        ("facebook_reels", [file("video/quicktime")], [("media_type", "mediaFiles.0.type")]),
        (
            "facebook_reels",
            [file("video/mp4", durationSeconds=91)],
            [("media_duration", "mediaFiles.0.durationSeconds")],
        ),
        (
            "facebook_story",
            [file("video/mp4", durationSeconds=61)],
            [("media_duration", "mediaFiles.0.durationSeconds")],
        ),
        ("instagram_feed", [], [("media_count", "mediaFiles")]),
        ("instagram_feed", [file("image/jpeg", width=3000, height=1000)], [("media_shape", "mediaFiles.0.width")]),
        (
            "instagram_feed",
            [file("video/mp4", durationSeconds=2)],
            [("media_duration", "mediaFiles.0.durationSeconds")],
        ),
        ("instagram_carousel", [JPEG], [("media_count", "mediaFiles")]),
        ("instagram_reels", [JPEG], [("media_type", "mediaFiles.0.type")]),
        ("instagram_story", [file("video/mp4", 100 * MB + 1)], [("media_too_large", "mediaFiles.0.size")]),
        ("threads_carousel", [JPEG], [("media_count", "mediaFiles")]),
        ("threads_post", [JPEG] * 21, [("media_count", "mediaFiles")]),
        ("threads_post", [file("image/png", 8 * MB + 1)], [("media_too_large", "mediaFiles.0.size")]),
        ("x_post", [JPEG, file("image/gif")], [("media_type", "mediaFiles.1.type")]),
        ("x_post", [JPEG] * 5, [("media_count", "mediaFiles")]),
    ],
)
def test_a_post_that_fits_none_is_told_what_keeps_it_from_the_nearest(
    option: str, media: list[MediaFile], found: list[tuple[str, str]]
) -> None:
    assert problems(option, *media) == found


def test_every_choice_is_named_where_the_number_of_files_is_wrong() -> None:
    [problem] = validate(OPTIONS["facebook_feed"], [MP4] * 2, "", {})
    assert problem.message == "facebook_feed takes 0 to 10 images, or 1 video; there are 2 files."
    [problem] = validate(OPTIONS["instagram_feed"], [], "", {})
    assert "1 image, or 1 video, or 2 to 10 images or videos" in problem.message


@pytest.mark.parametrize("option", ["facebook_feed", "threads_post", "x_post", "linkedin_post"])
def test_a_post_without_media_needs_words(option: str) -> None:
    assert problems(option, caption=" \n") == [("caption_required", "captions")]
    assert problems(option, JPEG, caption="") == []


@pytest.mark.parametrize("option", ["instagram_story", "facebook_story"])
def test_a_universal_caption_does_not_keep_a_story_back(option: str) -> None:
    assert problems(option, JPEG, caption="x" * 100_000) == []


@pytest.mark.parametrize(
    ("option", "caption", "fits"),
    [
        ("facebook_feed", "x" * 63_206, True),
        ("facebook_feed", "x" * 63_207, False),
        ("instagram_reels", FACE * 2200, True),
        ("threads_post", "é" * 500, True),
        ("threads_post", FACE * 125, True),
        ("threads_post", FACE * 126, False),
        ("x_post", "x" * 280, True),
        ("x_post", FACE * 141, False),
    ],
)
def test_a_caption_is_counted_in_the_unit_of_its_platform(option: str, caption: str, fits: bool) -> None:
    media = [MP4] if option == "instagram_reels" else []
    assert problems(option, *media, caption=caption) == ([] if fits else [("caption_too_long", "captions")])


@pytest.mark.parametrize(
    ("unit", "text", "length"),
    [
        (CHARACTERS, FAMILY, 5),
        (UTF16_UNITS, FACE + "é", 3),
        (UTF16_UNITS, "\ud800", 1),
        (UTF8_BYTES, FACE + "é", 6),
        (UTF8_BYTES, "\ud800", 3),
        (EMOJI_AS_BYTES, "é" + FACE, 5),
        (EMOJI_AS_BYTES, FAMILY, 18),
        (EMOJI_AS_BYTES, FLAG, 8),
        (EMOJI_AS_BYTES, KEYCAP, 7),
        (EMOJI_AS_BYTES, "12 #*", 5),
        (EMOJI_AS_BYTES, "中文", 2),
        (EMOJI_AS_BYTES, "", 0),
    ],
)
def test_a_unit_counts(unit: Unit, text: str, length: int) -> None:
    assert unit.measure(text) == length


@pytest.mark.parametrize(
    ("option", "settings", "code"),
    [
        ("threads_post", {"topicTag": "a.b"}, "setting_invalid"),
        ("threads_post", {"topicTag": ""}, "setting_invalid"),
        ("threads_post", {"replyControl": "nobody"}, "setting_invalid"),
        ("facebook_photo", {"title": "x"}, "setting_unknown"),
        ("instagram_story", {"coverTimestampMs": 1}, "setting_unknown"),
    ],
)
def test_a_setting_that_the_platform_does_not_know_is_named(option: str, settings: dict[str, Any], code: str) -> None:
    [(found, place)] = problems(option, JPEG, **settings)
    assert (found, place) == (code, f"settings.{option}.{next(iter(settings))}")


@pytest.mark.parametrize(
    "facts", [{"durationSeconds": 0}, {"durationSeconds": "inf"}, {"width": 0}, {"height": -1}, {"duration_seconds": 1}]
)
def test_facts_of_a_file_that_cannot_be_are_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        file("video/mp4", **facts)


def test_an_account_is_read_with_and_without_what_its_platform_told() -> None:
    bare = {"external_id": "17", "access_token": "secret"}
    assert Account.read(bare) == Account("17", "secret", "", {})
    told = Account.read(bare | {"kind": "page", "extra": {"page_name": "Ana"}, "account_id": "x"})
    assert (told.kind, told.extra) == ("page", {"page_name": "Ana"})
    assert "secret" not in repr(told)
