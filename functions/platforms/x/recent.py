"""Recognising a post among an account's recent ones.

X changes a text: it escapes three characters, replaces addresses by short ones and adds one for the media.
Media is the better witness, since its key was made for this job alone.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.jobs.outcomes import JsonObject
from functions.platforms.calls import Reply
from functions.platforms.post import Post
from functions.platforms.x.text import ADDRESS

SCHEME = re.compile(r"^https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RecentPost:
    """One post of the account."""

    id: str
    text: str
    """As its author wrote it, in the form of `comparable`."""
    at: float
    """Unix time."""
    media_keys: frozenset[str]
    raw: JsonObject


def read_posts(reply: Reply) -> list[RecentPost]:
    """The posts of an answer, newest first; one of another shape than documented is left out."""
    found = reply.body.get("data")
    posts = []
    for raw in found if isinstance(found, list) else []:
        try:
            posts.append(_read(raw))
        except (KeyError, TypeError, ValueError, AttributeError):
            continue  # a post that cannot be read cannot be recognised either
    return posts


def find(
    posts: Sequence[RecentPost], post: Post, media_keys: frozenset[str] | None, since: float | None
) -> RecentPost | None:
    """The post among `posts`, or None.

    Args:
        posts: those of the account.
        post: the one that is looked for.
        media_keys: of the media that this job has brought up; None: compare the text alone.
        since: leave out what is older than this moment in Unix time.
    """
    text = comparable(ADDRESS.sub(lambda match: SCHEME.sub("", match.group()), post.caption))
    for each in posts:
        by_media = bool(media_keys) and each.media_keys == media_keys
        by_text = not media_keys and each.text == text
        if (since is None or each.at >= since) and (by_media or by_text):
            return each
    return None


def comparable(text: str) -> str:
    """A text without what X may change: Unicode's form, spaces, the slash at an address's end."""
    return " ".join(unicodedata.normalize("NFC", text).replace("/ ", " ").removesuffix("/").split())


def _read(raw: Any) -> RecentPost:
    text = raw["text"]
    for address in (raw.get("entities") or {}).get("urls") or []:
        own_media = "media_key" in address
        text = text.replace(address["url"], "" if own_media else SCHEME.sub("", address["expanded_url"]))
    return RecentPost(
        id=raw["id"],
        text=comparable(html.unescape(text)),
        at=datetime.fromisoformat(raw["created_at"]).timestamp(),
        media_keys=frozenset((raw.get("attachments") or {}).get("media_keys") or ()),
        raw=raw,
    )
