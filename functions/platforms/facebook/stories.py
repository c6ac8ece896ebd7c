"""Stories of a page that show a photo.

Nothing that Facebook answers later tells whether a story went out, so an unclear answer to the irreversible call
stays unclear: a person has to look.
"""

from pydantic import BaseModel, ConfigDict

from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms.answers import Ambiguous, CallFailed, Permanent, Published, Ready
from functions.platforms.facebook.config import FacebookConfig
from functions.platforms.facebook.photos import upload_unpublished
from functions.platforms.facebook.results import result_of
from functions.platforms.meta.graph import Graph
from functions.platforms.post import Account, Post


class StoryPhoto(BaseModel):
    """The uploaded photo, as it is kept in the checkpoint."""

    model_config = ConfigDict(frozen=True)

    photo: str


class PhotoStories:
    """`facebook_story` with a photo."""

    def __init__(self, graph: Graph, config: FacebookConfig) -> None:
        self.graph = graph
        self.config = config

    async def prepare(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Ready:
        """Upload the photo."""
        [file] = post.media
        photo = await upload_unpublished(self.graph, self.config, account, file)
        return Ready(StoryPhoto(photo=photo).model_dump())

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Published:
        """Make a story of it."""
        body = {"photo_id": StoryPhoto.model_validate(remote).photo}
        url = self.config.page(account, "photo_stories")
        reply = await self.graph.call("POST", url, account, body=body, irreversible=True)
        if reply.body.get("success") is not True:
            raise CallFailed(Ambiguous(reply.error("Facebook", "platform_answer_unexpected", "no success")))
        return Published(result_of(post, account, reply.body, post_id=_text(reply.body.get("post_id"))))

    async def poll(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Published:
        """Nothing can be found out, and asking again would not change that."""
        raise CallFailed(Permanent(unknown_story()))


def unknown_story() -> JobError:
    """What the owner of a story reads when its fate cannot be known."""
    message = (
        "Facebook's answer to the story was lost, and Facebook does not tell afterwards whether it went out."
        " Look at the page's stories before you publish it again."
    )
    return JobError("outcome_unknown", message)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
