"""One vocabulary of errors: what the engine raises arrives as the class that means it."""

import re
from pathlib import Path

import pytest
from postgrest import APIError

from filaviva import errors
from filaviva.errors import FilaVivaError, RateLimited, from_postgrest
from tests.conftest import REPOSITORY


def answer(code: str | None, message: str = "No.", details: str | None = None, hint: str | None = None) -> APIError:
    return APIError({"code": code, "message": message, "details": details, "hint": hint})


@pytest.mark.parametrize(
    ("code", "expected", "status"),
    [
        ("PT400", errors.InvalidRequest, 400),
        ("PT401", errors.NotSignedIn, 401),
        ("PT403", errors.Forbidden, 403),
        ("PT404", errors.NotFound, 404),
        ("PT409", errors.Conflict, 409),
        ("PT413", errors.PayloadTooLarge, 413),
        ("PT422", errors.InvalidRequest, 422),
        ("PT429", errors.RateLimited, 429),
        ("PT503", errors.Unavailable, 503),
        ("PGRST303", errors.NotSignedIn, 401),
        ("PGRST300", errors.Unavailable, 500),
        ("PGRST001", errors.Unavailable, 503),
        ("PGRST003", errors.Unavailable, 504),
        ("22P02", errors.InvalidRequest, 400),
        ("23505", errors.Conflict, 409),
        ("42501", errors.Forbidden, 403),
        ("57014", errors.Unavailable, 503),
        ("XX000", errors.Unavailable, 500),
        ("502", errors.Unavailable, 502),
        ("520", errors.Unavailable, 520),
        (None, errors.Unavailable, 500),
    ],
)
def test_a_code_means_a_class_and_a_status(code: str | None, expected: type[FilaVivaError], status: int) -> None:
    error = from_postgrest(answer(code))
    assert type(error) is expected
    assert error.status == status


def test_the_engines_machine_code_message_and_hint_arrive_unchanged() -> None:
    error = from_postgrest(answer("PT409", "Same key, other body.", "idempotency_conflict", "Use a new key."))
    assert (error.code, error.message, error.hint) == (
        "idempotency_conflict",
        "Same key, other body.",
        "Use a new key.",
    )
    assert str(error) == "Same key, other body. Use a new key. [idempotency_conflict]"


def test_a_missing_right_without_a_token_means_not_signed_in() -> None:
    denied = answer("42501", "permission denied for function enqueue_jobs")
    assert type(from_postgrest(denied, signed_in=False)) is errors.NotSignedIn
    assert type(from_postgrest(denied, signed_in=True)) is errors.Forbidden


@pytest.mark.parametrize(
    ("code", "signed_in", "remedy"),
    [
        ("42501", False, "access_token"),
        ("42501", True, "Sign in as a user who may"),
        ("PGRST301", True, "Sign in again"),
        ("PGRST303", True, "Sign in again"),
        ("PGRST301", False, "publishable key"),
        ("22P05", True, "Take \\u0000 out of the payload"),
        ("22P05", False, "Take \\u0000 out of the payload"),
    ],
)
def test_a_bare_refusal_gets_words_and_a_remedy(code: str, signed_in: bool, remedy: str) -> None:
    error = from_postgrest(answer(code, "their words", hint="GRANT it."), signed_in=signed_in)
    assert error.code == code
    assert error.message.endswith(": their words.")
    assert remedy in (error.hint or "")


@pytest.mark.parametrize("code", ["22P02", "23505", "57014", "502", "PT400", "PT404", "PT413", "PT418", "XX000", None])
def test_an_error_that_came_without_a_hint_has_one(code: str | None) -> None:
    assert from_postgrest(answer(code)).hint


def test_a_path_in_the_url_is_named_as_such() -> None:
    error = from_postgrest(answer("PGRST125", "Invalid path specified in request URL"))
    assert (type(error), error.code) == (errors.InvalidRequest, "invalid_url")


def test_a_wrong_key_means_not_signed_in() -> None:
    error = from_postgrest(answer(None, "Invalid API key", hint="Double check your key."))
    assert type(error) is errors.NotSignedIn
    assert "publishable key" in error.hint


def test_a_project_without_the_migrations_is_named_as_such() -> None:
    error = from_postgrest(answer("PGRST202", "Could not find the function public.enqueue_jobs"))
    assert error.code == "not_installed"
    assert "migrations" in (error.hint or "")


@pytest.mark.parametrize(
    ("hint", "seconds"), [("Try again in 12 seconds.", 12.0), ("0.5", 0.5), ("Later.", None), (None, None)]
)
def test_a_rate_limit_says_how_long_to_wait(hint: str | None, seconds: float | None) -> None:
    error = from_postgrest(answer("PT429", "Too many calls.", "too_many_calls", hint))
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


def test_every_code_of_the_library_is_documented() -> None:
    sources = "\n".join(path.read_text() for path in Path(errors.__file__).parent.rglob("*.py"))
    codes = set(re.findall(r'\bcode="(\w+)"', sources)) | {"refused", "42501", "22P05"}
    assert len(codes) > 10
    documents = (REPOSITORY / "docs" / "errors.md").read_text()
    section = documents.split("## From the library")[1].split("\n## ")[0]
    assert codes - set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set()


def test_the_tree_in_the_docstring_names_every_class() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, FilaVivaError)}
    drawn = errors.__doc__ or ""
    assert all(f"{found.__name__}\n" in drawn or f" {found.__name__} " in drawn for found in classes)
