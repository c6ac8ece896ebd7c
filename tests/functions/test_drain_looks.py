"""How often a drain looks for work in a queue that runs as many jobs as it may."""

from functions.worker.ledger import Claimed
from functions.worker.looks import Looks
from functions.worker.pace import Pace
from tests.functions.scripted import claimed, claimed_job

PACE = Pace(first_pause=0.05, longest_pause=0.5)
ONE = claimed(claimed_job(1))
FULL, NOTHING = Claimed(state="enough"), Claimed(state="empty")


class Clock:
    """A clock that stands still."""

    def __call__(self) -> float:
        return 100.0


def pause_after(*answers: Claimed) -> float:
    """Seconds until the next look, when claims for six jobs were answered so."""
    looks = Looks(PACE, Clock())
    for answer in answers:
        looks.began()
        looks.answered(answer, 6, beside_another=False)
    return round(looks.at - 100.0, 3)


def test_a_full_queue_is_looked_at_ever_less_often() -> None:
    assert pause_after(FULL) < pause_after(FULL, FULL) < pause_after(FULL, FULL, FULL)


def test_a_job_that_takes_the_place_of_one_that_ended_brings_no_look_nearer() -> None:
    assert pause_after(*[FULL] * 8, ONE) == pause_after(*[FULL] * 8) == 0.5


def test_a_queue_that_is_not_full_any_more_is_looked_at_as_soon_as_before() -> None:
    assert pause_after(*[FULL] * 8, NOTHING, ONE) == pause_after(ONE) == 0.05


def test_a_claim_that_was_filled_is_followed_at_once() -> None:
    assert pause_after(*[FULL] * 8, claimed(*[claimed_job(n) for n in range(6)])) == 0
