"""Whether a database was made by this devstack's bootstrap, or by another version's, whose schemas may differ.

The digest stands in the database itself, as the comment of schema devstack, so it goes wherever the data goes.
"""

import hashlib
import re

import psycopg

from devstack.cluster import BOOTSTRAP
from devstack.install import EXTENSIONS

_NOISE = re.compile(r"--[^\n]*|\s+")


class OldBootstrapError(RuntimeError):
    """The database is of another version of devstack."""


def check_bootstrap(connection: psycopg.Connection) -> None:
    """Mark a new database as this version's; `connection` is the superuser's.

    Raises:
        OldBootstrapError: it was made by another version.
    """
    found = connection.execute(
        "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = 'devstack'"
    ).fetchone()
    if found == (None,):
        connection.execute(f"comment on schema devstack is '{fingerprint()}'".encode())
    elif found != (fingerprint(),):
        raise OldBootstrapError


def fingerprint() -> str:
    """A digest of all SQL that a new database begins with; comments and blanks do not count."""
    digest = hashlib.sha256()
    for file in sorted([*BOOTSTRAP.glob("*.sql"), *EXTENSIONS.glob("*/*.sql")]):
        digest.update(file.name.encode() + _NOISE.sub(" ", file.read_text()).encode())
    return digest.hexdigest()[:16]
