"""Jobs of every status, for the tests of the seed-named surface."""

import uuid

from tests.sql.conftest import Engine, Json

ERROR = {"code": "boom", "message": "It broke."}
POST: Json = {
    "kind": "publish_post",
    "payload": {"option": "tiktok_video", "platform": "tiktok", "content": {"caption": "Olá"}},
}
MESSAGE: Json = {
    "kind": "envio_mensagem",
    "payload": {"text": "Olá"},
    "instance_id": "loja-1",
    "group_key": "loja-1:5511999999999",
    "metadata": {"chat_id": "5511999999999", "client_id": 7, "is_group": False},
}

_ENDS: dict[str, Json] = {
    "retrying": {"outcome": "retry", "error": ERROR, "after_seconds": 3600},
    "completed": {"outcome": "done", "result": {"id": "1"}},
    "failed": {"outcome": "reject", "error": ERROR},
    "unconfirmed": {"outcome": "unconfirmed"},
}


def job_in(engine: Engine, status: str, job: Json) -> str:
    """The id of a new job that was brought into `status` by the engine's own calls."""
    [job_id] = engine.enqueue(job)
    if status == "cancelled":
        engine.call("cancel_jobs", {"ids": [job_id]}, 1)
    elif status != "pending":
        [claimed] = engine.call("claim_job", job_id, "w1", uuid.uuid4())["jobs"]
        if status in _ENDS:
            token = {"job_id": job_id, "claim_id": claimed["claim_id"]}
            engine.call("settle_jobs", [token | _ENDS[status]])
    assert engine.job(job_id)["status"] == status
    return job_id
