"""Where Facebook is, and its numbers."""

from dataclasses import dataclass, field

from functions.platforms.calls import Timeouts
from functions.platforms.meta.usage import Waits
from functions.platforms.post import Account, PollPlan

POLLING = PollPlan(delays_seconds=(5, 5, 10, 20, 30, 60), most_looks=60)
"""Reels are ready within minutes; these looks cover an hour."""


@dataclass(frozen=True, slots=True)
class FacebookConfig:
    """Where Facebook is, and its numbers."""

    base_url: str
    video_base_url: str
    api_version: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    waits: Waits = field(default_factory=Waits)
    polling: PollPlan = POLLING
    recent_posts: int = 25
    """How many posts of the page are looked through for one that may have gone out."""
    quiet_looks: int = 8
    """A page without any new post at this look, four minutes after the call, has none: lists lag behind by less."""
    run_seconds: float = 180
    """After so long a run hands an upload in parts to the next, well before a job is cut off."""
    most_failures: int = 5
    """How many parts of an upload may fail in a row before the attempt is spent."""
    most_finishes: int = 3
    """How often the end of an upload is sent again when nothing came of it."""
    most_bytes_a_part: int = 32 * 1024 * 1024
    """Of a video of the feed; Facebook names the range it wants, which may be larger."""

    def page(self, account: Account, edge: str) -> str:
        """The address of something that belongs to the account's page."""
        return f"{self.base_url}/{self.api_version}/{account.external_id}/{edge}"

    def object(self, name: str) -> str:
        """The address of a post or a video."""
        return f"{self.base_url}/{self.api_version}/{name}"

    def videos(self, account: Account) -> str:
        """The address that takes videos of the page's feed."""
        return f"{self.video_base_url}/{self.api_version}/{account.external_id}/videos"
