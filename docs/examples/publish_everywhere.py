"""Publishes a text on two networks, tomorrow."""

from datetime import UTC, datetime, timedelta

import httpx


def publish(functions_url: str, token: str, user_id: str, text: str) -> tuple[list[str], list[str]]:
    """The jobs that were enqueued, and why the others were not."""
    request = {
        "userId": user_id,
        "selectedOptions": ["threads_post", "x_post"],
        "captions": {"universal": text},
        "scheduledAt": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
    }
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"{user_id}:{text}"}
    answer = httpx.post(f"{functions_url}/api/publications/enqueue", json=request, headers=headers)
    if answer.status_code == 422:  # nothing can be published
        rejected, jobs = answer.json()["error"]["details"]["rejected"], []
    else:
        data = answer.raise_for_status().json()["data"]
        rejected, jobs = data.get("rejected", []), data["jobs"]
    reasons = [f"{each['platform']}: {each['message']} ({each['field']})" for each in rejected]
    return [job["job_id"] for job in jobs], reasons
