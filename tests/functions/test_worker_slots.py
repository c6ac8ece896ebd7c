"""The places of a process, shared by its queues."""

from functions.worker.slots import Slots


def test_one_queue_alone_may_have_every_place() -> None:
    slots = Slots(10)
    assert slots.room("a") == 10
    slots.take("a", 7)
    assert slots.room("a") == 3


def test_a_queue_that_waits_is_told_and_gets_its_part_before_the_greedy_one_takes_more() -> None:
    slots, told = Slots(10), list[str]()
    slots.take("greedy", 10)
    assert slots.room("late") == 0
    slots.wait("late", lambda: told.append("late"))
    slots.give_back("greedy", 1)
    assert told == ["late"]
    assert (slots.room("greedy"), slots.room("late")) == (0, 1)
    slots.take("late", 1)
    assert (slots.room("greedy"), slots.room("late")) == (0, 0)


def test_as_long_as_both_want_places_they_come_to_equal_parts() -> None:
    slots = Slots(10)
    slots.take("one", 10)
    for _ in range(20):
        for who in ("one", "two"):
            slots.wait(who, lambda: None)
        slots.give_back("one", 1)
        for who in ("one", "two"):
            slots.wait(who, lambda: None)
            if slots.room(who):
                slots.take(who, 1)
        if slots._held["one"] == 5:
            break
    assert (slots._held["one"], slots._held["two"]) == (5, 5)


def test_who_has_what_it_wanted_no_longer_holds_places_back() -> None:
    slots = Slots(4)
    slots.take("one", 4)
    slots.wait("two", lambda: None)
    slots.give_back("one", 2)
    slots.take("two", 1)
    slots.give_back("two", 1)
    assert slots.room("one") == 2
    slots.wait("two", lambda: None)
    slots.forget("two")
    assert slots.room("one") == 2
