"""The LinkedIn double's rules for a post."""

from collections.abc import Mapping
from typing import Any

FIELDS = {
    "author",
    "commentary",
    "visibility",
    "distribution",
    "lifecycleState",
    "isReshareDisabledByAuthor",
    "content",
}
REQUIRED = FIELDS - {"content", "isReshareDisabledByAuthor"}
CONTENTS = {"media", "multiImage", "article"}
COMMENTARY_LIMIT = 3000
MARKUP = frozenset("|{}@[]()<>#*_~")
FEWEST_IMAGES, MOST_IMAGES = 2, 20


class PostError(ValueError):
    """A post breaks a rule; the message says which."""


def check_post(body: Mapping[str, Any]) -> None:
    """Refuse a post whose fields are not what LinkedIn wants."""
    if set(body) - FIELDS or REQUIRED - set(body):
        raise PostError(f"a post has {', '.join(sorted(REQUIRED))} and may have content")
    if body["visibility"] not in ("PUBLIC", "CONNECTIONS") or body["lifecycleState"] != "PUBLISHED":
        raise PostError("visibility must be PUBLIC or CONNECTIONS, lifecycleState PUBLISHED")
    distribution = body["distribution"]
    if not isinstance(distribution, dict) or distribution.get("feedDistribution") != "MAIN_FEED":
        raise PostError("distribution.feedDistribution must be MAIN_FEED")


def read_commentary(text: object) -> str:
    """The commentary as readers see it; a bare character of the markup is refused, as it would cut the text."""
    if not isinstance(text, str):
        raise PostError("commentary must be text")
    shown, escaped = [], False
    for character in text:
        if not escaped and character == "\\":
            escaped = True
            continue
        if not escaped and character in MARKUP:
            raise PostError(f"commentary holds a bare {character}")
        shown.append(character)
        escaped = False
    if len(shown) > COMMENTARY_LIMIT:
        raise PostError(f"commentary takes at most {COMMENTARY_LIMIT} characters")
    return "".join(shown)


def read_content(content: object) -> list[str]:
    """The URNs of the media that a post shows."""
    if content is None:
        return []
    if not isinstance(content, dict) or len(content) != 1 or not set(content) <= CONTENTS:
        raise PostError(f"content must be one of {', '.join(sorted(CONTENTS))}")
    try:
        if "media" in content:
            return [str(content["media"]["id"])]
        if "article" in content:
            article = content["article"]
            if not article["source"] or not article["title"]:
                raise PostError("an article needs source and title")
            return [str(article["thumbnail"])] if "thumbnail" in article else []
        images = [str(image["id"]) for image in content["multiImage"]["images"]]
    except (KeyError, TypeError) as error:
        raise PostError(f"content lacks {error}") from error
    if not FEWEST_IMAGES <= len(images) <= MOST_IMAGES:
        raise PostError(f"multiImage takes {FEWEST_IMAGES} to {MOST_IMAGES} images")
    return images
