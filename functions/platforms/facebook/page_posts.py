"""Posts of text and photos in a page's feed.

The photos go up unpublished; the irreversible call makes a post of them. Facebook has no key by which a call can be
repeated safely, so after an unclear answer the page's newest posts are read: those that were there before the call
are known, and a new one is ours when it shows our photos, or our words where there are none.
"""

import unicodedata
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms.answers import (
    Ambiguous,
    CallFailed,
    NotPublished,
    Pending,
    Permanent,
    Published,
    Ready,
    TryAgain,
)
from functions.platforms.calls import without_none
from functions.platforms.facebook.config import FacebookConfig
from functions.platforms.facebook.photos import upload_unpublished
from functions.platforms.facebook.results import result_of
from functions.platforms.meta.errors import DUPLICATE, numbers_in
from functions.platforms.meta.graph import Graph
from functions.platforms.post import Account, Post

FIELDS = "id,message,permalink_url,attachments{media_type,target{id},subattachments{media_type,target{id}}}"
SHOWN_MEDIA = frozenset({"photo", "album", "video"})


class Draft(BaseModel):
    """What was made for a post, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    known: tuple[str, ...]
    """The page's newest posts from before the call."""
    photos: tuple[str, ...] = ()


class _PagePost(BaseModel):
    id: str
    message: str = ""
    permalink_url: str | None = None
    attachments: Any = None

    def is_of(self, post: Post, draft: Draft) -> bool:
        """Whether this is what the post would look like."""
        shown = list(_attachments(self.attachments))
        if draft.photos:
            return set(draft.photos) <= {_target(each) for each in shown}
        has_media = any(each.get("media_type") in SHOWN_MEDIA for each in shown)
        return not has_media and _words(self.message) == _words(post.caption)


class PagePosts:
    """`facebook_feed` without a video, and `facebook_photo`."""

    def __init__(self, graph: Graph, config: FacebookConfig) -> None:
        self.graph = graph
        self.config = config

    async def prepare(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Ready:
        """Note the page's newest posts, and upload the photos."""
        known = tuple(each.id for each in await self._recent(account, beginning=True))
        photos = [await upload_unpublished(self.graph, self.config, account, file) for file in post.media]
        return Ready(Draft(known=known, photos=tuple(photos)).model_dump())

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Published:
        """Make the post."""
        draft = Draft.model_validate(remote)
        attached = [{"media_fbid": photo} for photo in draft.photos]
        parameters = without_none(message=post.caption or None, attached_media=attached or None)
        url, query = self.config.page(account, "feed"), {"fields": "id,permalink_url"}
        try:
            reply = await self.graph.call("POST", url, account, query=query, body=parameters, irreversible=True)
        except CallFailed as failed:
            if DUPLICATE not in numbers_in(failed.failure.error):
                raise
            return await self._earlier(post, account, draft, failed.failure.error)
        post_id = reply.body.get("id")
        if not isinstance(post_id, str):
            error = reply.error(self.graph.errors.platform, "platform_answer_unexpected", "no id of the post")
            raise CallFailed(Ambiguous(error))
        return Published(
            result_of(post, account, reply.body, post_id=post_id, permalink=reply.body.get("permalink_url"))
        )

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Look for the post among the page's newest."""
        draft = Draft.model_validate(remote)
        fresh = await self._fresh(account, draft)
        if published := self._ours(fresh, post, account, draft):
            return published
        if not fresh and looks >= self.config.quiet_looks:
            error = JobError("not_published", "Facebook has not published the post; the page shows no new one.")
            return NotPublished(TryAgain(error))
        return Pending(remote, self.config.polling.delay(looks))

    async def _earlier(self, post: Post, account: Account, draft: Draft, error: JobError) -> Published:
        """The post that Facebook says it has already; it refused this call, so nothing new has gone out."""
        fresh = await self._fresh(account, draft)
        if published := self._ours(fresh, post, account, draft):
            return published
        raise CallFailed(Permanent(error))

    def _ours(self, fresh: list[_PagePost], post: Post, account: Account, draft: Draft) -> Published | None:
        found = next((each for each in fresh if each.is_of(post, draft)), None)
        if found is None:
            return None
        answer = found.model_dump(exclude={"message"})  # which alone may be more than a result can hold
        return Published(result_of(post, account, answer, post_id=found.id, permalink=found.permalink_url))

    async def _fresh(self, account: Account, draft: Draft) -> list[_PagePost]:
        """The posts above all that were there before; an older one that moves up, since others went, is not new."""
        return list(takewhile(lambda each: each.id not in draft.known, await self._recent(account)))

    async def _recent(self, account: Account, *, beginning: bool = False) -> list[_PagePost]:
        query = {"fields": FIELDS, "limit": str(self.config.recent_posts)}
        reply = await self.graph.call("GET", self.config.page(account, "published_posts"), account, query=query)
        if beginning:
            self.graph.check_usage(reply)
        try:
            return [_PagePost.model_validate(each) for each in reply.body["data"]]
        except (KeyError, TypeError, ValidationError) as error:
            reason = reply.error(self.graph.errors.platform, "platform_answer_unexpected", "no list of posts")
            raise CallFailed(TryAgain(reason)) from error


def _words(text: str) -> list[str]:
    """A text without what Facebook may change: Unicode's form, and spaces."""
    return unicodedata.normalize("NFC", text).split()


def _attachments(place: object) -> Iterator[JsonObject]:
    """All that a post shows, the parts of an album among them."""
    items = place.get("data") if isinstance(place, dict) else None
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield item
            yield from _attachments(item.get("subattachments"))


def _target(attachment: JsonObject) -> str:
    target = attachment.get("target")
    return str(target.get("id", "")) if isinstance(target, dict) else ""
