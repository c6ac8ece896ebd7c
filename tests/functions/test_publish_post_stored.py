"""The handler and files of the bucket `media`: whose they may be, and what happens when they are gone."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from functions.handlers.publish_post import PublishPost, find_post, publish_post
from functions.jobs.outcomes import Done, Outcome, Reject, Retry, Snooze
from tests.functions.publishing import Stage, new_job, new_lease, open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")
OWNER = uuid4()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The project itself is not there: whatever is asked of Storage has no answer."""
    async with open_stage(tmp_path_factory.mktemp("media")) as running:
        yield running


def stored(payload: PublishPost, owner: UUID) -> PublishPost:
    """The same post, its file in the folder of `owner`."""
    [file] = payload.content.media_files
    files = (file.model_copy(update={"url": f"storage:media/{owner}/clip.mp4"}),)
    return payload.model_copy(update={"content": payload.content.model_copy(update={"media_files": files})})


async def test_a_job_that_names_the_files_of_another_is_refused(stage: Stage) -> None:
    """Also one that did not come through the endpoint, and one of nobody."""
    payload = stored(stage.payload("tiktok_video", "clip.mp4"), uuid4())
    for owner in (OWNER, None):
        outcome = await publish_post(new_job(user_id=owner), payload, stage.context(new_lease()))
        assert isinstance(outcome, Reject)
        assert outcome.error.code == "media_not_yours"


async def test_a_storage_without_an_answer_is_asked_again(stage: Stage) -> None:
    payload = stored(stage.payload("tiktok_video", "clip.mp4"), OWNER)
    outcome = await publish_post(new_job(user_id=OWNER), payload, stage.context(new_lease()))
    assert isinstance(outcome, Retry)
    assert outcome.error.code == "media_unreachable"


async def test_what_became_of_a_post_is_found_out_although_its_file_is_gone(stage: Stage) -> None:
    lease, payload = new_lease(), stage.payload("tiktok_video", "clip.mp4")
    context, job = stage.context(lease), new_job(user_id=OWNER)
    first = await publish_post(job, payload, context)
    assert isinstance(first, Snooze)
    assert len(lease.commits) == 1
    outcome: Outcome = first
    for _ in range(20):
        if not isinstance(outcome, Snooze):
            break
        job = job.model_copy(update={"committed": True, "checkpoint": outcome.checkpoint})
        outcome = await find_post(job, stored(payload, OWNER), context)
    assert isinstance(outcome, Done), outcome
