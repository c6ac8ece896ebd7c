"""From a click on "connect" to an account: the address a browser is sent to, and what its code is worth."""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from functions.jobs.outcomes import JsonObject
from functions.platforms.oauth.calls import OAuthCalls, OAuthRefused
from functions.platforms.oauth.network import App, Exchange, Identity, Network, Tokens


@dataclass(frozen=True, slots=True)
class Connection:
    """An account that may be stored."""

    identity: Identity
    secrets: JsonObject = field(repr=False)
    """As `connect_account` takes them."""
    scopes: tuple[str, ...]
    expires_at: datetime | None


def authorize_address(
    calls: OAuthCalls, network: Network, app: App, *, state: str, verifier: str, redirect_uri: str
) -> str:
    """The platform's page where the user agrees."""
    parameters = {
        "response_type": "code",
        network.client_parameter: app.client_id,
        "redirect_uri": redirect_uri,
        "scope": network.scope_separator.join(network.scopes),
        "state": state,
        **network.authorize_parameters,
    }
    if network.pkce:
        parameters |= {"code_challenge": challenge_of(verifier), "code_challenge_method": "S256"}
    return f"{calls.address(network.authorize_url)}?{urlencode(parameters)}"


def challenge_of(verifier: str) -> str:
    """What may be shown of a PKCE verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


async def connect(
    calls: OAuthCalls, network: Network, app: App, *, code: str, verifier: str, redirect_uri: str, wanted: str | None
) -> Connection:
    """Trade the code for tokens, and find out whose account they open.

    Raises:
        OAuthFailed: one of its children. `missing_rights`: the user has not granted what publishing needs.
    """
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    tokens = await ask_tokens(calls, network, app, form | ({"code_verifier": verifier} if network.pkce else {}))
    if network.lengthen:
        scopes = tokens.scopes
        tokens = await exchange(calls, network.lengthen, app, tokens.access_token)
        granted = scopes if tokens.scopes is None else tokens.scopes
    else:
        granted = tokens.scopes
    _check_rights(network, granted)
    identity = await network.identify(calls, tokens, wanted)
    _check_rights(network, identity.scopes)
    if wanted is not None and wanted not in _names(identity):
        raise OAuthRefused("account_not_offered")
    scopes = identity.scopes or granted or network.scopes
    if identity.page_token is not None:  # it does not end with the user's
        return Connection(
            identity, {"access_token": identity.page_token, "user_token": tokens.access_token}, scopes, None
        )
    secrets = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
    return Connection(identity, secrets, scopes, tokens.expires_at)


async def ask_tokens(calls: OAuthCalls, network: Network, app: App, form: dict[str, str]) -> Tokens:
    """Ask the token endpoint, as this platform wants its clients to prove themselves."""
    client = {network.client_parameter: app.client_id}
    if network.basic and app.client_secret:
        basic = (app.client_id, app.client_secret)
        return Tokens.read(_unwrapped(await calls.post(network.grant_url, form | client, basic=basic)))
    secret = {"client_secret": app.client_secret} if app.client_secret else {}
    return Tokens.read(_unwrapped(await calls.post(network.grant_url, form | client | secret)))


async def exchange(calls: OAuthCalls, step: Exchange, app: App, token: str) -> Tokens:
    """Trade a token for one that lives longer."""
    parameters = {"grant_type": step.grant_type, step.carrier: token}
    if step.with_client_id:
        parameters["client_id"] = app.client_id
    if step.with_client_secret:
        parameters["client_secret"] = app.client_secret
    return Tokens.read(await calls.get(step.url, parameters))


def _unwrapped(body: JsonObject) -> JsonObject:
    """Instagram may put its answer into a list of one."""
    items = body.get("data")
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else body


def _check_rights(network: Network, granted: tuple[str, ...] | None) -> None:
    if granted is not None and not set(network.required) <= set(granted):
        raise OAuthRefused("missing_rights")


def _names(identity: Identity) -> set[object]:
    """All the ids under which a user may have asked for this account."""
    extra = identity.extra
    return {identity.external_id, extra.get("page_id"), extra.get("organization_urn")}
