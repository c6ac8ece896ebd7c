"""How an attempt ends: what the handler said, or what must be said for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import httpx
import pytest

from functions.jobs import registry
from functions.jobs.context import ClaimedJob, CommitRefused, Context
from functions.jobs.outcomes import Done, JobError, Outcome, Reject, Release, Retry, Unconfirmed
from functions.jobs.registry import HandlerFunction
from functions.worker import attempt as attempt_module
from functions.worker.attempt import Attempt
from functions.worker.ledger import LedgerRefused, LedgerUnavailable
from functions.worker.settlement import Ended
from tests.functions.conftest import Logs, make_settings
from tests.functions.scripted import AnyPayload, Named, ScriptedLedger, claimed_job, registration

MakeAttempt = Callable[..., Attempt]

ends: "WeakKeyDictionary[Attempt, asyncio.Future[Ended | None]]" = WeakKeyDictionary()
"""What each attempt said at its end."""


async def end_of(attempt: Attempt) -> Ended | None:
    """Run an attempt to its end."""
    attempt.begin()
    return await ends[attempt]


@pytest.fixture
def ledger() -> ScriptedLedger:
    return ScriptedLedger()


@pytest.fixture
async def make(ledger: ScriptedLedger, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeAttempt]:
    async with httpx.AsyncClient() as http:

        def build(run: HandlerFunction | None = None, job: ClaimedJob | None = None, **kind: Any) -> Attempt:
            if run is not None:
                monkeypatch.setitem(registry._registrations, "test", registration("test", run, **kind))
            attempt = Attempt(
                job or claimed_job(),
                ledger,
                http=http,
                settings=make_settings(),
                log=logs.logger,
                on_progress=lambda: None,
                on_end=lambda attempt, end: ends[attempt].set_result(end),
            )
            ends[attempt] = asyncio.get_running_loop().create_future()
            return attempt

        yield build


def wire(ended: Ended | None) -> tuple[str, str | None]:
    """The outcome and error code that go to the database."""
    assert ended is not None
    element = ended.settlement
    return element["outcome"], element.get("error", {}).get("code")


def raising(error: BaseException, *, after_commit: bool = False) -> HandlerFunction:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        if after_commit:
            await ctx.commit({"step": 1})
        raise error

    return run


async def hang(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
    await asyncio.Event().wait()
    return Done()


async def commit_and_hang(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
    await ctx.commit({"step": 1})
    return await hang(job, payload, ctx)


def returning(outcome: Any, *, after_commit: bool = False) -> HandlerFunction:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        if after_commit:
            await ctx.commit({"step": 1})
        return outcome  # type: ignore[no-any-return]

    return run


async def test_a_handler_gets_its_payload_checked_and_its_context(make: MakeAttempt) -> None:
    seen: list[Any] = []

    async def run(job: ClaimedJob, payload: Named, ctx: Context) -> Outcome:
        seen.extend([payload.name, ctx.settings.supabase_url, await ctx.account("tiktok")])
        seen.append(ctx.deadline - asyncio.get_running_loop().time())
        return Done({"ok": True})

    job = claimed_job(payload={"name": "Ana"}, user_id=uuid4(), timeout_seconds=5)
    ended = await end_of(make(run, job, payload=Named))
    assert wire(ended) == ("done", None)
    assert seen[:3] == ["Ana", "http://127.0.0.1:1", {"platform": "tiktok"}]
    assert 4 < seen[3] <= 5


async def test_a_job_without_owner_has_no_account(make: MakeAttempt) -> None:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return Done({"account": await ctx.account("tiktok")})

    ended = await end_of(make(run))
    assert ended is not None and ended.settlement["result"] == {"account": None}


async def test_a_raised_exception_is_a_retry_that_repeats_none_of_its_words(make: MakeAttempt, logs: Logs) -> None:
    ended = await end_of(make(raising(ValueError("token=canary"))))
    assert wire(ended) == ("retry", "handler_error")
    assert ended is not None and "canary" not in str(ended.settlement)
    (line,) = logs.find("the handler raised")
    assert "ValueError" in line["exception"] and "canary" not in line["exception"]


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        RecursionError(),
        MemoryError(),
        TimeoutError(),
        asyncio.CancelledError(),
        ExceptionGroup("several", [OSError()]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_no_exception_of_a_handler_gets_out(make: MakeAttempt, error: BaseException) -> None:
    assert wire(await end_of(make(raising(error)))) == ("retry", "handler_error")


async def test_a_job_error_that_is_raised_is_a_retry_with_its_code(make: MakeAttempt) -> None:
    assert wire(await end_of(make(raising(JobError("quota", "Try tomorrow."))))) == ("retry", "quota")


async def test_an_invalid_payload_is_rejected_with_the_field(make: MakeAttempt) -> None:
    ended = await end_of(make(returning(Done()), claimed_job(payload={"name": 5}), payload=Named))
    assert wire(ended) == ("reject", "invalid_payload")
    assert ended is not None and ended.settlement["error"]["message"].startswith("name: Input should be")


async def test_an_unknown_kind_is_rejected(make: MakeAttempt) -> None:
    assert wire(await end_of(make(job=claimed_job(kind="nobody_knows")))) == ("reject", "unknown_kind")


@pytest.mark.parametrize("nonsense", [None, {"outcome": "done"}, Done, "done"])
async def test_what_is_no_outcome_is_an_error_of_the_handler(make: MakeAttempt, nonsense: Any) -> None:
    assert wire(await end_of(make(returning(nonsense)))) == ("retry", "handler_error")


async def test_a_handler_that_hangs_is_cut_off_at_its_timeout(make: MakeAttempt) -> None:
    assert wire(await end_of(make(hang, claimed_job(timeout_seconds=0.05)))) == ("retry", "timeout")


async def test_a_handler_that_will_not_stop_is_left_behind(
    make: MakeAttempt, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setattr(attempt_module, "STOPPING_SECONDS", 0.05)
    release, tried_to_commit = asyncio.Event(), asyncio.Event()

    async def stubborn(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        with pytest.raises(CommitRefused):
            await ctx.commit({})
        tried_to_commit.set()
        return Done()

    assert wire(await end_of(make(stubborn, claimed_job(timeout_seconds=0.05)))) == ("retry", "timeout")
    assert logs.find("the handler does not stop; it is left behind")
    release.set()
    await asyncio.wait_for(tried_to_commit.wait(), 5)  # too late: its attempt is over


async def test_a_result_that_arrives_while_being_stopped_wins(make: MakeAttempt) -> None:
    async def finishes(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Done({"just": "in time"})
        return Done()

    assert wire(await end_of(make(finishes, claimed_job(timeout_seconds=0.05)))) == ("done", None)


# The point of no return ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (returning(Done({"id": 1}), after_commit=True), ("done", None)),
        (returning(Retry(JobError("refused", "It did not happen.")), after_commit=True), ("retry", "refused")),
        (returning(Reject(JobError("banned", "No.")), after_commit=True), ("reject", "banned")),
        (returning(Unconfirmed(JobError("lost", "Who knows.")), after_commit=True), ("unconfirmed", "lost")),
        (returning(Release(), after_commit=True), ("unconfirmed", "released_after_commit")),
        (returning(None, after_commit=True), ("unconfirmed", "handler_error")),
        (raising(ValueError(), after_commit=True), ("unconfirmed", "handler_error")),
        (raising(SystemExit(), after_commit=True), ("unconfirmed", "handler_error")),
        (commit_and_hang, ("unconfirmed", "timeout")),
    ],
    ids=["done", "retry", "reject", "unconfirmed", "release", "nonsense", "exception", "exit", "timeout"],
)
async def test_after_the_commit_only_the_handlers_own_word_runs_it_again(
    make: MakeAttempt, ledger: ScriptedLedger, run: HandlerFunction, expected: tuple[str, str | None]
) -> None:
    assert wire(await end_of(make(run, claimed_job(timeout_seconds=0.2)))) == expected
    assert ledger.commits == [{"step": 1}]


async def test_a_job_that_was_committed_earlier_is_not_run_again_blindly(make: MakeAttempt) -> None:
    polling = claimed_job(committed=True, payload={"name": 5})
    assert wire(await end_of(make(raising(ValueError()), polling)))[0] == "unconfirmed"
    assert wire(await end_of(make(returning(Done()), polling, payload=Named))) == ("unconfirmed", "invalid_payload")
    assert wire(await end_of(make(returning(Release()), polling))) == ("release", None)
    assert wire(await end_of(make(job=claimed_job(committed=True, kind="nobody_knows"))))[0] == "unconfirmed"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("cancel_requested", ("cancelled", None)),
        ("expired", ("reject", "expired")),
        ("something_new", ("retry", "something_new")),
    ],
)
async def test_a_refused_commit_ends_the_job_by_its_code(
    make: MakeAttempt, ledger: ScriptedLedger, code: str, expected: tuple[str, str | None]
) -> None:
    ledger.refuse_commit = LedgerRefused(409, code, "No.", from_engine=True)
    assert wire(await end_of(make(returning(Done(), after_commit=True)))) == expected


async def test_a_commit_for_a_claim_that_was_lost_settles_nothing(make: MakeAttempt, ledger: ScriptedLedger) -> None:
    ledger.refuse_commit = LedgerRefused(409, "stale_claim", "Taken.", from_engine=True)
    assert await end_of(make(returning(Done(), after_commit=True))) is None


async def test_without_the_commits_acknowledgement_the_call_is_not_made_and_the_job_retries(
    make: MakeAttempt, ledger: ScriptedLedger
) -> None:
    ledger.refuse_commit = LedgerUnavailable("commit_job: ReadTimeout")
    called: list[str] = []

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        await ctx.commit({})
        called.append("the irreversible call")
        return Done()

    assert wire(await end_of(make(run))) == ("retry", "database_unavailable")
    assert not called


async def test_the_commit_says_whether_the_kind_can_reconcile(make: MakeAttempt, ledger: ScriptedLedger) -> None:
    await end_of(make(returning(Done(), after_commit=True)))
    await end_of(make(returning(Done(), after_commit=True), reconcile=returning(Done())))
    assert [detail for name, detail in ledger.calls if name == "commit"] == [False, True]


# Reconcile -----------------------------------------------------------------------------------------


async def test_a_job_to_reconcile_runs_the_reconcile_function_alone(make: MakeAttempt) -> None:
    job = claimed_job(mode="reconcile", committed=True)
    ended = await end_of(make(raising(ValueError()), job, reconcile=returning(Done({"found": 1}))))
    assert ended is not None and ended.settlement["result"] == {"found": 1}


@pytest.mark.parametrize(
    "failing", [raising(ValueError()), hang, returning(None)], ids=["exception", "hang", "nonsense"]
)
async def test_a_reconcile_that_fails_is_tried_again_later(make: MakeAttempt, failing: HandlerFunction) -> None:
    job = claimed_job(mode="reconcile", committed=True, timeout_seconds=0.05)
    ended = await end_of(make(returning(Done()), job, reconcile=failing))
    assert ended is not None
    assert ended.settlement["outcome"] == "snooze" and ended.settlement["after_seconds"] > 0


async def test_without_a_reconcile_function_it_is_for_a_person_to_decide(make: MakeAttempt) -> None:
    job = claimed_job(mode="reconcile", committed=True)
    assert wire(await end_of(make(returning(Done()), job))) == ("unconfirmed", "no_reconcile")


# Cut off from outside ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "reason", "expected"),
    [
        (hang, "stopped", ("release", None)),
        (commit_and_hang, "stopped", ("unconfirmed", "cut_off")),
    ],
)
async def test_a_worker_that_must_leave_hands_back_what_has_not_committed(
    make: MakeAttempt, ledger: ScriptedLedger, run: HandlerFunction, reason: Any, expected: tuple[str, str | None]
) -> None:
    attempt = make(run)
    attempt.begin()
    await asyncio.sleep(0)
    if run is commit_and_hang:
        await asyncio.wait_for(ledger.changed.wait(), 5)
    attempt.cut_off(reason)
    assert wire(await asyncio.wait_for(ends[attempt], 5)) == expected


async def test_a_lost_claim_stops_the_handler_and_settles_nothing(make: MakeAttempt) -> None:
    attempt = make(commit_and_hang)
    attempt.begin()
    await asyncio.sleep(0)
    attempt.cut_off("lost")
    assert await asyncio.wait_for(ends[attempt], 5) is None


# Progress ------------------------------------------------------------------------------------------


async def test_progress_is_bounded_cleaned_and_written_once(make: MakeAttempt) -> None:
    attempt = make(hang)
    for given, kept in [(50, 50.0), (-1, 0.0), (1e9, 100.0), (float("nan"), 0.0)]:
        attempt.note_progress(given, "half\0way")
        renewal = attempt.renewal()
        assert (renewal.progress, renewal.note) == (kept, "half\ufffdway")
    assert attempt.renewal().progress is None
    assert not attempt.has_progress
