"""What the gateway must be told; it reads no environment of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """Where the database is and whom to trust.

    Attributes:
        dsn: connection URL of a superuser: it opens the replication slot and takes on any subscriber's role.
        jwt_secret: the project's HS256 secret, which signs API keys and users' tokens.
        publication: tables in this publication are streamed, others cannot be subscribed to.
    """

    dsn: str
    jwt_secret: str
    publication: str = "supabase_realtime"
