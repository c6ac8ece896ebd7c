"""Private topics: the policies say who hears and who speaks where, asked in the way Realtime asks them."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine, make_user

EXTENSIONS = ("broadcast", "presence")
MALFORMED = (
    "", ":", "empresa", "empresa:", "empresa: {company}", "empresa:{company} ", "empresa:{company}x", "empresa:%",
    "empresa:{company}:more", "more:empresa:{company}", "EMPRESA:{company}", "empresa:{{{company}}}", "{company}",
    "empresa::{company}", "presence:{shouted}", "jobs:{company}", "realtime:empresa:{company}",
    "empresa:{company}\nempresa:{company}", "atendente:{company}", "atendente:not-a-uuid", "empresa:{user}",
)  # fmt: skip


@dataclass
class Realtime:
    """Asks who may do what on a topic: as the owner of the table, and with the settings, of the server."""

    connection: psycopg.Connection

    def hears(self, user: uuid.UUID | None, topic: str, extension: str, *, role: str = "authenticated") -> bool:
        """Whether a message that the server puts there is seen."""
        with self.connection.transaction(force_rollback=True):
            row = (uuid.uuid4(), topic, extension)
            self.connection.execute("insert into realtime.messages (id, topic, extension) values (%s, %s, %s)", row)
            self._become(user, topic, role)
            seen = self.connection.execute("select id from realtime.messages where id = %s", row[:1]).fetchall()
        return seen == [row[:1]]

    def speaks(self, user: uuid.UUID | None, topic: str, extension: str, *, role: str = "authenticated") -> bool:
        """Whether a message of their own is taken."""
        with self.connection.transaction(force_rollback=True):
            self._become(user, topic, role)
            row = (topic, extension)
            try:
                self.connection.execute("insert into realtime.messages (topic, extension) values (%s, %s)", row)
            except psycopg.errors.InsufficientPrivilege:
                return False
        return True

    def _become(self, user: uuid.UUID | None, topic: str, role: str) -> None:
        claims = {"role": role} | ({"sub": str(user)} if user else {})
        settings = {
            "role": role, "realtime.topic": topic, "request.jwt.claims": json.dumps(claims),
            "request.jwt.claim.sub": str(user or ""), "request.jwt.claim.role": role,
        }  # fmt: skip
        for name, value in settings.items():
            self.connection.execute("select set_config(%s, %s, true)", (name, value))

    def rights(self, user: uuid.UUID | None, topic: str, role: str = "authenticated") -> set[tuple[str, str]]:
        """All that may be done on the topic."""
        heard = {("hear", extension) for extension in EXTENSIONS if self.hears(user, topic, extension, role=role)}
        said = {("speak", extension) for extension in EXTENSIONS if self.speaks(user, topic, extension, role=role)}
        return heard | said


EVERYTHING = {(verb, extension) for verb in ("hear", "speak") for extension in EXTENSIONS}


@pytest.fixture
def realtime(engine: Engine, database: Database) -> Iterator[Realtime]:
    assert engine
    with database.connect("supabase_admin") as connection:  # the server's own user
        connection.execute("create table realtime.messages_of_test partition of realtime.messages default")
        yield Realtime(connection)


@pytest.fixture
def company(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> str:
    """A company of Alice, with Bob as an agent."""
    company_id = str(engine.call_as(alice, "create_company", "Acme"))
    engine.call_as(alice, "set_company_member", company_id, bob, "agent")
    return company_id


@pytest.fixture
def stranger(engine: Engine) -> uuid.UUID:
    """Somebody with a company of their own."""
    user = make_user(engine)
    engine.call_as(user, "create_company", "Other")
    return user


@pytest.mark.parametrize("name", ["empresa", "presence"])
def test_a_companys_topics_are_its_members(
    realtime: Realtime, company: str, alice: uuid.UUID, bob: uuid.UUID, stranger: uuid.UUID, name: str
) -> None:
    topic = f"{name}:{company}"
    assert realtime.rights(alice, topic) == realtime.rights(bob, topic) == EVERYTHING
    assert realtime.rights(stranger, topic) == set()


def test_the_topic_of_a_user_is_theirs_alone(
    realtime: Realtime, company: str, alice: uuid.UUID, bob: uuid.UUID
) -> None:
    assert company, "they are colleagues"
    assert realtime.rights(alice, f"atendente:{alice}") == EVERYTHING
    assert realtime.rights(bob, f"atendente:{alice}") == set()


@pytest.mark.parametrize("topic", ["empresa:{company}", "presence:{company}", "atendente:{user}"])
def test_whoever_is_not_signed_in_hears_and_says_nothing(
    realtime: Realtime, company: str, alice: uuid.UUID, topic: str
) -> None:
    topic = topic.format(company=company, user=alice)
    assert realtime.rights(None, topic) == realtime.rights(None, topic, "anon") == set()
    assert realtime.rights(alice, topic, "anon") == set(), "a user's id does not help without the role"


def test_a_removed_member_hears_and_says_no_more(
    engine: Engine, realtime: Realtime, company: str, alice: uuid.UUID, bob: uuid.UUID
) -> None:
    assert realtime.rights(bob, f"empresa:{company}") == EVERYTHING
    engine.call_as(alice, "set_company_member", company, bob, None)
    assert realtime.rights(bob, f"empresa:{company}") == realtime.rights(bob, f"presence:{company}") == set()


def test_a_company_that_is_not_there_has_no_topic(realtime: Realtime, company: str, alice: uuid.UUID) -> None:
    assert company
    assert realtime.rights(alice, f"empresa:{uuid.uuid4()}") == set()


def test_a_conversation_of_nobody_is_closed_to_everybody(realtime: Realtime, company: str, alice: uuid.UUID) -> None:
    topics = [f"conversa:{uuid.uuid4()}", f"conversa:{company}", f"conversa:{alice}"]
    assert [realtime.rights(alice, topic) for topic in topics] == [set()] * 3


def test_malformed_topics_are_closed_and_break_nothing(realtime: Realtime, company: str, alice: uuid.UUID) -> None:
    topics = [topic.format(company=company, user=alice, shouted=company.upper()) for topic in MALFORMED]
    assert [topic for topic in topics if realtime.rights(alice, topic)] == []


def test_nothing_but_broadcast_and_presence_is_let_through(realtime: Realtime, company: str, alice: uuid.UUID) -> None:
    topic = f"empresa:{company}"
    assert not realtime.hears(alice, topic, "postgres_changes")
    assert not realtime.speaks(alice, topic, "postgres_changes")


def test_no_member_changes_or_removes_what_was_said(realtime: Realtime, company: str, alice: uuid.UUID) -> None:
    topic = f"empresa:{company}"
    connection = realtime.connection
    connection.execute("insert into realtime.messages (topic, extension) values (%s, 'broadcast')", (topic,))
    with connection.transaction(force_rollback=True):
        realtime._become(alice, topic, "authenticated")
        assert connection.execute("update realtime.messages set event = 'other'").rowcount == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
        realtime._become(alice, topic, "authenticated")
        connection.execute("delete from realtime.messages")


def test_without_a_topic_nothing_is_heard(realtime: Realtime, company: str, alice: uuid.UUID) -> None:
    """Outside Realtime the setting is not there: the API shows nobody's messages."""
    connection = realtime.connection
    row = (f"empresa:{company}",)
    connection.execute("insert into realtime.messages (topic, extension) values (%s, 'broadcast')", row)
    with connection.transaction(force_rollback=True):
        realtime._become(alice, "", "authenticated")
        assert connection.execute("select count(*) from realtime.messages").fetchone() == (0,)
