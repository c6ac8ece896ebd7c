"""What the REST gateway is told: ready values, named after PostgREST's own settings."""

from dataclasses import dataclass
from typing import Literal

TransactionEnd = Literal["commit", "commit-allow-override", "rollback", "rollback-allow-override"]


@dataclass(frozen=True, slots=True)
class RestSettings:
    """Settings of one gateway.

    Attributes:
        db_dsn: where the database is, as role `authenticator`, which may switch to the API roles.
        schemas: what is exposed; the first one is used when a request names none.
        anon_role: who a request without a token is; None refuses such requests.
        jwt_secret: what tokens are signed with: plain text, or a JWK or JWK set as JSON. None refuses tokens.
        jwt_aud: the audience that tokens must name; None accepts any.
        pre_request: a function (`name` or `schema.name`) that runs in every transaction before the request.
        tx_end: how transactions end, and whether `Prefer: tx=` may say otherwise.
        max_rows: the most rows one answer holds; None for no limit. Does not limit changes.
        extra_search_path: schemas searched after the selected one.
        app_settings: what SQL finds in every transaction, such as ``("app.settings.host", "example.com")``.
        pool_size: the most connections that are open at once.
        pool_timeout: seconds a request waits for a free connection.
        max_body: the largest request body, in bytes.
        body_timeout: seconds in which a request body must arrive.
        safe_update_roles: roles that may not change or delete a whole table without a filter.
    """

    db_dsn: str
    schemas: tuple[str, ...] = ("public",)
    anon_role: str | None = "anon"
    jwt_secret: str | None = None
    jwt_aud: str | None = None
    pre_request: str | None = None
    tx_end: TransactionEnd = "commit"
    max_rows: int | None = 1000
    extra_search_path: tuple[str, ...] = ("public", "extensions")
    app_settings: tuple[tuple[str, str], ...] = ()
    pool_size: int = 10
    pool_timeout: float = 10.0
    max_body: int = 20 * 1024 * 1024
    body_timeout: float = 30.0
    safe_update_roles: frozenset[str] = frozenset({"anon", "authenticated", "service_role"})
