"""What LinkedIn is told of a post."""

from functions.jobs.outcomes import JsonObject
from functions.platforms.calls import without_none
from functions.platforms.linkedin.calls import author_of
from functions.platforms.linkedin.options import (
    LinkedInArticleSettings,
    LinkedInImageSettings,
    LinkedInSettings,
    LinkedInTitleSettings,
)
from functions.platforms.post import Account, Post

MARKUP = frozenset("\\|{}@[]()<>#*_~")
"""Characters that mean something in LinkedIn's "little text" unless a backslash stands before them."""


def post_body(post: Post, account: Account, urns: tuple[str, ...]) -> JsonObject:
    """The body of `POST /rest/posts`.

    Args:
        post: what is published.
        account: whose it is.
        urns: of the media, in the order of the files.
    """
    settings, content = _content(post, urns)
    return {
        "author": author_of(account),
        "commentary": escaped(post.caption),
        "visibility": settings.visibility,
        "distribution": {"feedDistribution": "MAIN_FEED", "targetEntities": [], "thirdPartyDistributionChannels": []},
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": not settings.allow_resharing,
        **({"content": content} if content else {}),
    }


def escaped(text: str) -> str:
    """The text as LinkedIn shows it unchanged."""
    return "".join(f"\\{character}" if character in MARKUP else character for character in text)


def _content(post: Post, urns: tuple[str, ...]) -> tuple[LinkedInSettings, JsonObject]:
    match post.option:
        case "linkedin_article":
            article = LinkedInArticleSettings.model_validate(post.settings)
            return article, {"article": _article(article, urns)}
        case "linkedin_video" | "linkedin_document":
            titled = LinkedInTitleSettings.model_validate(post.settings)
            fallback = post.media[0].name if post.option == "linkedin_document" else None
            return titled, {"media": without_none(id=urns[0], title=titled.title or fallback)}
        case _:
            settings = LinkedInImageSettings.model_validate(post.settings)
            images = _images(settings, urns)
            if post.option == "linkedin_images":
                return settings, {"multiImage": {"images": images}}
            return settings, {"media": images[0]} if images else {}


def _article(settings: LinkedInArticleSettings, urns: tuple[str, ...]) -> JsonObject:
    thumbnail = urns[0] if urns else None
    return without_none(
        source=settings.url, title=settings.title, description=settings.description, thumbnail=thumbnail
    )


def _images(settings: LinkedInImageSettings, urns: tuple[str, ...]) -> list[JsonObject]:
    texts = [*settings.alt_texts, *[""] * len(urns)]
    return [without_none(id=urn, altText=text or None) for urn, text in zip(urns, texts, strict=False)]
