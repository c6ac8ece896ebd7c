"""The result that a job of Facebook ends with."""

from functions.jobs.outcomes import JsonObject
from functions.platforms.post import Account, Post

SITE = "https://www.facebook.com"


def result_of(
    post: Post,
    account: Account,
    answer: JsonObject,
    *,
    post_id: str | None = None,
    video_id: str | None = None,
    permalink: object = None,
) -> JsonObject:
    """Ids and address of a post that is out; `answer` is what Facebook said of it last."""
    return {
        "platform": "facebook",
        "option": post.option,
        "account": account.external_id,
        "post_id": post_id,
        "video_id": video_id,
        "permalink": _whole(permalink),
        "platform_response": answer,
    }


def _whole(permalink: object) -> str | None:
    """Facebook gives the addresses of videos without their host."""
    if not isinstance(permalink, str) or not permalink:
        return None
    return SITE + permalink if permalink.startswith("/") else permalink
