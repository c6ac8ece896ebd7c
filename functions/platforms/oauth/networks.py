"""The sign-in of each platform: addresses, rights, and how long its tokens live."""

from functions.platforms.oauth import identities, meta
from functions.platforms.oauth.network import DAY_SECONDS, App, Exchange, Identify, Network
from functions.settings import Settings

PLATFORMS = ("tiktok", "facebook", "instagram", "threads", "youtube", "x", "linkedin")

FACEBOOK_SCOPES = ("pages_manage_posts", "pages_read_engagement", "pages_show_list")
INSTAGRAM_SCOPES = ("instagram_basic", "instagram_content_publish", "pages_read_engagement", "pages_show_list")
HALF_OF_A_LONG_LIFE_SECONDS = 30 * DAY_SECONDS
"""Threads and Instagram renew a token of 60 days only while it lives, so it is renewed at the half of its life."""


def app_of(network: Network, settings: Settings) -> App | None:
    """The operator's registration that a sign-in uses; None where it is not configured."""
    match network.app:
        case "tiktok":
            name, secret = settings.tiktok_client_key, settings.tiktok_client_secret
        case "facebook":
            name, secret = settings.facebook_client_id, settings.facebook_client_secret
        case "instagram":
            name, secret = settings.instagram_client_id, settings.instagram_client_secret
        case "threads":
            name, secret = settings.threads_client_id, settings.threads_client_secret
        case "youtube":
            name, secret = settings.youtube_client_id, settings.youtube_client_secret
        case "x":
            name, secret = settings.x_client_id, settings.x_client_secret
        case "linkedin":
            name, secret = settings.linkedin_client_id, settings.linkedin_client_secret
    may_lack_secret = network.pkce and network.basic
    if not name or (secret is None and not may_lack_secret):
        return None
    return App(name, secret.get_secret_value() if secret else "")


def network_of(platform: str, settings: Settings, *, kind: str | None = None, wanted: str | None = None) -> Network:
    """The sign-in of one of `PLATFORMS`.

    Args:
        platform: its name.
        settings: versions, and which apps there are.
        kind: that of an account which exists already; it decides by which of two sign-ins it was connected.
        wanted: what a new account is to be; an organization needs another right than a member.
    """
    if platform == "facebook":
        return _facebook(settings)
    if platform == "instagram":
        by_itself = settings.instagram_client_id is not None if kind is None else kind == "instagram_login"
        return _instagram(settings) if by_itself else _instagram_by_facebook(settings)
    if platform == "threads":
        return _threads(settings)
    if platform == "linkedin" and (wanted or "").startswith(identities.ORGANIZATION):
        return LINKEDIN_ORGANIZATION
    return _BY_ITSELF[platform]


def graph_of(settings: Settings) -> str:
    """Facebook's Graph API in the configured version."""
    return f"https://graph.facebook.com/{settings.facebook_api_version}"


TIKTOK = Network(
    platform="tiktok",
    name="TikTok",
    app="tiktok",
    authorize_url="https://www.tiktok.com/v2/auth/authorize/",
    grant_url="https://open.tiktokapis.com/v2/oauth/token/",
    scopes=("video.publish", "video.upload"),
    required=("video.publish",),
    identify=identities.tiktok,
    scope_separator=",",
    client_parameter="client_key",
    revoke_url="https://open.tiktokapis.com/v2/oauth/revoke/",
)

YOUTUBE = Network(
    platform="youtube",
    name="YouTube",
    app="youtube",
    authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
    grant_url="https://oauth2.googleapis.com/token",
    scopes=("https://www.googleapis.com/auth/youtube.upload", "https://www.googleapis.com/auth/youtube.readonly"),
    required=("https://www.googleapis.com/auth/youtube.upload",),
    identify=identities.youtube,
    pkce=True,
    # Without both, Google gives a refresh token the first time only.
    authorize_parameters={"access_type": "offline", "prompt": "consent"},
    revoke_url="https://oauth2.googleapis.com/revoke",
)

X = Network(
    platform="x",
    name="X",
    app="x",
    authorize_url="https://x.com/i/oauth2/authorize",
    grant_url="https://api.x.com/2/oauth2/token",
    scopes=("tweet.read", "tweet.write", "users.read", "media.write", "offline.access"),
    required=("tweet.write",),
    identify=identities.x,
    pkce=True,
    basic=True,
    revoke_url="https://api.x.com/2/oauth2/revoke",
)


def _linkedin(right: str) -> Network:
    return Network(
        platform="linkedin",
        name="LinkedIn",
        app="linkedin",
        authorize_url="https://www.linkedin.com/oauth/v2/authorization",
        grant_url="https://www.linkedin.com/oauth/v2/accessToken",
        scopes=("openid", "profile", right),
        required=(right,),
        identify=identities.linkedin,
        revoke_url="https://www.linkedin.com/oauth/v2/revoke",
    )


LINKEDIN = _linkedin("w_member_social")
LINKEDIN_ORGANIZATION = _linkedin("w_organization_social")

_BY_ITSELF = {network.platform: network for network in (TIKTOK, YOUTUBE, X, LINKEDIN)}


def _by_facebook(
    settings: Settings, platform: str, scopes: tuple[str, ...], required: str, identify: Identify
) -> Network:
    graph = graph_of(settings)
    return Network(
        platform=platform,
        name=platform.capitalize(),
        app="facebook",
        authorize_url=f"https://www.facebook.com/{settings.facebook_api_version}/dialog/oauth",
        grant_url=f"{graph}/oauth/access_token",
        scopes=scopes,
        required=(required,),
        identify=identify,
        scope_separator=",",
        lengthen=Exchange(f"{graph}/oauth/access_token", "fb_exchange_token", "fb_exchange_token", with_client_id=True),
        refresh="page_token",
        revoke_url=f"{graph}/me/permissions",
    )


def _facebook(settings: Settings) -> Network:
    identify = meta.facebook_page(graph_of(settings))
    return _by_facebook(settings, "facebook", FACEBOOK_SCOPES, "pages_manage_posts", identify)


def _instagram_by_facebook(settings: Settings) -> Network:
    identify = meta.instagram_by_facebook(graph_of(settings))
    return _by_facebook(settings, "instagram", INSTAGRAM_SCOPES, "instagram_content_publish", identify)


def _instagram(settings: Settings) -> Network:
    graph = "https://graph.instagram.com"
    return Network(
        platform="instagram",
        name="Instagram",
        app="instagram",
        authorize_url="https://www.instagram.com/oauth/authorize",
        grant_url="https://api.instagram.com/oauth/access_token",
        scopes=("instagram_business_basic", "instagram_business_content_publish"),
        required=("instagram_business_content_publish",),
        identify=meta.instagram_profile(f"{graph}/{settings.instagram_api_version}"),
        scope_separator=",",
        lengthen=Exchange(f"{graph}/access_token", "ig_exchange_token"),
        refresh="same_token",
        renewal=Exchange(f"{graph}/refresh_access_token", "ig_refresh_token", with_client_secret=False),
        refresh_early_seconds=HALF_OF_A_LONG_LIFE_SECONDS,
    )


def _threads(settings: Settings) -> Network:
    graph = "https://graph.threads.net"
    return Network(
        platform="threads",
        name="Threads",
        app="threads",
        authorize_url="https://threads.net/oauth/authorize",
        grant_url=f"{graph}/oauth/access_token",
        scopes=("threads_basic", "threads_content_publish"),
        required=("threads_content_publish",),
        identify=meta.threads_profile(f"{graph}/{settings.threads_api_version}"),
        scope_separator=",",
        lengthen=Exchange(f"{graph}/access_token", "th_exchange_token"),
        refresh="same_token",
        renewal=Exchange(f"{graph}/refresh_access_token", "th_refresh_token", with_client_secret=False),
        refresh_early_seconds=HALF_OF_A_LONG_LIFE_SECONDS,
    )
