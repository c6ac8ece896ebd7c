"""Several faults at once, drawn by lot: whatever happens, a job makes at most one post, and says so truly."""

from collections.abc import AsyncIterator, Sequence
from random import Random

import pytest
import pytest_asyncio

from devstack.providers.app import STEPS
from functions.jobs.outcomes import Done, Outcome, Unconfirmed
from tests.functions.publishing import ProcessDied, Stage, new_lease, open_stage, play
from tests.functions.test_publish_faults import ENTRIES, MODES, Entry, payload_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK_MODES = tuple(mode for mode in MODES if mode != "hang")
"""A fault that hangs costs a time limit; the long campaign bears it."""

MOST_RUNS = 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("media")) as opened:
        yield opened


async def order(stage: Stage, entry: Entry, lot: Random, modes: tuple[str, ...]) -> list[tuple[str, str, int]]:
    """Break about half of a platform's steps, each for its next few calls."""
    faults = [(step, lot.choice(modes), lot.randint(1, 3)) for step in STEPS[entry.platform] if lot.random() < 0.5]
    await stage.http.delete(f"{stage.providers}/_state")
    for step, mode, times in faults:
        await stage.order(entry.platform, step, mode, times=times, seconds=2)
    return faults


def is_true(outcome: Outcome, posts: int) -> bool:
    """Whether the outcome says what the platform's users see."""
    if isinstance(outcome, Unconfirmed):
        return posts <= 1
    return posts == isinstance(outcome, Done)


async def campaign(stage: Stage, lot: Random, entries: Sequence[Entry], modes: tuple[str, ...]) -> None:
    for number, entry in enumerate(entries):
        faults = await order(stage, entry, lot, modes)
        lease = new_lease(entry.kind, dict(entry.extra))
        lease.failing = ProcessDied() if lot.random() < 0.2 else None
        played = await play(stage, payload_of(entry, stage), lease, MOST_RUNS)
        posts = len(await stage.ledger())
        assert is_true(played.last, posts), (number, str(entry), faults, posts, played.outcomes)


async def test_a_broken_job_of_every_sort_makes_no_second_post_and_says_what_happened(stage: Stage) -> None:
    await campaign(stage, Random(1), ENTRIES, QUICK_MODES)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [2, 3])
async def test_hundreds_of_broken_jobs_make_no_second_post_and_say_what_happened(stage: Stage, seed: int) -> None:
    lot = Random(seed)
    await campaign(stage, lot, lot.choices(ENTRIES, k=400), MODES)
