"""Whose account a token opens, asked of each platform that is not Meta's."""

from functions.jobs.outcomes import JsonObject
from functions.platforms.oauth.calls import OAuthCalls, OAuthFailed, OAuthRefused
from functions.platforms.oauth.network import LONGEST_NAME, Identity, Tokens

ORGANIZATION = "urn:li:organization:"


async def tiktok(calls: OAuthCalls, tokens: Tokens, wanted: str | None) -> Identity:
    """The token's answer names the account; its nickname is asked for, and may be missing."""
    open_id = _text(tokens.facts.get("open_id"))
    url = "https://open.tiktokapis.com/v2/post/publish/creator_info/query/"
    try:
        creator = _object((await calls.post(url, {}, bearer=tokens.access_token)).get("data"))
    except OAuthFailed:  # such as an account that may not post at this moment: it is the user's all the same
        creator = {}
    return Identity(open_id, _name(creator.get("creator_nickname") or creator.get("creator_username"), "TikTok"))


async def youtube(calls: OAuthCalls, tokens: Tokens, wanted: str | None) -> Identity:
    """The channel that the user chose on Google's page."""
    url = "https://www.googleapis.com/youtube/v3/channels"
    answer = await calls.get(url, {"part": "snippet", "mine": "true"}, bearer=tokens.access_token)
    channels = answer.get("items")
    if not isinstance(channels, list) or not channels:
        raise OAuthRefused("no_channel")
    channel = _object(channels[0])
    return Identity(_text(channel.get("id")), _name(_object(channel.get("snippet")).get("title"), "YouTube"))


async def x(calls: OAuthCalls, tokens: Tokens, wanted: str | None) -> Identity:
    """The user who signed in."""
    answer = await calls.get("https://api.x.com/2/users/me", bearer=tokens.access_token)
    user = _object(answer.get("data"))
    return Identity(_text(user.get("id")), _name(user.get("username"), "X"))


async def linkedin(calls: OAuthCalls, tokens: Tokens, wanted: str | None) -> Identity:
    """The member who signed in, or the organization that they want to post for.

    LinkedIn itself looks at every post whether the member may speak for the organization.
    """
    member = await calls.get("https://api.linkedin.com/v2/userinfo", bearer=tokens.access_token)
    sub, name = _text(member.get("sub")), _name(member.get("name"), "LinkedIn")
    if wanted and wanted.startswith(ORGANIZATION):
        number = wanted.removeprefix(ORGANIZATION)
        if not (number.isascii() and number.isdecimal()):
            raise OAuthRefused("account_not_offered")
        return Identity(number, name, "organization", {"organization_urn": wanted})
    return Identity(sub, name, "person")


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _name(value: object, default: str) -> str:
    return str(value or default)[:LONGEST_NAME]


def _text(value: object) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value):
        raise OAuthRefused("no_account")
    return str(value)
