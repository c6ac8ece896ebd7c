"""The page about live views: its examples run as they stand there, against the whole project."""

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from devstack.stack import remove_data
from examples.local_project import LocalProject
from filaviva import FilaViva, FilaVivaError
from filaviva.live.view import LiveView
from filaviva.views import Views
from tests.conftest import REPOSITORY
from tests.e2e.conftest import User, post, publication, sign_up, upload

PAGE = (REPOSITORY / "docs" / "views.md").read_text()
SECTIONS = re.split(r"^##+ ", PAGE, flags=re.MULTILINE)
EXAMPLES = {
    section.splitlines()[0]: example
    for section in SECTIONS
    for example in re.findall(r"```python\n(.*?)```", section, re.DOTALL)
}
PRINTED = {
    "# Live views": r"\['completed'\]\n$",
    "Without a socket": r"canary \w+ ",
    "Errors": r"^operator_only - \w",
    "Tokens": r"^\d+ jobs\n$",
    "Callbacks": r"2 of 2 ended\n$",
    "Notebooks": r"^\d+ (True|False)\n$",
    "One job": r"over: completed\n$",
    "A list of jobs": r"^the newest to end: completed\n$",
    "Publications": r"2 of 2 .*'instagram': .*\n$",
    "Who is online": r"^online: 1 Ana\ntypes: Ana\n$",
    "A conversation": r"^types: Ana\nheard: Bom dia!\n$",
    "Queues": r"^\d+ [\d.]+ [\d.]+ -?\d+\n$",
    "Rate limits": r"^\d+ of 1000\n$",
    "The connection": r"^\d+ [01] [\d.]+ (None|[\d.]+)\n$",
    "The outbox": r"^1 waiting\n0 waiting, 0 dropped\n$",
}
CONVERSATIONS_FOR_ALL = """
create policy "hear conversations" on realtime.messages for select to authenticated
  using (realtime.topic() like 'conversa:%');
create policy "speak in conversations" on realtime.messages for insert to authenticated
  with check (realtime.topic() like 'conversa:%');
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the examples find there."""

    project: LocalProject
    names: dict[str, Any]
    user: User


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """The whole project, two people of one company, and their clients."""
    with LocalProject(tmp_path_factory.mktemp("project")) as project:
        with psycopg.connect(project.db_url, autocommit=True) as connection:
            connection.execute(CONVERSATIONS_FOR_ALL.encode())
        ana, rui = sign_up(project), sign_up(project)
        company = project.rpc("create_company", {"p_name": "Padaria", "p_owner": ana.id})
        project.rpc("set_company_member", {"p_company_id": company, "p_user_id": rui.id, "p_role": "agent"})
        url, key = project.api_url, project.anon_key
        async with (
            FilaViva(url, key, access_token=ana.token) as fila,
            FilaViva(url, key, access_token=rui.token) as colleague,
            FilaViva(url, project.service_role_key) as service,
        ):
            await fila.enqueue("canary", {})
            names = {
                "url": url, "key": key, "token": ana.token, "fila": fila, "colleague": colleague, "service": service,
                "company_id": company, "conversation_id": str(uuid4()), "FilaViva": FilaViva,
                "email": email_of(project, ana), "password": "a-long-secret",
            }  # fmt: skip
            yield Scene(project, names, ana)
    remove_data(project.data_dir)


def email_of(project: LocalProject, user: User) -> str:
    with psycopg.connect(project.db_url) as connection:
        [[email]] = connection.execute("select email from auth.users where id = %s", (user.id,)).fetchall()
    return str(email)


def publish(scene: Scene) -> list[str]:
    """The jobs of a new publication on two networks."""
    request = publication(scene.user, upload(scene.project, scene.user), "Oi", ["instagram_reels", "tiktok_video"])
    answer = post(scene.project, scene.user, "/api/publications/enqueue", request)
    return [job["id"] if "id" in job else job["job_id"] for job in answer.json()["data"]["jobs"]]


async def run(example: str, names: dict[str, Any]) -> None:
    """The example as a notebook runs it."""
    code = compile(example, "docs/views.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    awaitable = eval(code, names)
    if inspect.isawaitable(awaitable):
        await awaitable


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("title", EXAMPLES)
async def test_the_example_runs_and_prints_what_it_should(
    scene: Scene, title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = dict(scene.names)
    if title == "Publications":
        names["job_ids"] = await asyncio.to_thread(publish, scene)
    try:
        async with asyncio.timeout(40):
            await run(EXAMPLES[title], names)
    finally:
        if "app" in names:
            await names["app"].auth.sign_out({"scope": "local"})  # also ends its timer
            await names["app"].auth._http_client.aclose()
    printed = capsys.readouterr().out
    assert re.search(PRINTED[title], printed), printed


def test_every_view_has_its_line_and_its_section() -> None:
    views = {name for name, value in vars(Views).items() if inspect.isfunction(value)}
    table = set(re.findall(r"^\| \[`(\w+)`\]\(#", PAGE, re.MULTILINE))
    assert table == views
    assert set(PRINTED) == set(EXAMPLES)
    assert len(EXAMPLES) >= 15


def test_the_table_names_what_every_view_has() -> None:
    table = PAGE.split("## What every view has")[1].split("\n## ")[0]
    properties = {name for name, value in vars(LiveView).items() if isinstance(value, property)}
    for name in properties - {"change_count"}:
        assert f"`{name}`" in table, name


def test_errors_that_the_page_names_are_the_library_s() -> None:
    known = {each.__name__ for each in FilaVivaError.__subclasses__()} | {"OutboxFull"}
    named = set(re.findall(r"`(Forbidden|NotSignedIn|NotFound|OutboxFull|[A-Z]\w+Error)`", PAGE))
    assert named <= known
    assert len(named) >= 4
