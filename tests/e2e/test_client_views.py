"""The views of publications, presence, conversations and figures, against the real stack."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from filaviva import FilaViva, Forbidden, InvalidRequest, JobStatus
from filaviva.live.conversation import LiveConversation
from filaviva.live.presence import LivePresence
from filaviva.live.typing import TypingTimes
from filaviva.live.view import LiveView
from tests.e2e.client_support import Project, pytestmark, running_project
from tests.e2e.proxy import cable_to

__all__ = ["pytestmark"]

CONVERSATIONS_FOR_ALL = """
create policy "hear conversations" on realtime.messages for select to authenticated
  using (realtime.topic() like 'conversa:%');
create policy "speak in conversations" on realtime.messages for insert to authenticated
  with check (realtime.topic() like 'conversa:%');
"""
QUICKLY = TypingTimes(stop_after=0.3, say_again_after=0.2, forget_after=1.0, clean_every=0.2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    async with running_project(tmp_path_factory.mktemp("stack")) as running:
        with psycopg.connect(running.stack.db_url, autocommit=True) as connection:
            connection.execute(CONVERSATIONS_FOR_ALL)
        yield running


async def until(view: LiveView[Any], condition: Any) -> None:
    """Wait until the condition holds of the view."""
    async with asyncio.timeout(20):
        while not condition():
            await anext(view)


def posts(*options: str) -> list[dict[str, Any]]:
    """One publication for each option."""
    return [
        {"kind": "publish_post", "payload": {"option": option, "platform": option.partition("_")[0], "content": {}}}
        for option in options
    ]


async def company_of(project: Project, *members: uuid.UUID) -> uuid.UUID:
    company = uuid.UUID(await project.call("create_company", p_name="Padaria", p_owner=str(members[0])))
    for member in members[1:]:
        await project.call("set_company_member", p_company_id=str(company), p_user_id=str(member), p_role="agent")
    return company


# Publications --------------------------------------------------------------------------------------


async def test_publications_are_counted_by_platform_as_they_move(project: Project) -> None:
    async with project.client() as fila:
        jobs = await fila.enqueue_many(posts("tiktok_video", "instagram_feed", "instagram_story"))
        async with fila.publication_status([job.id for job in jobs]) as view:
            await until(view, lambda: view.is_live and not view.is_loading)
            assert (view.total_jobs, view.completed_jobs) == (3, 0)
            assert view.status_by_platform == {"tiktok": "pending", "instagram": "pending"}
            await project.complete(jobs[0].id)
            await project.complete(jobs[1].id)
            await project.settle(await project.claim(jobs[2].id), "reject", error={"code": "c", "message": "m"})
            await until(view, lambda: all(job.status.is_final for job in view.jobs))
            assert view.status_by_platform == {"tiktok": JobStatus.COMPLETED, "instagram": JobStatus.FAILED}
            assert view.current.status_by_option["instagram_feed"] is JobStatus.COMPLETED
            assert (view.total_jobs, view.completed_jobs) == (3, 2)


async def test_without_ids_new_publications_appear_by_themselves_and_other_jobs_do_not(project: Project) -> None:
    async with project.client() as fila, fila.publication_status() as view:
        await until(view, lambda: view.is_live and not view.is_loading)
        await fila.enqueue("noop", {})
        (job,) = await fila.enqueue_many(posts("tiktok_video"))
        await until(view, lambda: view.total_jobs == 1)
        assert view.jobs[0].id == job.id


async def test_a_publication_that_is_over_is_shown_for_the_tracking_duration(project: Project) -> None:
    async with project.client() as fila:
        over, waiting = await fila.enqueue_many(posts("tiktok_video", "instagram_feed"))
        await project.complete(over.id)
        async with fila.publication_status(tracking_duration_minutes=1.5 / 60) as view:
            await until(view, lambda: not view.is_loading)
            await until(view, lambda: [job.id for job in view.jobs] == [waiting.id])


async def test_without_auto_fetch_nothing_is_asked_before_it_is_told_to(project: Project) -> None:
    async with project.client() as fila:
        await fila.enqueue_many(posts("tiktok_video"))
        async with fila.publication_status(auto_fetch=False) as view:
            await asyncio.sleep(0)
            assert (view.is_loading, view.total_jobs, fila._live.connection.is_connected) == (True, 0, False)
            view.fetch()
            await until(view, lambda: view.total_jobs == 1)


async def test_each_update_over_realtime_is_logged(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "filaviva")
    async with project.client() as fila, fila.publication_status() as view:
        await until(view, lambda: view.is_live and not view.is_loading)
        (job,) = await fila.enqueue_many(posts("tiktok_video"))
        await until(view, lambda: view.total_jobs == 1)
    assert f"[publication_status] Realtime update: INSERT of job {job.id}, pending" in caplog.text


@pytest.mark.parametrize("minutes", [0, -1])
async def test_a_tracking_duration_is_above_zero(project: Project, minutes: float) -> None:
    async with project.client() as fila:
        with pytest.raises(InvalidRequest, match="tracking_duration_minutes"):
            fila.publication_status(tracking_duration_minutes=minutes)


# Presence ------------------------------------------------------------------------------------------


async def test_colleagues_see_each_other_come_and_go(project: Project) -> None:
    ana, rui = await project.new_user(), await project.new_user()
    company = await company_of(project, ana, rui)
    async with (
        project.client(ana) as of_ana,
        project.client(rui) as of_rui,
        of_ana.presence(company, name="Ana") as mine,
        of_rui.presence(company) as theirs,
    ):
        await until(mine, lambda: mine.is_live)
        await until(theirs, lambda: theirs.is_live)
        assert (mine.online_users, mine.is_online) == ([], False)
        await mine.go_online(status="free")
        assert (mine.online_users, mine.is_online) == ([str(ana)], True)
        await until(theirs, lambda: str(ana) in theirs.online_users)
        assert not theirs.is_online
        await mine.update_presence(status="busy")
        await until(theirs, lambda: theirs.details(str(ana)) == ({"name": "Ana", "status": "busy"},))
        await mine.go_offline()
        await until(theirs, lambda: theirs.online_count == 0)
        await mine.go_online()
        await until(theirs, lambda: theirs.online_count == 1)
    # both left


async def test_two_tabs_of_one_person_count_once_and_one_of_them_may_close(project: Project) -> None:
    ana, rui = await project.new_user(), await project.new_user()
    company = await company_of(project, ana, rui)
    async with (
        project.client(ana) as one,
        project.client(ana) as two,
        project.client(rui) as other,
        other.presence(company) as seen,
        one.presence(company) as first,
    ):
        async with two.presence(company) as second:
            for view in (seen, first, second):
                await until(view, lambda view=view: view.is_live)
            await first.go_online(tab=1)
            await second.go_online(tab=2)
            await until(seen, lambda: len(seen.details(str(ana))) == 2)
            assert seen.online_count == 1
        await until(seen, lambda: len(seen.details(str(ana))) == 1)
        assert seen.online_users == [str(ana)]


async def test_who_was_online_is_shown_again_after_a_cut(project: Project) -> None:
    ana, rui = await project.new_user(), await project.new_user()
    company = await company_of(project, ana, rui)
    async with (
        cable_to(project.stack.api_url) as cable,
        project.client(ana, cable.url) as of_ana,
        project.client(rui) as of_rui,
        of_ana.presence(company) as mine,
        of_rui.presence(company) as theirs,
    ):
        await until(mine, lambda: mine.is_live)
        await until(theirs, lambda: theirs.is_live)
        await mine.go_online()
        await until(theirs, lambda: theirs.online_count == 1)
        cable.cut()
        await until(theirs, lambda: theirs.online_count == 0)
        await until(theirs, lambda: theirs.online_count == 1)


async def test_colleagues_see_who_types_in_which_conversation(project: Project) -> None:
    ana, rui = await project.new_user(), await project.new_user()
    company, here, there = await company_of(project, ana, rui), uuid.uuid4(), uuid.uuid4()
    async with (
        project.client(ana) as of_ana,
        project.client(rui) as of_rui,
        of_ana.presence(company, name="Ana") as mine,
        of_rui.presence(company) as theirs,
    ):
        await until(mine, lambda: mine.is_live)
        await until(theirs, lambda: theirs.is_live)
        await mine.start_typing(here)
        await until(theirs, lambda: bool(theirs.typing_users(here)))
        (typing,) = theirs.typing_users(here)
        assert (typing.user_id, typing.name) == (str(ana), "Ana")
        assert theirs.typing_users(there) == mine.typing_users(here) == []
        await mine.stop_typing(here)
        await until(theirs, lambda: not theirs.typing_users(here))


async def test_a_stranger_is_let_into_no_company(project: Project) -> None:
    company = await company_of(project, await project.new_user())
    async with project.client() as stranger, stranger.presence(company) as view:
        with pytest.raises(Forbidden):
            await view.loaded()
            await until(view, lambda: False)


# Conversations -------------------------------------------------------------------------------------


async def both_live(one: LiveConversation | LivePresence, two: LiveConversation | LivePresence) -> None:
    await until(one, lambda: one.is_live)
    await until(two, lambda: two.is_live)


def conversation(fila: FilaViva, conversation_id: uuid.UUID, **more: Any) -> LiveConversation:
    """The view with short times."""
    return LiveConversation(fila._live, conversation_id, times=QUICKLY, **more)


async def test_typing_is_shown_while_keys_are_pressed_and_gone_after_a_pause(project: Project) -> None:
    here = uuid.uuid4()
    async with (
        project.client() as ana,
        project.client() as rui,
        conversation(ana, here, name="Ana") as mine,
        conversation(rui, here) as theirs,
    ):
        await both_live(mine, theirs)
        for _ in range(20):
            await mine.send_typing_indicator(True)
        await until(theirs, lambda: [user.name for user in theirs.typing_users] == ["Ana"])
        await until(theirs, lambda: not theirs.typing_users)  # nobody said stop: the pause did
        assert mine.typing_users == []


async def test_who_falls_silent_without_a_word_is_forgotten(project: Project) -> None:
    here = uuid.uuid4()
    async with (
        cable_to(project.stack.api_url) as cable,
        project.client(url=cable.url) as ana,
        project.client() as rui,
        conversation(ana, here) as mine,
        conversation(rui, here) as theirs,
    ):
        await both_live(mine, theirs)
        await mine.send_typing_indicator(True)
        await until(theirs, lambda: len(theirs.typing_users) == 1)
        await cable.pull_out()
        await until(theirs, lambda: not theirs.typing_users)


async def test_others_hear_of_a_new_message(project: Project) -> None:
    here, heard = uuid.uuid4(), asyncio.Queue[Any]()
    async with (
        project.client() as ana,
        project.client() as rui,
        conversation(ana, here) as mine,
        conversation(rui, here, on_message=heard.put) as theirs,
    ):
        await both_live(mine, theirs)
        await mine.notify_new_message({"id": 7, "conteudo": "oi"})
        message = await asyncio.wait_for(heard.get(), 10)
        assert message["conteudo"] == "oi"


# Figures -------------------------------------------------------------------------------------------


async def test_a_user_sees_their_own_rate_limits(project: Project) -> None:
    async with project.client() as fila, fila.rate_limits(refresh_interval=0.2) as view:
        before = (await view.loaded())["api"]
        await fila.enqueue("noop", {})
        await until(view, lambda: view.current["api"].remaining == before.remaining - 1)
        assert (before.limit, before.window_seconds, before.allowed) == (1000, 60, True)


async def test_limits_on_a_connected_account_are_named_by_its_platform(project: Project) -> None:
    user = await project.new_user()
    account = {"p_user_id": str(user), "p_platform": "x", "p_external_id": "1", "p_display_name": "Padaria"}
    await project.call("connect_account", **account, p_secrets={"access_token": "t"})
    async with project.client(user) as fila, fila.rate_limits() as view:
        found = await view.loaded()
        assert {"api", "account_posts:x", "x_quarter:x"} <= found.keys()


async def test_rate_limits_without_a_user_need_keys(project: Project) -> None:
    async with FilaViva(project.stack.api_url, project.stack.keys.service_role_key) as service:
        with pytest.raises(InvalidRequest, match="keys"):
            service.rate_limits()
        async with service.rate_limits({"api": "somebody"}) as view:
            assert (await view.loaded())["api"].remaining == 1000


async def test_operators_see_the_metrics_of_a_queue_live(project: Project) -> None:
    async with (
        FilaViva(project.stack.api_url, project.stack.keys.service_role_key) as service,
        service.queue_metrics("work", refresh_interval=0.2) as view,
        project.client() as fila,
    ):
        size = (await view.loaded())[0].size
        await fila.enqueue("noop", {})
        await until(view, lambda: view.queue_size == size + 1)
        assert view.error_rate >= 0


async def test_metrics_are_for_operators(project: Project) -> None:
    async with project.client() as fila, fila.queue_metrics() as view:
        with pytest.raises(Forbidden):
            await view.loaded()
