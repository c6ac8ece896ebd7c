"""Uploads a video of one's own and publishes it."""

from pathlib import Path
from typing import Any

import httpx


def publish(functions_url: str, token: str, user_id: str, video: Path) -> list[dict[str, Any]]:
    """Publish `video` as a reel, as the user whose access token it is; the jobs that were enqueued."""
    about = {"name": video.name, "size": video.stat().st_size, "type": "video/mp4"}
    with httpx.Client(base_url=functions_url, headers={"Authorization": f"Bearer {token}"}) as functions:
        asked = functions.post("/api/media/uploads", json={"files": [about]}).raise_for_status()
        [answer] = asked.json()["uploads"]

        upload = answer["upload"]
        with video.open("rb") as content:
            httpx.put(upload["url"], content=content, headers=upload["headers"], timeout=300).raise_for_status()

        request = {
            "userId": user_id,
            "selectedOptions": ["instagram_reels"],
            "mediaFiles": [answer["file"]],
            "captions": {"universal": "First light"},
        }
        enqueued = functions.post("/api/publications/enqueue", json=request).raise_for_status()
        return list(enqueued.json()["data"]["jobs"])
