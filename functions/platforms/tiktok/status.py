"""What became of a post that TikTok has taken."""

from pydantic import BaseModel, Field

from functions.jobs.outcomes import JsonObject
from functions.platforms.answers import NotPublished, Published
from functions.platforms.calls import Reply
from functions.platforms.post import Account, Post
from functions.platforms.tiktok import errors
from functions.platforms.tiktok.calls import Api, read

IN_INBOX = "SEND_TO_USER_INBOX"
"""A draft waits in the app for its user, who does the rest."""
KINDS = {"tiktok_photo": "photo", "tiktok_video": "video"}


class Status(BaseModel):
    """The data of `status/fetch`."""

    status: str
    fail_reason: str = "unknown"
    # TikTok spells it so.
    post_ids: tuple[int | str, ...] = Field((), validation_alias="publicaly_available_post_id")
    uploaded_bytes: int | None = None


async def look(
    api: Api, post: Post, account: Account, publish_id: str, username: str
) -> tuple[Status, Published | NotPublished | None]:
    """The status of a post, and the end that it means; None while TikTok is at work."""
    reply = await api.call("status/fetch", account, {"publish_id": publish_id})
    status = read(Status, reply)
    if status.status == "FAILED":
        failure = errors.failure_of_post(reply, status.fail_reason, quota_seconds=api.quota_seconds)
        return status, NotPublished(failure)
    if status.status == "PUBLISH_COMPLETE" or (status.status == IN_INBOX and post.option not in KINDS):
        return status, Published(_result(post, account, publish_id, username, status, reply))
    return status, None


def _result(post: Post, account: Account, publish_id: str, username: str, status: Status, reply: Reply) -> JsonObject:
    """The job's result; a draft has neither ids nor an address before its user has posted it."""
    # 64-bit ids lose digits in JavaScript unless they are text.
    post_ids = [str(post_id) for post_id in status.post_ids]
    known = post_ids and username and post.option in KINDS
    permalink = f"https://www.tiktok.com/@{username}/{KINDS[post.option]}/{post_ids[0]}" if known else None
    return {
        "platform": "tiktok",
        "option": post.option,
        "account": account.external_id,
        "publish_id": publish_id,
        "post_ids": post_ids,
        "permalink": permalink,
        "platform_response": reply.body,
    }
