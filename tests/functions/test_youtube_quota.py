"""When YouTube's daily quota is renewed, and how long a job waits for it."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import httpx
import pytest

from functions.platforms.answers import Quota
from functions.platforms.calls import Reply
from functions.platforms.youtube import errors
from functions.platforms.youtube.errors import Waits, failure_of, seconds_until_renewal

WINTER, SUMMER = "2027-01-15T08:00:00Z", "2027-07-01T00:00:00Z"
CLOCKS_GO_BACK = "2027-11-07T07:30:00Z"


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("now", "hours"), [(WINTER, 24), ("2027-01-15T09:15:00Z", 22.75), (SUMMER, 7), (CLOCKS_GO_BACK, 24.5)]
)
def test_the_quota_is_renewed_at_midnight_in_california(now: str, hours: float) -> None:
    assert seconds_until_renewal(moment(now)) == hours * 3600


@pytest.mark.parametrize(("now", "hours"), [(WINTER, 24), (SUMMER, 8)])
def test_a_host_without_time_zones_waits_an_hour_longer_in_summer(
    monkeypatch: pytest.MonkeyPatch, now: str, hours: float
) -> None:
    def missing(name: str) -> Any:
        raise ZoneInfoNotFoundError(name)

    monkeypatch.setattr(errors, "ZoneInfo", missing)
    assert seconds_until_renewal(moment(now)) == hours * 3600


@pytest.mark.parametrize(("now", "seconds"), [(SUMMER, 7 * 3600), (CLOCKS_GO_BACK, 86_400)])
def test_a_job_waits_for_it_but_never_longer_than_a_day(now: str, seconds: float) -> None:
    body = {"error": {"code": 403, "errors": [{"reason": "quotaExceeded", "message": "words"}]}}
    failure = failure_of(Reply(403, httpx.Headers(), body), Waits(), moment(now))
    assert isinstance(failure, Quota)
    assert failure.after_seconds == seconds
