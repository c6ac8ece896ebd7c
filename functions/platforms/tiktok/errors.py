"""TikTok's error codes, sorted into the outcome classes.

Source: error tables of the Content Posting API's init and status pages. A code that is in no table is
judged by its HTTP status.
"""

from functions.jobs.outcomes import JobError
from functions.platforms.answers import Ambiguous, Auth, Failure, Permanent, Quota, TryAgain
from functions.platforms.calls import Reply, retry_after

PLATFORM = "TikTok"

RECONNECT = frozenset({"access_token_invalid", "scope_not_authorized"})
TOO_MANY_DRAFTS = "spam_risk_too_many_pending_share"
"""Drafts that their user has not finished; what is posted directly is not held up by them."""
QUOTA = frozenset({"spam_risk_too_many_posts", TOO_MANY_DRAFTS, "reached_active_user_cap"})
RATE_LIMIT = "rate_limit_exceeded"
PASSING = frozenset({"internal_error"})
PASSING_FAIL_REASONS = frozenset({"internal", "video_pull_failed", "photo_pull_failed"})
QUOTA_FAIL_REASONS = frozenset({"spam_risk_too_many_posts"})


def failure_of(
    reply: Reply, *, rate_limit_seconds: float, quota_seconds: float, irreversible: bool = False
) -> Failure | None:
    """The class of a JSON answer; None for success, which TikTok tells by the code alone, not by the status.

    Args:
        reply: the answer.
        rate_limit_seconds: pause after the per-minute limit, where the answer names none.
        quota_seconds: pause after a daily cap.
        irreversible: whether the call publishes; then an error of the server is ambiguous.
    """
    code = str(reply.part("error").get("code", f"http_{reply.status}"))
    if code == "ok" and reply.status < 400:
        return None
    error = reply.error(PLATFORM, code, reply.part("error").get("message"))
    if code in QUOTA:
        return Quota(error, quota_seconds, "post" if code == TOO_MANY_DRAFTS else "account")
    if reply.status == 429 or code == RATE_LIMIT:
        return Quota(error, retry_after(reply.headers) or rate_limit_seconds, "calls")
    not_tiktoks = code == f"http_{reply.status}" and reply.status < 300
    if code in PASSING or reply.status == 408 or reply.status >= 500 or not_tiktoks:
        return Ambiguous(error) if irreversible else TryAgain(error, retry_after(reply.headers))
    return Auth(error) if code in RECONNECT or code == "http_401" else Permanent(error)


def failure_of_post(reply: Reply, fail_reason: str, *, quota_seconds: float) -> TryAgain | Quota | Permanent:
    """The class of a post that TikTok took and then failed, by its `fail_reason`."""
    words = f"TikTok did not publish the post: {fail_reason}."
    error = JobError(fail_reason, words, {"http_status": reply.status, "platform_response": reply.body})
    if fail_reason in PASSING_FAIL_REASONS:
        return TryAgain(error)
    return Quota(error, quota_seconds) if fail_reason in QUOTA_FAIL_REASONS else Permanent(error)
