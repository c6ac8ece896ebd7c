"""Every platform's double, with every fault at every step: never more than one post a job, and the right end.

A platform is in this module by its entries in `ENTRIES`; nothing else names one.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from devstack.providers.app import STEPS
from functions.handlers.publish_post import PublishPost
from functions.jobs.context import CommitRefused
from functions.jobs.outcomes import Done, Unconfirmed
from functions.platforms.options import OPTIONS
from tests.functions.publishing import ACCOUNT, FILES, Played, ProcessDied, Stage, new_lease, open_stage, play

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Entry:
    """One way of publishing by one option."""

    option: str
    files: tuple[str, ...]
    """Of `FILES`."""
    steps: tuple[str, ...]
    """The steps of the double that this entry is to try with every fault; the last makes the post public, unless
    `public` names another."""
    public: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    shows_caption: bool = True
    provable: bool = True
    """Whether the platform tells afterwards if a post went out whose answer was lost."""
    absence_provable: bool = True
    """Whether it also tells that none went out."""

    @property
    def platform(self) -> str:
        return OPTIONS[self.option].platform

    @property
    def public_step(self) -> str:
        return self.public or self.steps[-1]

    def __str__(self) -> str:
        return "-".join([self.option, *(name.partition(".")[2] for name in self.files)])


CONTAINER = ("container", "container_status", "permalink", "publishing_limit")
ENTRIES = [
    Entry("facebook_feed", (), ("published_posts", "feed")),
    Entry("facebook_feed", ("a.jpg", "b.jpg"), ("photos", "feed")),
    Entry("facebook_feed", ("clip.mp4",), ("video_finish",)),
    Entry("facebook_photo", ("a.jpg",), ("feed",)),
    Entry("facebook_video", ("long.mp4",), ("video_start", "video_transfer", "video_status", "video_finish")),
    Entry("facebook_reels", ("clip.mp4",), ("video_start", "video_upload", "video_status", "video_finish")),
    Entry("facebook_story", ("a.jpg",), ("photos", "photo_stories"), shows_caption=False, provable=False),
    Entry("facebook_story", ("clip.mp4",), ("video_upload", "video_finish"), shows_caption=False, provable=False),
    Entry("instagram_feed", ("a.jpg",), (*CONTAINER, "media_publish")),
    Entry("instagram_feed", ("clip.mp4",), ("media_publish",)),
    Entry("instagram_carousel", ("a.jpg", "b.jpg", "clip.mp4"), ("container", "container_status", "media_publish")),
    Entry("instagram_reels", ("clip.mp4",), ("media_publish",)),
    Entry("instagram_story", ("a.jpg",), ("media_publish",), shows_caption=False),
    Entry("linkedin_article", ("a.jpg",), ("create_post",), settings={"url": "https://example.com", "title": "Title"}),
    Entry("linkedin_document", ("pages.pdf",), ("upload", "create_post")),
    Entry(
        "linkedin_images",
        ("a.jpg", "b.jpg"),
        ("initialize_upload", "media_status", "create_post"),
        kind="organization",
    ),
    Entry("linkedin_post", (), ("create_post",)),
    Entry("linkedin_post", ("a.jpg",), ("initialize_upload", "upload", "create_post")),
    Entry(
        "linkedin_video",
        ("long.mp4",),
        ("initialize_upload", "upload", "finalize_upload", "media_status", "create_post"),
    ),
    Entry("threads_post", (), ("container", "threads_publish")),
    Entry("threads_post", ("a.jpg",), (*CONTAINER, "threads_publish")),
    Entry("threads_carousel", ("a.jpg", "clip.mp4"), ("container_status", "threads_publish")),
    Entry(
        "tiktok_video",
        ("clip.mp4",),
        ("creator_info", "video_init", "status_fetch", "upload"),
        settings={"privacy": "SELF_ONLY"},
    ),
    Entry("tiktok_video_draft", ("clip.mp4",), ("inbox_video_init", "status_fetch", "upload"), shows_caption=False),
    Entry(
        "tiktok_photo",
        ("a.jpg", "b.jpg"),
        ("creator_info", "status_fetch", "content_init"),
        settings={"privacy": "SELF_ONLY"},
        provable=False,
    ),
    Entry("tiktok_photo_draft", ("a.jpg",), ("content_init",), provable=False),
    Entry("x_post", (), ("recent_posts", "create_post"), absence_provable=False),
    Entry(
        "x_post",
        ("a.jpg", "b.jpg"),
        ("media_initialize", "media_append", "media_finalize", "create_post"),
        absence_provable=False,
    ),
    Entry("x_post", ("clip.mp4",), ("media_status", "create_post"), absence_provable=False),
    Entry("youtube_shorts", ("clip.mp4",), ("upload",)),
    Entry("youtube_video", ("clip.mp4",), ("open_session", "probe", "video_state", "upload")),
]
MODES = ("fail_before", "fail_after", "hang", "reset", "rate_limit")
UNCLEAR = ("fail_before", "fail_after", "hang", "reset")
"""At the step that makes the post public, these leave its fate open; `rate_limit` refuses it."""
QUICK = ("fail_after", "reset", "rate_limit")
"""What every step meets in an ordinary run; the public steps meet all modes, and the rest is for `make faults`."""


def _marks(entry: Entry, step: str, mode: str) -> tuple[pytest.MarkDecorator, ...]:
    return () if step == entry.public_step or mode in QUICK else (pytest.mark.faults,)


FAULTS = [
    pytest.param(entry, step, mode, id=f"{entry}-{step}-{mode}", marks=_marks(entry, step, mode))
    for entry in ENTRIES
    for step in entry.steps
    for mode in MODES
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("media")) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(opened: Stage) -> Stage:
    await opened.http.delete(f"{opened.providers}/_state")
    return opened


def payload_of(entry: Entry, stage: Stage) -> PublishPost:
    return stage.payload(entry.option, *entry.files, settings=dict(entry.settings))


async def play_entry(entry: Entry, stage: Stage, *, failing: BaseException | None = None) -> Played:
    lease = new_lease(entry.kind, dict(entry.extra))
    lease.failing = failing
    return await play(stage, payload_of(entry, stage), lease)


async def test_every_step_of_every_double_is_in_the_table() -> None:
    tried = {(entry.platform, step) for entry in ENTRIES for step in entry.steps}
    publishing = {(name, step) for name, steps in STEPS.items() if name != "oauth" for step in steps}
    assert publishing - tried == set()
    assert {entry.option for entry in ENTRIES} == set(OPTIONS)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
async def test_a_post_goes_out_once_with_its_media_and_its_words(stage: Stage, entry: Entry) -> None:
    played = await play_entry(entry, stage)
    assert isinstance(played.last, Done), played.outcomes
    result = played.last.result
    assert (result["platform"], result["option"], result["account"]) == (entry.platform, entry.option, ACCOUNT)
    assert result["platform_response"]

    [effect] = await stage.ledger()
    caption = f"caption of {entry.option}" if entry.shows_caption else ""
    assert effect["key"] == f"{ACCOUNT}:{caption}"
    digests = [hashlib.sha256(FILES[name][1]).hexdigest() for name in entry.files]
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    assert effect["body_sha256"] == whole


@pytest.mark.parametrize(("entry", "step", "mode"), FAULTS)
async def test_one_fault_at_any_step_makes_no_second_post_and_loses_none(
    stage: Stage, entry: Entry, step: str, mode: str
) -> None:
    await stage.order(entry.platform, step, mode, seconds=5)
    played = await play_entry(entry, stage)
    effects = await stage.ledger()
    lost = mode in UNCLEAR and not entry.provable
    absent = mode == "fail_before" and not entry.absence_provable
    if step == entry.public_step and (lost or absent):
        assert isinstance(played.last, Unconfirmed), played.outcomes
        assert played.last.error.code == "outcome_unknown"
        assert len(effects) == (mode != "fail_before")
    else:
        assert isinstance(played.last, Done), played.outcomes
        assert len(effects) == 1


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
async def test_a_platform_that_breaks_as_a_post_goes_out_is_asked_until_it_tells(stage: Stage, entry: Entry) -> None:
    async def break_everything() -> None:
        await stage.order(entry.platform, entry.public_step, "fail_after")
        for step in STEPS[entry.platform]:
            if step != entry.public_step:
                await stage.order(entry.platform, step, "fail_before", times=2)

    lease = new_lease(entry.kind, dict(entry.extra))
    lease.committed = break_everything
    played = await play(stage, payload_of(entry, stage), lease)
    assert isinstance(played.last, Done if entry.provable else Unconfirmed), played.outcomes
    assert (len(await stage.ledger()), len(lease.commits)) == (1, 1)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
async def test_a_worker_that_dies_right_after_the_commit_makes_no_second_post(stage: Stage, entry: Entry) -> None:
    played = await play_entry(entry, stage, failing=ProcessDied())
    known = entry.provable and entry.absence_provable
    assert len(await stage.ledger()) == known
    if known:
        assert isinstance(played.last, Done), played.outcomes
        assert played.count(Unconfirmed) == 1
    else:
        assert isinstance(played.last, Unconfirmed), played.outcomes


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
async def test_nothing_is_public_when_the_commit_is_refused(stage: Stage, entry: Entry) -> None:
    with pytest.raises(CommitRefused):
        await play_entry(entry, stage, failing=CommitRefused("cancel_requested", "The owner has asked to cancel."))
    assert await stage.ledger() == []
