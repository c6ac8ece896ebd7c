"""Whatever a platform answers to a sign-in: an account with tokens that can be used, or a refusal; never a crash."""

import itertools
import json
from typing import Any

import httpx
import pytest

from functions.platforms.oauth.calls import OAuthCalls, OAuthFailed
from functions.platforms.oauth.grants import connect
from functions.platforms.oauth.network import App, Tokens
from functions.platforms.oauth.networks import PLATFORMS, network_of
from functions.settings import Settings
from tests.functions.conftest import make_settings

TOKENS = {"access_token": "tok", "refresh_token": "ref", "expires_in": 3600, "open_id": "o"}
PAGES = [{"id": "1", "access_token": "p", "name": "n", "instagram_business_account": {"id": "9"}}]
ODD: list[Any] = [
    *(None, [], {}, "x", 1, True, {"data": None}, {"data": "x"}, {"data": ["x"]}, {"data": [None]}, {"items": ["x"]}),
    *({"items": [{"id": "c", "snippet": "x"}]}, {"items": [{"id": {}}]}, {"sub": True}, {"id": [], "user_id": {}}),
    *({"error": "<script>\r\n"}, {"error": {}}, {"error": []}, {"error": {"code": {"a": 1}}}, {"errors": [{}]}),
    {"data": {"id": "7", "username": {"a": 1}, "creator_nickname": ["x"]}},
    {"data": [{"id": 1, "access_token": {"x": 1}, "name": ["n"], "instagram_business_account": {"id": {"a": 1}}}]},
    {"data": [{"permission": ["x"], "status": "granted"}]},
    *({**TOKENS, "scope": [["x"]]}, {**TOKENS, "scope": 1}, {**TOKENS, "expires_in": "NaN"}),
    *({**TOKENS, "expires_in": -1e300}, {**TOKENS, "expires_in": 10**400}, {**TOKENS, "expires_in": {}}),
]
NO_TOKENS: list[Any] = [
    "",
    " ",
    "a b",
    "a\r\nX-Evil: 1",
    "tök",
    "a\0",
    "a" * 10_000,
    7,
    ["tok"],
    {"token": "tok"},
    True,
]


def answering(step: int, odd: object) -> httpx.MockTransport:
    """A platform whose answer number `step` is odd."""
    count = itertools.count()

    def answer(request: httpx.Request) -> httpx.Response:
        signs_in = "token" in request.url.path
        body = odd if next(count) == step else TOKENS if signs_in else {"data": PAGES}
        return httpx.Response(200, content=json.dumps(body))

    return httpx.MockTransport(answer)


def settings_of(platform: str) -> Settings:
    if platform == "instagram_login":
        return make_settings(instagram_client_id="i", instagram_client_secret="s")
    return make_settings()


@pytest.mark.parametrize("platform", [*PLATFORMS, "instagram_login"])
async def test_an_odd_answer_ends_in_an_account_or_in_a_refusal(platform: str) -> None:
    settings = settings_of(platform)
    network = network_of(platform.removesuffix("_login"), settings)
    for step, odd in itertools.product(range(4), ODD):
        async with httpx.AsyncClient(transport=answering(step, odd)) as http:
            calls = OAuthCalls(http, settings)
            try:
                made = await connect(
                    calls, network, App("c", "s"), code="c", verifier="v", redirect_uri="https://a.example", wanted=None
                )
            except OAuthFailed as failed:
                assert "script" not in failed.code
            else:
                assert made.identity.external_id
                assert isinstance(made.secrets["access_token"], str)


@pytest.mark.parametrize("token", NO_TOKENS)
def test_what_cannot_travel_in_a_header_is_no_token(token: object) -> None:
    with pytest.raises(OAuthFailed, match="no_token"):
        Tokens.read({"access_token": token})
    if token != "":
        with pytest.raises(OAuthFailed, match="no_token"):
            Tokens.read({"access_token": "tok", "refresh_token": token})


@pytest.mark.parametrize("number", ["", "abc", "1.2", "1:2", "-1"])
async def test_an_organization_is_a_number(number: str) -> None:
    settings, wanted = make_settings(), f"urn:li:organization:{number}"
    network = network_of("linkedin", settings, wanted=wanted)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={**TOKENS, "sub": "me"}))
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(OAuthFailed, match="account_not_offered"):
            await connect(
                OAuthCalls(http, settings), network, App("c", "s"),
                code="c", verifier="v", redirect_uri="https://a.example", wanted=wanted,
            )  # fmt: skip
