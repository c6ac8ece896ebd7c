"""`GET /api/accounts/{platform}/connect`: where a signed-in user's browser goes to connect an account."""

import re
import secrets

import functions_framework.aio
from starlette.responses import JSONResponse, Response

from functions.platforms.oauth.browser import CONNECT_SECONDS, callback_address, cookie_name, digest, site_of
from functions.platforms.oauth.calls import OAuthCalls
from functions.platforms.oauth.grants import authorize_address
from functions.platforms.oauth.networks import PLATFORMS, app_of, network_of
from functions.settings import Settings
from functions.web.endpoint import Call, endpoint
from functions.web.errors import WebError, bad_request, shown
from functions.web.signed_in import read_own_accounts
from functions.worker.rest_ledger import rest_ledger
from functions.worker.web_errors import ledger_errors

_WANTED = re.compile(r"[\w:.-]{1,100}", re.ASCII)


@functions_framework.aio.http
@endpoint("GET")
async def connect_account(call: Call) -> Response:
    """Begin, and answer with the address that the browser has to open within ten minutes.

    The answer sets a cookie, and only a browser that has it can come back: so ask with the browser itself, from a
    page of the site. `?account=` names the page, the Instagram account or the LinkedIn organization that is wanted.
    """
    user_id, _, _ = await read_own_accounts(call)
    settings = call.services.settings
    platform, wanted = _platform(call), _wanted(call)
    network = network_of(platform, settings, wanted=wanted)
    app, site = app_of(network, settings), site_of(settings)
    if app is None:
        hint = "Tell the operator: docs/accounts.md says how an app is registered and set."
        raise WebError(501, "platform_not_configured", f"{network.name} cannot be connected here.", hint)

    state, browser, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    ledger = call.services.once(rest_ledger)
    with ledger_errors():
        await ledger.begin_connection(user_id, platform, digest(state), digest(browser), verifier, wanted)
    address = authorize_address(
        OAuthCalls(call.services.outside, settings),
        network,
        app,
        state=state,
        verifier=verifier,
        redirect_uri=callback_address(site, platform),
    )
    answer = {"authorize_url": address, "expires_in": CONNECT_SECONDS}
    return _with_cookie(JSONResponse(answer, headers={"Cache-Control": "no-store"}), settings, platform, browser)


def _platform(call: Call) -> str:
    name = call.request.url.path.rstrip("/").split("/")[-2]
    if name not in PLATFORMS:
        hint = f"The platforms are {', '.join(PLATFORMS)}."
        raise WebError(404, "unknown_platform", f"There is no platform {shown(name)!r}.", hint)
    return name


def _wanted(call: Call) -> str | None:
    wanted = call.request.query_params.get("account")
    if wanted is not None and not _WANTED.fullmatch(wanted):
        message = "account: must be the id of a page, account or organization."
        raise bad_request("invalid_field", message, "Send an id from extra.choices, or leave it out.", "account")
    return wanted


def _with_cookie(response: Response, settings: Settings, platform: str, browser: str) -> Response:
    secure = site_of(settings).startswith("https://")
    response.set_cookie(
        cookie_name(settings, platform), browser, CONNECT_SECONDS, httponly=True, secure=secure, samesite="lax"
    )
    return response
