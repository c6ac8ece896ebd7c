"""Finds the adapter of a platform and gives it its configuration."""

from collections.abc import Callable, Mapping

import httpx

from functions.platforms.facebook import adapter as facebook
from functions.platforms.instagram import adapter as instagram
from functions.platforms.linkedin import adapter as linkedin
from functions.platforms.post import Platform
from functions.platforms.threads import adapter as threads
from functions.platforms.tiktok import adapter as tiktok
from functions.platforms.x import adapter as x
from functions.platforms.youtube import adapter as youtube
from functions.settings import Settings

_BUILDERS: Mapping[str, Callable[[httpx.AsyncClient, Settings], Platform]] = {
    "facebook": facebook.build,
    "instagram": instagram.build,
    "linkedin": linkedin.build,
    "threads": threads.build,
    "tiktok": tiktok.build,
    "x": x.build,
    "youtube": youtube.build,
}


def build_platform(name: str, http: httpx.AsyncClient, settings: Settings) -> Platform:
    """The adapter of the platform that an option of `options.OPTIONS` belongs to."""
    return _BUILDERS[name](http, settings)
