"""What a page holds: photos, some of them seen by nobody, and posts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Photo:
    """An uploaded photo that is not published."""

    photo_id: str
    account: str
    sha256: str
    used: bool = False
    """It is shown by a post or a story, and cannot be by another."""


@dataclass(slots=True)
class PagePost:
    """A post in a page's feed."""

    post_id: str
    account: str
    message: str
    photos: tuple[str, ...] = ()
    video: str | None = None
    unseen_looks: int = 0
    """Looks at the page's posts that do not show it yet."""

    def is_seen(self) -> bool:
        """Whether the list of the page's posts shows it; each call is one look."""
        self.unseen_looks -= 1
        return self.unseen_looks < 0

    def to_json(self) -> dict[str, Any]:
        """As the list of a page's posts shows it."""
        shown = [{"media_type": "photo", "target": {"id": photo}} for photo in self.photos]
        if self.video:
            shown = [{"media_type": "video", "target": {"id": self.video}}]
        if len(shown) > 1:
            album: dict[str, Any] = {"media_type": "album", "target": {"id": self.post_id}}
            shown = [album | {"subattachments": {"data": shown}}]
        body: dict[str, Any] = {"id": self.post_id, "permalink_url": self.permalink}
        if self.message:
            body["message"] = self.message
        return body | {"attachments": {"data": shown}} if shown else body

    @property
    def permalink(self) -> str:
        """Its address."""
        return f"https://www.facebook.com/{self.post_id}"


@dataclass(slots=True)
class Pages:
    """All pages' photos and posts."""

    photos: dict[str, Photo] = field(default_factory=dict)
    posts: list[PagePost] = field(default_factory=list)

    def newest(self, account: str, most: int) -> Sequence[PagePost]:
        """A page's newest posts, the newest first."""
        return [post for post in reversed(self.posts) if post.account == account and post.is_seen()][:most]
