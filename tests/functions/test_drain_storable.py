"""What a handler returns always becomes something that the database can hold, or an honest end of the job."""

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.jobs.outcomes import Cancelled, Done, JobError, Outcome, Reject, Release, Retry, Snooze, Unconfirmed
from functions.worker.settlement import LONGEST_DELAY_SECONDS, ended
from functions.worker.storable import MAX_BYTES, NotStorable, clean_text, storable
from tests.functions.scripted import claimed_job


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"a": 1, "b": [True, None, 1.5, "x"]}, {"a": 1, "b": [True, None, 1.5, "x"]}),
        ({"nul": "a\0b"}, {"nul": "a\ufffdb"}),
        ({"key\0": 1}, {"key\ufffd": 1}),
        ({"half": "x\ud800y"}, {"half": "x\ufffdy"}),
        ({"pair as halves": "\ud83c\udf47"}, {"pair as halves": "🍇"}),
        ({"nan": math.nan, "inf": math.inf, "minus": -math.inf}, {"nan": None, "inf": None, "minus": None}),
        ({"big": 2**64, "small": -(2**63) - 1}, {"big": str(2**64), "small": str(-(2**63) - 1)}),
        ({"tuple": (1, 2), 3: "three"}, {"tuple": [1, 2], "3": "three"}),
        ({"id": UUID(int=1), "money": Decimal("1.10")}, {"id": str(UUID(int=1)), "money": "1.10"}),
    ],
)
def test_odd_values_are_made_storable(value: Any, kept: Any) -> None:
    assert storable(value) == kept


@pytest.mark.parametrize("value", [None, [], "text", 5, {1, 2}])
def test_a_result_that_is_no_object_is_not_storable(value: object) -> None:
    with pytest.raises(NotStorable) as refused:
        storable(value)
    assert refused.value.code == "invalid_result"


def test_64_kb_are_storable_as_the_engine_counts_them_and_more_is_not() -> None:
    assert storable({"a": "x" * (MAX_BYTES - 9)})  # jsonb prints it as {"a": "…"}
    for value in ({"a": "x" * (MAX_BYTES - 8)}, {"a": ["x"] * 15_000}, {f"k{n}": 1 for n in range(8000)}):
        with pytest.raises(NotStorable) as refused:
            storable(value)
        assert refused.value.code == "result_too_large"


def test_a_result_that_contains_itself_is_refused_without_eating_memory() -> None:
    wide: dict[str, Any] = {}
    wide.update(a=wide, b=wide, c=wide)
    with pytest.raises(NotStorable):
        storable(wide)
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(NotStorable):
        storable({"deep": deep})


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)) | st.integers(), inner),
    max_leaves=20,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(st.characters(codec=None)), json_like))
def test_whatever_is_stored_is_json_without_nul(value: dict[str, Any]) -> None:
    waiting: list[Any] = [orjson.loads(orjson.dumps(storable(value)))]
    while waiting:
        item = waiting.pop()
        assert not isinstance(item, str) or "\0" not in item
        waiting += [*item, *item.values()] if isinstance(item, dict) else item if isinstance(item, list) else []


@given(st.text(st.characters(codec=None)))
def test_clean_text_is_utf_8_and_short(text: str) -> None:
    cleaned = clean_text(text, 10)
    assert cleaned.encode() and "\0" not in cleaned and len(cleaned) <= 10 if text else cleaned == ""


ERROR = JobError("code", "message", {"n": 1})
WIRE_ERROR = {"code": "code", "message": "message", "details": {"n": 1}}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("outcome", "wire"),
    [
        (Done({"id": "1"}), {"outcome": "done", "result": {"id": "1"}}),
        (Done(), {"outcome": "done", "result": {}}),
        (Retry(ERROR), {"outcome": "retry", "error": WIRE_ERROR}),
        (Retry(ERROR, after=2.5), {"outcome": "retry", "error": WIRE_ERROR, "after_seconds": 2.5}),
        (Retry(ERROR, after=-1), {"outcome": "retry", "error": WIRE_ERROR, "after_seconds": 0}),
        (Retry(ERROR, after=math.nan), {"outcome": "retry", "error": WIRE_ERROR}),
        (Retry(ERROR, math.inf), {"outcome": "retry", "error": WIRE_ERROR, "after_seconds": LONGEST_DELAY_SECONDS}),
        (Snooze(timedelta(seconds=30)), {"outcome": "snooze", "after_seconds": 30}),
        (Snooze(NOON, {"id": 1}), {"outcome": "snooze", "until": NOON, "checkpoint": {"id": 1}}),
        (Snooze(NOON.replace(tzinfo=None)), {"outcome": "snooze", "until": NOON}),
        (Release(), {"outcome": "release"}),
        (Reject(ERROR), {"outcome": "reject", "error": WIRE_ERROR}),
        (Unconfirmed(ERROR), {"outcome": "unconfirmed", "error": WIRE_ERROR}),
        (Cancelled(), {"outcome": "cancelled"}),
    ],
)  # fmt: skip
def test_every_outcome_has_its_words_on_the_wire(outcome: Outcome, wire: dict[str, Any]) -> None:
    job = claimed_job(7)
    assert ended(job, outcome, committed=False).settlement == {"job_id": job.job_id, "claim_id": 7, **wire}


def test_a_moment_in_another_zone_stays_the_same_moment() -> None:
    moment = datetime(2026, 11, 21, 9, tzinfo=timezone(timedelta(hours=-3)))
    element = ended(claimed_job(), Snooze(moment), committed=False).settlement
    assert datetime.fromisoformat(orjson.loads(orjson.dumps(element))["until"]) == NOON


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Done({"x": "y" * MAX_BYTES}), "result_too_large"),
        (Done([1]), "invalid_result"),  # type: ignore[arg-type]
        (Snooze(NOON, {"x": "y" * MAX_BYTES}), "result_too_large"),
    ],
)
def test_what_cannot_be_stored_fails_the_job_unless_its_effect_may_have_happened(
    outcome: Outcome, code: str, committed: bool
) -> None:
    element = ended(claimed_job(), outcome, committed=committed).settlement
    assert element["outcome"] == ("unconfirmed" if committed else "reject")
    assert element["error"]["code"] == code


class Evil:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "outcome",
    [
        Retry("text"),  # type: ignore[arg-type]
        Retry(ERROR, after="soon"),  # type: ignore[arg-type]
        Snooze("later"),  # type: ignore[arg-type]
        Reject(None),  # type: ignore[arg-type]
        Done({"x": Evil()}),
        Done({Evil(): 1}),  # type: ignore[dict-item]
    ],
)
def test_an_outcome_filled_with_nonsense_settles_as_a_fault_of_the_handler(outcome: Outcome) -> None:
    for committed, expected in [(False, "reject"), (True, "unconfirmed")]:
        element = ended(claimed_job(), outcome, committed=committed).settlement
        assert (element["outcome"], element["error"]["code"]) == (expected, "invalid_result")


def test_an_error_is_cleaned_and_shortened_too() -> None:
    error = JobError("c" * 300, "m\0" * 3000, {"deep": {"er": "x" * MAX_BYTES}})
    wire = ended(claimed_job(), Reject(error), committed=False).settlement["error"]
    assert (len(wire["code"]), len(wire["message"])) == (100, 2000)
    assert "\0" not in wire["message"]
    assert set(wire["details"]) == {"dropped"}
