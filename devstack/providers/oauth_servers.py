"""The platforms' sign-in servers, as far as they differ: addresses, parameters, and how their tokens live."""

from dataclasses import dataclass

CLIENT_ID = "double-client"
CLIENT_SECRET = "double-secret"  # noqa: S105 - not a secret: everybody is told it


@dataclass(frozen=True, slots=True)
class Server:
    """One platform's sign-in server."""

    app: str
    authorize: str
    grant: str
    client: str = "client_id"
    separator: str = " "
    pkce: bool = False
    basic: bool = False
    seconds: int | None = 3600
    """How long an access token lives; None where the answer does not say."""
    refreshes: bool = True
    rotates: bool = False
    """Whether a refresh token dies with its first use."""
    graph: bool = False
    """Whether its errors have the shape of Meta's."""
    revoke: str = ""


SERVERS = (
    Server(
        "tiktok", "www.tiktok.com/v2/auth/authorize/", "open.tiktokapis.com/v2/oauth/token/", client="client_key",
        separator=",", rotates=True, revoke="open.tiktokapis.com/v2/oauth/revoke/",
    ),
    Server(
        "facebook", "www.facebook.com/{version}/dialog/oauth", "graph.facebook.com/{version}/oauth/access_token",
        separator=",", refreshes=False, graph=True,
    ),
    Server(
        "instagram", "www.instagram.com/oauth/authorize", "api.instagram.com/oauth/access_token",
        separator=",", refreshes=False, graph=True,
    ),
    Server(
        "threads", "threads.net/oauth/authorize", "graph.threads.net/oauth/access_token",
        separator=",", seconds=None, refreshes=False, graph=True,
    ),
    Server(
        "youtube", "accounts.google.com/o/oauth2/v2/auth", "oauth2.googleapis.com/token", pkce=True,
        revoke="oauth2.googleapis.com/revoke",
    ),
    Server(
        "x", "x.com/i/oauth2/authorize", "api.x.com/2/oauth2/token", pkce=True, basic=True, seconds=7200,
        rotates=True, revoke="api.x.com/2/oauth2/revoke",
    ),
    Server(
        "linkedin", "www.linkedin.com/oauth/v2/authorization", "www.linkedin.com/oauth/v2/accessToken",
        seconds=5_184_000, revoke="www.linkedin.com/oauth/v2/revoke",
    ),
)  # fmt: skip
