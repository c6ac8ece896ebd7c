"""Whether the engine is in the project as the migrations left it: its objects, extensions, rights and publication."""

from collections.abc import Iterator
from typing import Any

from filaviva.cli.doctor.findings import Facts, Finding, not_looked_at, ok, problem, unknown
from filaviva.cli.doctor.needs import LIVE_TABLES

PUSH = "supabase db push"
_MAY_USE = "extension in ('broadcast', 'presence') and (select filaviva.may_use_topic((select realtime.topic())))"
_HEAR = f"for select to authenticated using ({_MAY_USE});"
_SPEAK = f"for insert to authenticated with check ({_MAY_USE});"


def examine_structure(facts: Facts) -> Iterator[Finding]:
    """Everything that migrations make."""
    yield from _engine(facts.get("engine"), facts.get("tables"))
    yield from _extensions(facts.get("extensions"))
    yield from _rights(facts.get("tables"))
    yield from _publication(facts.get("publication"), facts.get("tables"))
    yield from _topics(facts.get("topics"))


def _engine(engine: Any, tables: Any) -> Iterator[Finding]:
    subject = "migrations"
    if blind := not_looked_at(subject, engine):
        yield blind
        return
    absent = [one["name"] for one in tables if not one["exists"]] if isinstance(tables, list) else []
    missing = [*absent, *(f"{name}()" for name in engine["missing_functions"])]
    newest = engine["migration"] or "?"
    if missing:
        names = ", ".join(missing)
        english = f"missing in schema public: {names}; the newest migration is {newest}"
        yield problem(subject, english, f"faltam no schema public: {names}; a migração mais nova é {newest}", PUSH)
    else:
        yield ok(
            subject,
            f"all that this version needs is there; the newest is {newest}, PostgreSQL {engine['postgres']}",
            f"tudo o que esta versão precisa existe; a mais nova é {newest}, PostgreSQL {engine['postgres']}",
        )


def _extensions(facts: Any) -> Iterator[Finding]:
    subject = "extensions"
    if blind := not_looked_at(subject, facts):
        yield blind
        return
    versions, lacking = facts["versions"], facts["missing_pgmq"]
    for name, version in versions.items():
        if version is None:
            yield problem(
                subject, f"{name} is not there", f"{name} não está instalada", f"create extension if not exists {name};"
            )
    if versions.get("pgmq") and lacking:
        names = ", ".join(lacking)
        step = "alter extension pgmq update;"
        yield problem(subject, f"pgmq lacks {names}", f"faltam no pgmq: {names}", step)
    if all(versions.values()) and not lacking:
        listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        yield ok(subject, listed, listed)


def _rights(tables: Any) -> Iterator[Finding]:
    subject = "row security"
    if blind := not_looked_at(subject, tables):
        yield blind
        return
    there = [one for one in tables if one["exists"]]
    bad = False
    for one in there:
        name = f"public.{one['name']}"
        if not one["rls"]:
            bad = True
            yield problem(
                subject,
                f"{name} has no row level security: users who may read it see every row",
                f"{name} está sem row level security: quem pode ler vê todas as linhas",
                f"alter table {name} enable row level security;",
            )
        if not one["policies"]:
            bad = True
            yield problem(
                subject,
                f"{name} has no policy: no user sees a row of it, and Realtime sends them none",
                f"{name} não tem policy: nenhum usuário vê suas linhas, e o Realtime não envia nenhuma",
                f"Run the `create policy … on {name}` of supabase/migrations again",
            )
    if not bad:
        yield ok(
            subject, f"on, with policies, for {len(there)} tables", f"ativa, com policies, em {len(there)} tabelas"
        )


def _publication(publication: Any, tables: Any) -> Iterator[Finding]:
    subject = "publication"
    blind = not_looked_at(subject, publication) or not_looked_at(subject, tables)
    if blind:
        yield blind
        return
    live = [one for one in tables if one["exists"] and one["name"] in LIVE_TABLES]
    names = ", ".join(f"public.{one['name']}" for one in live)
    if not publication["exists"]:
        yield problem(
            subject,
            "there is no publication supabase_realtime: nothing is streamed",
            "não há a publicação supabase_realtime: nada é transmitido",
            f"create publication supabase_realtime for table {names};",
        )
        return
    found = [*_events(publication), *(finding for one in live for finding in _streamed(one))]
    yield from found or [ok(subject, f"streams {names}", f"transmite {names}")]


def _events(publication: Any) -> Iterator[Finding]:
    if not publication["complete"]:
        yield problem(
            "publication",
            "supabase_realtime leaves out inserts, updates or deletes",
            "supabase_realtime deixa de fora inserts, updates ou deletes",
            "alter publication supabase_realtime set (publish = 'insert, update, delete, truncate');",
        )


def _streamed(table: Any) -> Iterator[Finding]:
    name = f"public.{table['name']}"
    if not table["published"]:
        yield problem(
            "publication",
            f"{name} is not in supabase_realtime: live views of it poll",
            f"{name} não está em supabase_realtime: as visões ao vivo dela fazem polling",
            f"alter publication supabase_realtime add table {name};",
        )
    if table["identity"] == "n" or (table["identity"] == "d" and not table["has_key"]):
        step = f"alter table {name} replica identity {'default' if table['has_key'] else 'full'};"
        english = f"{name} has no replica identity: its updates and deletes fail while it is published"
        portuguese = f"{name} não tem replica identity: updates e deletes falham enquanto está publicada"
        yield problem("replica identity", english, portuguese, step)


def _topics(topics: Any) -> Iterator[Finding]:
    subject = "private topics"
    if blind := not_looked_at(subject, topics):
        yield blind
        return
    if not topics["hear"]:
        english = "no policy lets users hear them: presence shows nobody"
        portuguese = "nenhuma policy deixa os usuários ouvi-los: a presença não mostra ninguém"
        step = f'create policy "users hear topics that are theirs" on realtime.messages {_HEAR}'
        yield problem(subject, english, portuguese, step)
    if not topics["speak"]:
        english = "no policy lets users speak on them: nobody goes online"
        portuguese = "nenhuma policy deixa os usuários falar neles: ninguém fica online"
        step = f'create policy "users speak on topics that are theirs" on realtime.messages {_SPEAK}'
        yield problem(subject, english, portuguese, step)
    if topics["hear"] and topics["speak"]:
        yield ok(subject, "users hear and speak on theirs", "os usuários ouvem e falam nos seus")


def not_installed() -> Finding:
    """The finding of a project that has no function `diagnose`."""
    return problem(
        "migrations",
        "the engine, or its newest part, is not in this project",
        "o motor, ou sua parte mais nova, não está neste projeto",
        PUSH,
    )


def not_told() -> Finding:
    """The finding of everything that only the service key, or the database, would tell."""
    return unknown(
        "engine",
        "left out: migrations, extensions, row security, publication, schedules, drain, queues, workers, alerts,"
        " server",
        "não verificados: migrações, extensões, row security, publicação, agendamentos, drain, filas, workers, alertas,"
        " servidor",
        "Set SUPABASE_SERVICE_ROLE_KEY, or SUPABASE_DB_URL, and call again",
    )
