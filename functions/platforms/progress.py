"""Keeping what an upload has achieved when one of its many calls fails in passing."""

from functions.jobs.outcomes import JsonObject
from functions.platforms.answers import CallFailed, Pending, Quota, TryAgain


def keep(failed: CallFailed, remote: JsonObject, *, failures: int, most: int, delay: float) -> Pending:
    """The answer that goes on from `remote` after a pause, for a failure that passes.

    Args:
        failed: why the last call did not succeed.
        remote: what has been achieved, with `failures` counted up.
        failures: passing failures since the last progress, this one included.
        most: so many of them are borne; then the attempt is spent, and the next one begins afresh.
        delay: seconds to wait where the platform names none.

    Raises:
        CallFailed: `failed` itself, when the failure does not pass or has come too often.
    """
    failure = failed.failure
    if not isinstance(failure, TryAgain | Quota) or failures > most:
        raise failed
    return Pending(remote, delay if failure.after_seconds is None else failure.after_seconds)
