"""Every option there is, by its name and its aliases; each platform declares its own."""

from collections.abc import Mapping

from functions.platforms.facebook.options import FACEBOOK_OPTIONS
from functions.platforms.instagram.options import INSTAGRAM_OPTIONS
from functions.platforms.linkedin.options import LINKEDIN_OPTIONS
from functions.platforms.rules import Option
from functions.platforms.threads.options import THREADS_OPTIONS
from functions.platforms.tiktok.options import TIKTOK_OPTIONS
from functions.platforms.x.options import X_OPTIONS
from functions.platforms.youtube.options import YOUTUBE_OPTIONS

OPTIONS: Mapping[str, Option] = {
    option.name: option
    for options in (
        FACEBOOK_OPTIONS,
        INSTAGRAM_OPTIONS,
        LINKEDIN_OPTIONS,
        THREADS_OPTIONS,
        TIKTOK_OPTIONS,
        X_OPTIONS,
        YOUTUBE_OPTIONS,
    )
    for option in options
}
"""Every option, by its name."""

ALIASES: Mapping[str, str] = {alias: option.name for option in OPTIONS.values() for alias in option.aliases}
"""Other names of options, each with the name that is stored and answered."""


def find_option(name: str) -> Option | None:
    """The option of this name or alias; None when there is none."""
    return OPTIONS.get(ALIASES.get(name, name))
