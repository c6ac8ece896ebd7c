"""What the options of YouTube, X, LinkedIn and TikTok take and what they refuse, with the place of each problem."""

from typing import Any

import pytest

from functions.platforms.options import OPTIONS, find_option
from functions.platforms.post import MediaFile
from functions.platforms.validation import validate

PRIVATE = {"privacy": "SELF_ONLY"}
CARD = {"url": "https://example.com", "title": "Title"}


def file(mime: str, size: int = 1000, **rest: Any) -> MediaFile:
    return MediaFile(name="file", size=size, type=mime, url="https://media.example/file", **rest)


JPEG, PNG, GIF, MP4, PDF = (
    file(mime) for mime in ("image/jpeg", "image/png", "image/gif", "video/mp4", "application/pdf")
)


def problems(option: str, media: list[MediaFile], caption: str, settings: dict[str, Any]) -> list[tuple[str, str]]:
    found = validate(OPTIONS[option], media, caption, settings)
    assert all(problem.message for problem in found)
    return [(problem.code, problem.field) for problem in found]


@pytest.mark.parametrize(
    ("alias", "name"), [("x_tweet", "x_post"), ("youtube_short", "youtube_shorts"), ("tiktok_photos", "tiktok_photo")]
)
def test_other_names_lead_to_the_same_option(alias: str, name: str) -> None:
    assert find_option(alias) is OPTIONS[name]


@pytest.mark.parametrize(
    ("option", "media", "caption", "settings"),
    [
        ("x_post", [], "text", {"replySettings": "verified", "aiGenerated": True}),
        ("x_post", [JPEG, PNG, PNG, JPEG], "", {}),
        ("x_post", [GIF], "", {}),
        ("x_post", [MP4], "x" * 256 + " https://example.com/a/very/long/address", {}),
        ("youtube_video", [MP4], "x" * 5000, {"title": "x" * 100, "madeForKids": True, "tags": ["a", "b"]}),
        ("youtube_video", [MP4], "", {"privacy": "private", "publishAt": "2027-01-01T10:00:00Z"}),
        ("youtube_shorts", [file("video/mp4", durationSeconds=180, width=720, height=720)], "", {}),
        ("linkedin_post", [], "x" * 3000, {"visibility": "CONNECTIONS", "allowResharing": False}),
        ("linkedin_post", [GIF], "", {"altTexts": ["what it shows"]}),
        ("linkedin_images", [PNG] * 20, "", {}),
        ("linkedin_video", [MP4], "", {"title": "Title"}),
        ("linkedin_document", [PDF], "", {}),
        ("linkedin_article", [JPEG], "", CARD),
        ("tiktok_photo", [JPEG] * 35, "x" * 4000, {**PRIVATE, "title": "x" * 90, "addMusic": True}),
        ("tiktok_photo_draft", [JPEG], "", {"coverIndex": 3}),
        ("tiktok_video_draft", [MP4], "a caption for the others, which is left out" * 100, {}),
    ],
)
def test_what_a_network_takes_has_no_problem(
    option: str, media: list[MediaFile], caption: str, settings: dict[str, Any]
) -> None:
    assert problems(option, media, caption, settings) == []


@pytest.mark.parametrize(
    ("option", "media", "caption", "settings", "problem"),
    [
        ("x_post", [], "", {}, ("caption_required", "captions")),
        ("x_post", [], "\N{CAT FACE}" * 141, {}, ("caption_too_long", "captions")),
        ("x_post", [], "x" * 257 + " https://example.com", {}, ("caption_too_long", "captions")),
        ("x_post", [PNG] * 5, "", {}, ("media_count", "mediaFiles")),
        ("x_post", [PNG, GIF], "", {}, ("media_type", "mediaFiles.1.type")),
        ("x_post", [file("video/mp4", 512_000_001)], "", {}, ("media_too_large", "mediaFiles.0.size")),
        (
            "x_post",
            [file("video/mp4", durationSeconds=141)],
            "",
            {},
            ("media_duration", "mediaFiles.0.durationSeconds"),
        ),
        ("x_post", [], "a", {"replySettings": "nobody"}, ("setting_invalid", "settings.x_post.replySettings")),
        ("youtube_video", [], "", {}, ("media_count", "mediaFiles")),
        ("youtube_video", [MP4], "\N{GRINNING FACE}" * 1251, {}, ("caption_too_long", "captions")),
        ("youtube_video", [MP4], "a <b> c", {}, ("caption_characters", "captions")),
        ("youtube_video", [MP4], "", {"title": "x" * 101}, ("setting_invalid", "settings.youtube_video.title")),
        ("youtube_video", [MP4], "", {"title": "a < b"}, ("setting_invalid", "settings.youtube_video.title")),
        (
            "youtube_video",
            [MP4],
            "",
            {"publishAt": "2027-01-01T10:00:00Z"},
            ("setting_invalid", "settings.youtube_video"),
        ),
        (
            "youtube_video",
            [MP4],
            "",
            {"privacy": "private", "publishAt": "2027-01-01T10:00:00"},
            ("setting_invalid", "settings.youtube_video.publishAt"),
        ),
        ("youtube_video", [MP4], "", {"tags": ["a b" * 166, "c"]}, ("setting_invalid", "settings.youtube_video")),
        (
            "youtube_shorts",
            [file("video/mp4", durationSeconds=181)],
            "",
            {},
            ("media_duration", "mediaFiles.0.durationSeconds"),
        ),
        ("youtube_shorts", [file("video/mp4", width=1280, height=720)], "", {}, ("media_shape", "mediaFiles.0.width")),
        ("linkedin_post", [], "x" * 3001, {}, ("caption_too_long", "captions")),
        ("linkedin_images", [PNG], "", {}, ("media_count", "mediaFiles")),
        ("linkedin_video", [file("video/webm")], "", {}, ("media_type", "mediaFiles.0.type")),
        ("linkedin_document", [PNG], "", {}, ("media_type", "mediaFiles.0.type")),
        ("linkedin_article", [], "a", {"title": "T"}, ("setting_required", "settings.linkedin_article.url")),
        (
            "linkedin_article",
            [],
            "a",
            {"title": "T", "url": "example.com"},
            ("setting_invalid", "settings.linkedin_article.url"),
        ),
        ("tiktok_photo", [JPEG] * 36, "", PRIVATE, ("media_count", "mediaFiles")),
        ("tiktok_photo", [PNG], "", PRIVATE, ("media_type", "mediaFiles.0.type")),
        ("tiktok_photo", [JPEG], "", {}, ("setting_required", "settings.tiktok_photo.privacy")),
        ("tiktok_photo", [JPEG], "x" * 4001, PRIVATE, ("caption_too_long", "captions")),
        (
            "tiktok_photo",
            [JPEG],
            "",
            {**PRIVATE, "brandContent": True},
            ("setting_invalid", "settings.tiktok_photo"),
        ),
        (
            "tiktok_photo_draft",
            [JPEG],
            "",
            {"title": "x" * 91},
            ("setting_invalid", "settings.tiktok_photo_draft.title"),
        ),
        ("tiktok_video_draft", [MP4], "", PRIVATE, ("setting_unknown", "settings.tiktok_video_draft.privacy")),
    ],
)
def test_what_a_network_refuses_is_named_with_its_place(
    option: str, media: list[MediaFile], caption: str, settings: dict[str, Any], problem: tuple[str, str]
) -> None:
    assert problems(option, media, caption, settings) == [problem]
