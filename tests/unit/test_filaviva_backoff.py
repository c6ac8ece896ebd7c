"""Waits grow, stay bounded and are never the same for everyone."""

import pytest

from filaviva.backoff import Backoff, jittered


def test_waits_double_to_the_last_and_are_cut_by_at_most_half() -> None:
    backoff = Backoff(1, 30)
    for whole in (1, 2, 4, 8, 16, 30, 30):
        assert whole / 2 <= backoff.next() <= whole


def test_after_a_reset_the_waits_begin_again() -> None:
    backoff = Backoff(1, 30)
    for _ in range(6):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1


def test_whole_waits_are_exact() -> None:
    backoff = Backoff(1, 30)
    assert [backoff.next_whole() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("draw", [lambda: Backoff().next(), lambda: jittered(30)])
def test_two_clients_do_not_wait_alike(draw: object) -> None:
    assert callable(draw)
    assert len({draw() for _ in range(20)}) > 1


def test_a_jittered_wait_is_about_as_long_as_asked() -> None:
    assert all(24 <= jittered(30) <= 36 for _ in range(100))
