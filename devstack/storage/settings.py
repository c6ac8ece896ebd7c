"""What Storage is given."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where Storage keeps things and whom it believes.

    Attributes:
        db_dsn: connection URL of the project's database, as supabase_storage_admin.
        folder: where the bytes of objects lie; created when it is missing.
        jwt_secret: what bearer tokens are signed with: a plain secret (HS256), a JWK or a JWK set.
        size_limit: the largest object, in bytes; by default that of a new project, 50 MB.
        upload_url_seconds: how long a signed upload URL is good for.
        pool_size: connections to the database, at most.
    """

    db_dsn: str
    folder: Path
    jwt_secret: str
    size_limit: int = 50 * 1024 * 1024
    upload_url_seconds: int = 2 * 60 * 60
    pool_size: int = 4
