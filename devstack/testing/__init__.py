"""A pytest plugin for apps on Supabase: a whole project for every test, with its own clean database, and no Docker.

Put ``pytest_plugins = ["devstack.testing"]`` into the `conftest.py` at the root of your tests. Fixtures: `project`,
`user`, `clock`, `faults`; docs/testing.md shows them at work.
"""

from devstack.testing.fixtures import clock, devstack_server, faults, project, pytest_addoption, user
from devstack.testing.project import Clock, Project, User

__all__ = [
    "Clock",
    "Project",
    "User",
    "clock",
    "devstack_server",
    "faults",
    "project",
    "pytest_addoption",
    "user",
]
