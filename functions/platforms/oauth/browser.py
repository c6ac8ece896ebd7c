"""What begins and ends a sign-in have in common: the address to come back to, the cookie, and how they are kept."""

import hashlib

from functions.settings import Settings
from functions.web.errors import WebError

CONNECT_SECONDS = 600
"""How long a user may take on the platform's page; the database counts it."""


def site_of(settings: Settings) -> str:
    """The address of the site, under which the functions answer too.

    Raises:
        WebError: 500 when it is not configured.
    """
    if settings.site_url is None:
        hint = "Tell the operator to set SITE_URL; docs/accounts.md says to what."
        raise WebError(500, "not_configured", "The address of the site is not configured.", hint)
    return settings.site_url


def callback_address(site: str, platform: str) -> str:
    """Where the platform sends the browser back to; the same one is registered there."""
    return f"{site}/api/accounts/{platform}/callback"


def cookie_name(settings: Settings, platform: str) -> str:
    """The cookie that ties a sign-in to a browser. With its prefix no other host of the domain can set it."""
    prefix = "__Host-" if site_of(settings).startswith("https://") else ""
    return f"{prefix}filaviva-connect-{platform}"


def digest(secret: str) -> str:
    """How the database keeps a state or a cookie: so that reading it there helps nobody."""
    return hashlib.sha256(secret.encode()).hexdigest()
