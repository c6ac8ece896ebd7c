"""Options that several commands share: which jobs they are about."""

from typing import Annotated
from uuid import UUID

import typer

from filaviva.models import JobStatus

STATUSES = ", ".join(JobStatus)
"""Every status, for a help text."""

_TIME = "2026-11-21T12:00:00Z, or how long ago: 90s, 10m, 2h, 7d."

Queue = Annotated[str | None, typer.Option(help="Of this queue.")]
Kind = Annotated[str | None, typer.Option(help="Of this kind.")]
User = Annotated[UUID | None, typer.Option(help="Of this owner.")]
Company = Annotated[UUID | None, typer.Option(help="Of this company.")]
Instance = Annotated[str | None, typer.Option(help="Of this instance.")]
GroupKey = Annotated[str | None, typer.Option(help="Of this group.")]
ErrorCode = Annotated[str | None, typer.Option(help="With this error code.")]
ErrorText = Annotated[str | None, typer.Option(help="With this in the error's message.")]
Before = Annotated[str | None, typer.Option(metavar="TIME", help=f"Enqueued before: {_TIME}")]
After = Annotated[str | None, typer.Option(metavar="TIME", help="Enqueued after; as --before.")]
