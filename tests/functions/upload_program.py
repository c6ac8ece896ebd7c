"""Run by test_upload_memory.py in a process of its own: uploads one video and prints how much its memory has grown."""

import asyncio
import json
import resource
import sys
from typing import Any

import httpx

from devstack.providers.world import token_for
from functions.platforms.answers import NotPublished, Pending, Published, Ready
from functions.platforms.catalogue import build_platform
from functions.platforms.post import Account, MediaFile, Platform, Post
from functions.settings import Settings

NAMES = ("tiktok", "youtube", "x", "linkedin")
End = Published | NotPublished


def most_memory() -> int:
    """Bytes of memory that the process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def settings_for(providers: str) -> Settings:
    environ = {
        "SUPABASE_URL": "http://127.0.0.1:1",
        "SUPABASE_ANON_KEY": "anon",
        "SUPABASE_SERVICE_ROLE_KEY": "service",
        "CRON_SECRET": "secret",
        **{f"{name.upper()}_BASE_URL": f"{providers}/{name}" for name in NAMES},
    }
    return Settings.from_environ(environ)


async def publish(platform: Platform, post: Post, account: Account) -> End:
    """The steps as the handler makes them, without a queue between them."""
    remote: dict[str, Any] = {}
    looks = 0
    while not isinstance(prepared := await platform.prepare(post, account, remote, looks), Ready):
        assert isinstance(prepared, Pending)
        remote, looks = prepared.remote, looks + 1
    found: Pending | End = await platform.finish(post, account, prepared.remote)
    for looks in range(200):
        if not isinstance(found, Pending):
            return found
        found = await platform.poll(post, account, found.remote, looks)
    raise AssertionError("the upload does not end")


async def main(wanted: dict[str, Any]) -> None:
    """Publish a small video first, so that everything is loaded, then the large one."""
    option: str = wanted["option"]
    account = Account("ana", token_for("ana"))
    async with httpx.AsyncClient() as http:
        platform = build_platform(option.partition("_")[0], http, settings_for(wanted["providers"]))

        def video(size: int) -> Post:
            file = MediaFile(name="clip.mp4", size=size, type="video/mp4", url=f"{wanted['media']}/{size}")
            return Post(option, (file,), f"{size} bytes", wanted["settings"])

        await platform.prepare(video(100_000), account, {}, 0)
        before = most_memory()
        end = await publish(platform, video(wanted["size"]), account)
        print(json.dumps({"outcome": type(end).__name__, "grown": most_memory() - before}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
