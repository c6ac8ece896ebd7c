"""One vocabulary of errors: what the engine raises arrives as the class that means it."""

import pytest
from postgrest import APIError

from filaviva import errors
from filaviva.errors import FilaVivaError, RateLimited, from_postgrest


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


def test_a_wrong_key_means_not_signed_in() -> None:
    error = from_postgrest(answer(None, "Invalid API key", hint="Double check your key."))
    assert type(error) is errors.NotSignedIn


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


def test_the_tree_in_the_docstring_names_every_class() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, FilaVivaError)}
    drawn = errors.__doc__ or ""
    assert all(f"{found.__name__}\n" in drawn or f" {found.__name__} " in drawn for found in classes)
