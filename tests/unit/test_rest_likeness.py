"""Which name somebody may have meant."""

from devstack.rest.likeness import likest


def test_a_slip_is_recognised() -> None:
    assert likest("sayhell", ["sayhello", "goodbye"], 0.75) == "sayhello"
    assert likest("Projetcs", ["tasks", "projects"]) == "projects"


def test_of_names_as_near_the_first_is_taken() -> None:
    assert likest("item", ["items", "itema"]) == "items"


def test_what_is_too_different_is_not_suggested() -> None:
    assert likest("people", ["teams", "skills"]) is None
    assert likest("note", ["annotations"], 0.75) is None
    assert likest("x", []) is None


def test_an_endless_name_is_compared_with_nothing() -> None:
    assert likest("item" * 100_000, ["item" * 75, "items"]) is None


def test_signs_count_for_nothing_until_the_last_comparison() -> None:
    assert likest("(a, b, wrong)", ["(a, b, c)", "(a, b)", "()"]) == "(a, b, c)"
    assert likest("(wrong)", ["(a, b, c)", "(a, b)", "()"]) is None
