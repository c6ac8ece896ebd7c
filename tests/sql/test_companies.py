"""Companies: members see their company's jobs, change none of them, and nobody else sees anything."""

import uuid

import psycopg
import pytest

from tests.sql.conftest import Engine, make_user


@pytest.fixture
def carol(engine: Engine) -> uuid.UUID:
    return make_user(engine)


@pytest.fixture
def company(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> str:
    """A company of Alice, with Bob as an agent."""
    company_id: str = str(engine.call_as(alice, "create_company", "Acme"))
    engine.call_as(alice, "set_company_member", company_id, bob, "agent")
    return company_id


def seen(engine: Engine, user: uuid.UUID, table: str = "jobs") -> int:
    with engine.as_role("authenticated", {"role": "authenticated", "sub": str(user)}):
        count: int = engine.value(f"select count(*) from public.{table}")
    return count


def test_colleagues_see_a_companys_jobs_and_strangers_do_not(
    engine: Engine, company: str, alice: uuid.UUID, bob: uuid.UUID, carol: uuid.UUID
) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task", "company_id": company}, {"kind": "task"}])
    assert (seen(engine, alice), seen(engine, bob), seen(engine, carol)) == (2, 1, 0)


def test_a_colleague_cannot_cancel_what_they_see(
    engine: Engine, company: str, alice: uuid.UUID, bob: uuid.UUID
) -> None:
    [job] = engine.call_as(alice, "enqueue_jobs", [{"kind": "task", "company_id": company}])
    assert engine.call_as(bob, "cancel_jobs", {"ids": [job["job_id"]]})["changed"] == 0
    assert engine.job(job["job_id"])["status"] == "pending"


def test_a_stranger_cannot_enqueue_for_a_company(engine: Engine, company: str, carol: uuid.UUID) -> None:
    with pytest.raises(psycopg.Error) as refused:
        engine.call_as(carol, "enqueue_jobs", [{"kind": "task", "company_id": company}])
    assert refused.value.diag.message_detail == "not_a_member"


def test_the_service_role_names_a_company_that_exists(engine: Engine) -> None:
    with pytest.raises(psycopg.Error) as refused:
        engine.enqueue({"kind": "task", "company_id": str(uuid.uuid4())})
    assert refused.value.diag.message_detail == "unknown_company"


def test_members_see_each_other_and_strangers_see_nobody(
    engine: Engine, company: str, bob: uuid.UUID, carol: uuid.UUID
) -> None:
    assert company
    assert (seen(engine, bob, "company_members"), seen(engine, bob, "companies")) == (2, 1)
    assert (seen(engine, carol, "company_members"), seen(engine, carol, "companies")) == (0, 0)


def test_a_former_member_sees_nothing_any_more(engine: Engine, company: str, alice: uuid.UUID, bob: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task", "company_id": company}])
    engine.call_as(alice, "set_company_member", company, bob, None)
    assert seen(engine, bob) == 0


@pytest.mark.parametrize(
    ("actor", "target", "role", "code"),
    [
        ("bob", "carol", "agent", "company_role"),
        ("carol", "carol", "owner", "unknown_company"),
        ("alice", "alice", "agent", "last_owner"),
        ("alice", "alice", None, "last_owner"),
        ("alice", "carol", "king", "invalid_field"),
    ],
)
def test_who_may_change_members(
    engine: Engine, company: str, alice: uuid.UUID, bob: uuid.UUID, carol: uuid.UUID,
    actor: str, target: str, role: str | None, code: str,
) -> None:  # fmt: skip
    users = {"alice": alice, "bob": bob, "carol": carol}
    with pytest.raises(psycopg.Error) as refused:
        engine.call_as(users[actor], "set_company_member", company, users[target], role)
    assert refused.value.diag.message_detail == code


def test_an_admin_adds_agents_and_leaves_owners_alone(
    engine: Engine, company: str, alice: uuid.UUID, bob: uuid.UUID, carol: uuid.UUID
) -> None:
    engine.call_as(alice, "set_company_member", company, bob, "admin")
    engine.call_as(bob, "set_company_member", company, carol, "agent")
    for user, role in ((alice, "agent"), (alice, None), (carol, "owner")):
        with pytest.raises(psycopg.Error) as refused:
            engine.call_as(bob, "set_company_member", company, user, role)
        assert refused.value.diag.message_detail == "company_role"


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, None])
def test_a_company_has_a_name(engine: Engine, alice: uuid.UUID, name: str | None) -> None:
    with pytest.raises(psycopg.Error, match="p_name"):
        engine.call_as(alice, "create_company", name)
