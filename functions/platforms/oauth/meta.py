"""Whose account a token of Meta's opens: a Facebook page, its Instagram account, or a profile of its own sign-in."""

from typing import Any

from functions.platforms.oauth.calls import OAuthCalls, OAuthRefused
from functions.platforms.oauth.network import LONGEST_NAME, Identify, Identity, Tokens, is_token

PAGE_FIELDS = "id,name,access_token,instagram_business_account"
MOST_CHOICES = 50
"""How many of a user's pages are shown to choose from."""


def facebook_page(graph: str) -> Identify:
    """Asks for a page of the user's: the wanted one, else the first that they have shared with the app.

    Args:
        graph: the Graph API with its version.
    """

    async def identify(calls: OAuthCalls, tokens: Tokens, wanted: str | None) -> Identity:
        pages = await _pages(calls, graph, tokens)
        page = _chosen(pages, wanted, lambda each: {str(each["id"])}, "no_page")
        extra = {"page_id": str(page["id"]), **_choices(pages)}
        scopes = await _granted(calls, graph, tokens)
        return Identity(str(page["id"]), _name(page), "page", extra, page["access_token"], scopes)

    return identify


def instagram_by_facebook(graph: str) -> Identify:
    """Asks for the Instagram account of a page; its posts go out with the page's token.

    Args:
        graph: the Graph API with its version.
    """

    async def identify(calls: OAuthCalls, tokens: Tokens, wanted: str | None) -> Identity:
        pages = [page for page in await _pages(calls, graph, tokens) if _instagram_id(page)]
        page = _chosen(pages, wanted, lambda each: {str(each["id"]), _instagram_id(each)}, "no_instagram_account")
        extra = {"page_id": str(page["id"]), **_choices(pages)}
        scopes = await _granted(calls, graph, tokens)
        return Identity(_instagram_id(page), _name(page), "facebook_login", extra, page["access_token"], scopes)

    return identify


def instagram_profile(graph: str) -> Identify:
    """Asks who signed in at Instagram itself.

    Args:
        graph: Instagram's Graph API with its version.
    """

    async def identify(calls: OAuthCalls, tokens: Tokens, wanted: str | None) -> Identity:
        profile = await calls.get(f"{graph}/me", {"fields": "user_id,username"}, bearer=tokens.access_token)
        return Identity(_id(profile, "user_id"), _user_name(profile, "Instagram"), "instagram_login")

    return identify


def threads_profile(graph: str) -> Identify:
    """Asks who signed in at Threads.

    Args:
        graph: the Threads API with its version.
    """

    async def identify(calls: OAuthCalls, tokens: Tokens, wanted: str | None) -> Identity:
        profile = await calls.get(f"{graph}/me", {"fields": "id,username"}, bearer=tokens.access_token)
        return Identity(_id(profile, "id"), _user_name(profile, "Threads"))

    return identify


async def page_token(calls: OAuthCalls, graph: str, user_token: str, page_id: str) -> str:
    """The token of a page, asked for again with its user's.

    Raises:
        OAuthRefused: the user's token is dead, or the page is no longer theirs.
    """
    pages = await _pages(calls, graph, Tokens(user_token))
    token: str = _chosen(pages, page_id, lambda each: {str(each["id"])}, "no_page")["access_token"]
    return token


async def _pages(calls: OAuthCalls, graph: str, tokens: Tokens) -> list[dict[str, Any]]:
    """The pages that the user has shared with the app, as far as it may act for them."""
    parameters = {"fields": PAGE_FIELDS, "limit": "100"}
    pages = (await calls.get(f"{graph}/me/accounts", parameters, bearer=tokens.access_token)).get("data")
    found = pages if isinstance(pages, list) else []
    return [page for page in found if isinstance(page, dict) and page.get("id") and is_token(page.get("access_token"))]


async def _granted(calls: OAuthCalls, graph: str, tokens: Tokens) -> tuple[str, ...]:
    """The rights that the user has left ticked; the token's own answer does not say."""
    rights = (await calls.get(f"{graph}/me/permissions", bearer=tokens.access_token)).get("data")
    listed = [right for right in rights if isinstance(right, dict)] if isinstance(rights, list) else []
    return tuple(str(right.get("permission")) for right in listed if right.get("status") == "granted")


def _chosen(pages: list[dict[str, Any]], wanted: str | None, ids_of: Any, code: str) -> dict[str, Any]:
    for page in pages:
        if wanted is None or wanted in ids_of(page):
            return page
    raise OAuthRefused("account_not_offered" if pages else code)


def _choices(pages: list[dict[str, Any]]) -> dict[str, Any]:
    """What else there was to choose from; nothing where there was one page only."""
    if len(pages) < 2:
        return {}
    return {"choices": [{"id": str(page["id"]), "name": _name(page)} for page in pages[:MOST_CHOICES]]}


def _instagram_id(page: dict[str, Any]) -> str:
    account = page.get("instagram_business_account")
    return str(account.get("id") or "") if isinstance(account, dict) else ""


def _name(page: dict[str, Any]) -> str:
    return str(page.get("name") or page["id"])[:LONGEST_NAME]


def _user_name(profile: dict[str, Any], default: str) -> str:
    return str(profile.get("username") or default)[:LONGEST_NAME]


def _id(profile: dict[str, Any], field: str) -> str:
    value = str(profile.get(field) or "")
    if not value:
        raise OAuthRefused("no_account")
    return value
