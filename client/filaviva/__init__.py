"""Durable background jobs with live status for teams on Supabase who write Python.

Everything an application needs is in ``__all__``; the modules below it may change.
"""

import logging

from filaviva.errors import (
    Conflict,
    FilaVivaError,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSignedIn,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
)
from filaviva.models import EnqueuedJob, Job, JobStatus, NewJob
from filaviva.queue import FilaViva
from filaviva.sync import SyncFilaViva
from filaviva.waiting import WhyWaiting

__all__ = [
    "Conflict",
    "EnqueuedJob",
    "FilaViva",
    "FilaVivaError",
    "Forbidden",
    "InvalidRequest",
    "Job",
    "JobStatus",
    "NewJob",
    "NotFound",
    "NotSignedIn",
    "PayloadTooLarge",
    "RateLimited",
    "SyncFilaViva",
    "Unavailable",
    "WhyWaiting",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())

# People meet these names in tracebacks and logs: they should read as what is imported.
for _name in __all__:
    globals()[_name].__module__ = __name__
