"""TikTok: photos, posted directly or left as a draft in the user's inbox.

TikTok pulls photos from their addresses, so `content/init` itself is the irreversible call. It alone tells the
post's `publish_id`: when its answer is lost, TikTok cannot be asked, and the post stays unconfirmed.
"""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms import media
from functions.platforms.answers import CallFailed, NotPublished, Pending, Permanent, Published, Ready
from functions.platforms.calls import without_none
from functions.platforms.post import Account, PollPlan, Post
from functions.platforms.tiktok import status
from functions.platforms.tiktok.calls import Api, Creator, read
from functions.platforms.tiktok.options import TikTokPhotoDraftSettings, TikTokPhotoSettings


class PhotoPost(BaseModel):
    """A post on its way, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    username: str = ""
    comment_disabled: bool = False
    publish_id: str | None = None


class _Opened(BaseModel):
    publish_id: str


@dataclass(frozen=True, slots=True)
class Photos:
    """The steps of `tiktok_photo` and `tiktok_photo_draft`."""

    api: Api
    polling: PollPlan

    async def prepare(self, post: Post, account: Account) -> Ready:
        """Ask who posts, and make sure that TikTok will find the photos."""
        creator = Creator()
        if post.option == "tiktok_photo":
            creator = await self.api.creator(account, TikTokPhotoSettings.model_validate(post.settings).privacy)
        for file in post.media:
            await media.check_pull(self.api.http, file, self.api.timeouts)
        known = PhotoPost(username=creator.creator_username, comment_disabled=creator.comment_disabled)
        return Ready(known.model_dump())

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Pending:
        """Tell TikTok to fetch and post the photos."""
        known = PhotoPost.model_validate(remote)
        reply = await self.api.call("content/init", account, _body(post, known), irreversible=True)
        opened = read(_Opened, reply, irreversible=True)
        return self._pending(known.model_copy(update={"publish_id": opened.publish_id}), 0)

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Ask for the post's status, where its name is known."""
        known = PhotoPost.model_validate(remote)
        if known.publish_id is None:
            message = (
                "TikTok's answer was lost, and without it TikTok cannot be asked for the post."
                " Look at the account before you publish it again."
            )
            raise CallFailed(Permanent(JobError("outcome_unknown", message)))
        _, end = await status.look(self.api, post, account, known.publish_id, known.username)
        return end or self._pending(known, looks)

    def _pending(self, known: PhotoPost, looks: int) -> Pending:
        return Pending(known.model_dump(), self.polling.delay(looks))


def _body(post: Post, known: PhotoPost) -> JsonObject:
    settings = TikTokPhotoDraftSettings.model_validate(
        {name: value for name, value in post.settings.items() if name in ("title", "coverIndex")}
    )
    direct = post.option == "tiktok_photo"
    return {
        "media_type": "PHOTO",
        "post_mode": "DIRECT_POST" if direct else "MEDIA_UPLOAD",
        "post_info": {
            **without_none(title=settings.title, description=post.caption or None),
            **(_direct(TikTokPhotoSettings.model_validate(post.settings), known) if direct else {}),
        },
        "source_info": {
            "source": "PULL_FROM_URL",
            "photo_cover_index": settings.cover_index,
            "photo_images": [file.url for file in post.media],
        },
    }


def _direct(settings: TikTokPhotoSettings, known: PhotoPost) -> JsonObject:
    """What TikTok takes only for a post that goes out at once."""
    return {
        "privacy_level": settings.privacy,
        "disable_comment": known.comment_disabled or not settings.allow_comments,
        "auto_add_music": settings.add_music,
        "brand_content_toggle": settings.brand_content,
        "brand_organic_toggle": settings.brand_organic,
    }
