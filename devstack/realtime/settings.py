"""What the gateway must be told; it reads no environment of its own."""

from dataclasses import dataclass, field

from devstack.realtime.limits import Limits


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """Where the database is and whom to trust.

    Attributes:
        dsn: connection URL of a superuser: it opens the replication slot and takes on any subscriber's role.
        jwt_secret: what API keys and users' tokens are signed with: the project's secret, or a JWK set as text.
        publication: tables in this publication are streamed, others cannot be subscribed to.
        limits: how much clients may do.
        publication_seconds: how often the publication is looked at; when it has changed, everyone is subscribed anew.
    """

    dsn: str
    jwt_secret: str
    publication: str = "supabase_realtime"
    limits: Limits = field(default_factory=Limits)
    publication_seconds: float = 60.0
