"""What the Graph API tells of an app's use in its headers, and when nothing new is begun."""

import json
from typing import Any

import httpx
import pytest

from functions.platforms.answers import CallFailed, Quota
from functions.platforms.calls import Reply, Timeouts
from functions.platforms.meta.errors import ErrorTable, failure_of
from functions.platforms.meta.graph import Graph
from functions.platforms.meta.usage import Waits, regain_seconds, used_percent

WAITS = Waits(throttled=300, most_used_percent=80)


def reply(app: Any = None, business: Any = None, status: int = 200, **body: Any) -> Reply:
    headers = {"x-app-usage": app, "x-business-use-case-usage": business}
    named = {name: value if isinstance(value, str) else json.dumps(value) for name, value in headers.items() if value}
    return Reply(status, httpx.Headers(named), body)


@pytest.mark.parametrize(
    ("app", "business", "percent", "regain"),
    [
        (None, None, 0, None),
        ({"call_count": 12, "total_cputime": 79, "total_time": 3}, None, 79, None),
        (None, {"17": [{"type": "pages", "call_count": 81, "estimated_time_to_regain_access": 7}]}, 81, 420),
        ({"call_count": 90}, {"17": [{"total_time": 10}], "18": [{"call_count": 95}]}, 95, None),
        ("no json", "[]", 0, None),
        ({"call_count": "many", "total_time": True}, {"17": "x", "18": [3]}, 0, None),
    ],
)
def test_the_largest_share_and_the_longest_pause_are_read(
    app: Any, business: Any, percent: float, regain: float | None
) -> None:
    headers = reply(app, business).headers
    assert (used_percent(headers), regain_seconds(headers)) == (percent, regain)


@pytest.mark.parametrize(
    ("app", "business", "pause"),
    [
        ({"call_count": 79}, None, None),
        ({"call_count": 80}, None, 300),
        ({"call_count": 12}, {"17": [{"total_cputime": 99, "estimated_time_to_regain_access": 2}]}, 120),
    ],
)
async def test_nothing_new_is_begun_when_the_calls_are_nearly_used_up(
    app: Any, business: Any, pause: float | None
) -> None:
    async with httpx.AsyncClient() as http:
        graph = Graph(http, ErrorTable("Facebook"), Timeouts(), WAITS)
        if pause is None:
            graph.check_usage(reply(app, business))
            return
        with pytest.raises(CallFailed) as failed:
            graph.check_usage(reply(app, business))
    failure = failed.value.failure
    assert isinstance(failure, Quota)
    assert (failure.after_seconds, failure.error.code) == (pause, "calls_used_up")


@pytest.mark.parametrize("code", [4, 17, 32, 613, 80001, 80006])
def test_a_throttled_call_waits_as_long_as_the_headers_say(code: int) -> None:
    business = {"17": [{"call_count": 100, "estimated_time_to_regain_access": 11}]}
    failure = failure_of(reply(None, business, 400, error={"code": code}), ErrorTable("Facebook"), WAITS)
    assert isinstance(failure, Quota)
    assert failure.after_seconds == 660
