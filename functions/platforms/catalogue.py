"""Finds the adapter of a platform and gives it its configuration."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import httpx

from functions.platforms.instagram import Instagram, InstagramConfig
from functions.platforms.post import Platform
from functions.platforms.tiktok import TikTok, TikTokConfig
from functions.settings import Settings


def _tiktok(http: httpx.AsyncClient, settings: Settings) -> Platform:
    config = TikTokConfig(base_url=settings.tiktok_base_url)
    return TikTok(http, replace(config, polling=config.polling.scaled(settings.poll_scale)))


def _instagram(http: httpx.AsyncClient, settings: Settings) -> Platform:
    config = InstagramConfig(base_url=settings.instagram_base_url, api_version=settings.instagram_api_version)
    return Instagram(http, replace(config, polling=config.polling.scaled(settings.poll_scale)))


_BUILDERS: Mapping[str, Callable[[httpx.AsyncClient, Settings], Platform]] = {
    "tiktok": _tiktok,
    "instagram": _instagram,
}


def build_platform(name: str, http: httpx.AsyncClient, settings: Settings) -> Platform:
    """The adapter of the platform that an option of `options.OPTIONS` belongs to."""
    return _BUILDERS[name](http, settings)
