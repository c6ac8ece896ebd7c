"""Photos of a page: uploaded without being published, so that a post or a story can be made of them."""

from functions.platforms import media
from functions.platforms.answers import CallFailed, TryAgain
from functions.platforms.facebook.config import FacebookConfig
from functions.platforms.meta.graph import Graph
from functions.platforms.post import Account, MediaFile


async def upload_unpublished(graph: Graph, config: FacebookConfig, account: Account, file: MediaFile) -> str:
    """Let Facebook pull a photo that nobody sees yet; answers its id."""
    await media.check_pull(graph.http, file, config.timeouts)
    parameters = {"url": file.url, "published": False}
    reply = await graph.call("POST", config.page(account, "photos"), account, body=parameters)
    graph.check_usage(reply)
    photo = reply.body.get("id")
    if not isinstance(photo, str):
        error = reply.error(graph.errors.platform, "platform_answer_unexpected", "no id of the photo")
        raise CallFailed(TryAgain(error))
    return photo
