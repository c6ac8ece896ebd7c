"""Publications and limits: what a platform refuses for a while is waited for by all whom it concerns."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from functions.handlers.publish_post import publish_post
from functions.jobs.outcomes import Done, Hold, JobError, Outcome, Reject, Retry, Snooze
from functions.platforms.answers import Auth, CallFailed, Failure, NotPublished, Pending, Published, Quota, Ready
from functions.platforms.post import Account, PollPlan, Post
from tests.functions.publishing import RecordingLease, Stage, new_job, new_lease, open_stage
from tests.functions.test_publish_faults import ENTRIES, Entry, play_entry

pytestmark = pytest.mark.asyncio(loop_scope="module")

USED_UP = JobError("used_up", "The account has posted enough today.")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("media")) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(opened: Stage) -> Stage:
    await opened.http.delete(f"{opened.providers}/_state")
    return opened


ONE_OF_EACH = {entry.platform: entry for entry in ENTRIES}
CLEAR = [entry for name, entry in ONE_OF_EACH.items() if name not in ("linkedin", "youtube")]
"""LinkedIn refuses for a moment or for a day and does not say which, and YouTube takes a file in the same call."""


@pytest.mark.parametrize("entry", CLEAR, ids=str)
async def test_a_call_that_is_refused_as_one_too_many_spends_no_attempt_and_posts_once(
    stage: Stage, entry: Entry
) -> None:
    await stage.order(entry.platform, entry.public_step, "rate_limit", seconds=30)
    played = await play_entry(entry, stage)
    assert isinstance(played.last, Done), played.outcomes
    assert (played.count(Hold), played.count(Retry)) == (1, 0)
    assert len(await stage.ledger()) == 1


class Scripted:
    """A platform whose steps fail as told."""

    name = "x"
    polling = PollPlan((5,), most_looks=3)

    def __init__(self, **failures: Failure) -> None:
        self.failures = failures

    def _meet(self, step: str) -> None:
        if step in self.failures:
            raise CallFailed(self.failures[step])

    async def prepare(self, post: Post, account: Account, remote: dict[str, Any], looks: int) -> Ready:
        self._meet("prepare")
        return Ready({"uploaded": "media-1"})

    async def finish(self, post: Post, account: Account, remote: dict[str, Any]) -> Published:
        self._meet("finish")
        return Published({})

    async def poll(
        self, post: Post, account: Account, remote: dict[str, Any], looks: int
    ) -> Pending | Published | NotPublished:
        self._meet("poll")
        refused = self.failures["found"]
        assert isinstance(refused, Quota)
        return NotPublished(refused)


async def run(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    failures: dict[str, Failure],
    lease: RecordingLease | None = None,
    *,
    committed: bool = False,
) -> Outcome:
    monkeypatch.setattr("functions.handlers.publish_post.build_platform", lambda *_: Scripted(**failures))
    checkpoint = {"remote": {"uploaded": "media-1"}, "looks": 2, "account": new_account()} if committed else None
    job = new_job(committed=committed, checkpoint=checkpoint)
    return await publish_post(job, stage.payload("x_post"), stage.context(lease or new_lease()))


def new_account() -> str:
    account = new_lease().account
    assert account is not None
    return str(account["external_id"])


@pytest.mark.parametrize(
    ("scope", "limiter"),
    [("post", None), ("account", "account_posts"), ("calls", "account_calls"), ("app", "x_app")],
)
async def test_the_limit_that_cools_down_is_that_of_all_whom_it_concerns(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, scope: Any, limiter: str | None
) -> None:
    outcome = await run(stage, monkeypatch, {"prepare": Quota(USED_UP, 600, scope)})
    assert outcome == Hold(USED_UP, 600, limiter, None)


async def test_after_the_commit_a_refusal_waits_and_begins_afresh(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = new_lease()
    outcome = await run(stage, monkeypatch, {"finish": Quota(USED_UP, 600)}, lease)
    assert outcome == Hold(USED_UP, 600, "account_posts", {})
    assert len(lease.commits) == 1


async def test_a_post_that_the_platform_took_and_then_refused_for_a_cap_waits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = await run(stage, monkeypatch, {"found": Quota(USED_UP, 600)}, committed=True)
    assert outcome == Hold(USED_UP, 600, "account_posts", {})


async def test_a_look_that_could_not_be_made_is_no_look_and_keeps_what_is_known(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = await run(stage, monkeypatch, {"poll": Quota(USED_UP, 600, "calls")}, committed=True)
    assert isinstance(outcome, Snooze)
    assert (outcome.until, outcome.limiter) == (timedelta(seconds=600), "account_calls")
    assert outcome.checkpoint is not None
    assert (outcome.checkpoint["remote"], outcome.checkpoint["looks"]) == ({"uploaded": "media-1"}, 2)


async def test_a_cap_on_posts_that_a_look_meets_holds_up_no_other_post(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = await run(stage, monkeypatch, {"poll": Quota(USED_UP, 600)}, committed=True)
    assert isinstance(outcome, Snooze)
    assert outcome.limiter is None


@pytest.mark.parametrize("step", ["prepare", "finish"])
async def test_a_wait_of_more_than_a_day_is_a_refusal(stage: Stage, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    assert await run(stage, monkeypatch, {step: Quota(USED_UP, 86_401)}) == Reject(USED_UP)


async def test_an_expired_sign_in_at_the_last_call_is_no_matter_of_limits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = await run(stage, monkeypatch, {"finish": Auth(JobError("token_refused", "Sign in again."))})
    assert isinstance(outcome, Reject)
    assert outcome.error.code == "reconnect_required"
