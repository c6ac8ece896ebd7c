"""How the work goes: queues, leases, workers, alerts, and the server's connections and old transactions."""

from collections.abc import Iterator
from typing import Any

from filaviva.cli.doctor.findings import Facts, Finding, not_looked_at, ok, problem, warning
from filaviva.cli.output import clean, duration

_SILENT_SECONDS = 15.0
_LONG_SECONDS = 60.0
_TOO_LONG_SECONDS = 300.0


def examine_work(facts: Facts) -> Iterator[Finding]:
    """Everything about jobs and who runs them."""
    examinations = (
        ("queues", _queues),
        ("workers", _workers),
        ("alerts", _alerts),
        ("accounts", _accounts),
        ("server", _server),
    )
    for subject, examine in examinations:
        found = facts.get(subject)
        if blind := not_looked_at(subject, found):
            yield blind
        else:
            yield from examine(found)


def _queues(queues: Any) -> Iterator[Finding]:
    found = [finding for one in queues if (finding := _waiting(one))]
    yield from found
    if not found:
        paused = [one["name"] for one in queues if one["paused_seconds"] is not None]
        count = len(queues)
        more = (f"; paused and empty: {', '.join(paused)}", f"; em pausa e vazias: {', '.join(paused)}")
        english, portuguese = (text if paused else "" for text in more)
        yield ok(
            "queues", f"{count}, and no job waits for long{english}", f"{count}, nenhum job espera muito{portuguese}"
        )
    yield from _leases(queues)


def _waiting(queue: Any) -> Finding | None:
    name, due = queue["name"], queue["due_seconds"]
    if due is None:
        return None
    waited = duration(due)
    if queue["paused_seconds"] is not None:
        since = duration(queue["paused_seconds"])
        return warning(
            "queues",
            f"{name} has been paused for {since}, and a job waits in it",
            f"{name} está em pausa há {since}, e um job espera nela",
            f"select resume_queue('{name}');",
        )
    if due > _LONG_SECONDS and not queue["drained"]:
        return problem(
            "queues",
            f"{name}: a job has been due for {waited}, and nobody asks for it",
            f"{name}: um job está pronto há {waited}, e ninguém o busca",
            f"filaviva worker --queue {name}, or configure the drain",
        )
    if due > _TOO_LONG_SECONDS:
        return warning(
            "queues",
            f"{name} cannot keep up: a job has been due for {waited}",
            f"{name} não dá conta: um job está pronto há {waited}",
            f"select queue_metrics('{name}');",
        )
    return None


def _leases(queues: Any) -> Iterator[Finding]:
    lost = {one["name"]: one["lost_leases"] for one in queues if one["lost_leases"]}
    if lost:
        listed = ", ".join(f"{count} in {name}" for name, count in lost.items())
        yield problem(
            "leases",
            f"jobs are processing though their worker is lost, and nobody has rescued them: {listed}",
            f"jobs em processamento cujo worker se perdeu, e ninguém os resgatou: {listed}",
            "select rescue_jobs();",
        )
    else:
        yield ok("leases", "every job that is processing has its worker", "todo job em processamento tem seu worker")


def _workers(workers: Any) -> Iterator[Finding]:
    dead = [one for one in workers if one["silent_seconds"] >= _SILENT_SECONDS]
    for one in dead:
        name, ago = clean(one["worker_id"]), duration(one["silent_seconds"])
        quoted = one["worker_id"].replace("'", "''")
        yield warning(
            "workers",
            f"{name} has been silent for {ago}: it was killed or cut off",
            f"{name} está em silêncio há {ago}: foi morto ou perdeu a conexão",
            f"select dismiss_worker('{quoted}');  -- and start it again: filaviva worker",
        )
    if not dead:
        count = len(workers)
        yield ok(
            "workers",
            f"{count} long-running, none of them silent" if count else "none long-running: the drain does the work",
            f"{count} contínuos, nenhum em silêncio" if count else "nenhum contínuo: o drain faz o trabalho",
        )


def _alerts(alerts: Any) -> Iterator[Finding]:
    for one in alerts["open"]:
        said = clean(one["message"])
        step = f"docs/alerts.md says what helps against {one['kind']}"
        yield warning("alerts", f"{one['rule']}: {said}", f"{one['rule']}: {said}", step)
    for one in alerts["broken_rules"]:
        name, why = one["name"], clean(one["problem"])
        english, portuguese = f"{name} cannot be checked: {why}", f"{name} não pode ser verificado: {why}"
        yield warning("alerts", english, portuguese, "select check_alerts();")
    if not alerts["open"] and not alerts["broken_rules"]:
        yield ok("alerts", "none is open", "nenhum aberto")


def _accounts(accounts: Any) -> Iterator[Finding]:
    lost = [one for one in accounts if one["status"] == "reconnect"]
    if lost:
        listed = ", ".join(f"{one['count']} {one['platform']} ({one['reason'] or '?'})" for one in lost)
        yield warning(
            "accounts",
            f"their platforms no longer accept the tokens of {listed}: their owners must connect them again",
            f"as plataformas não aceitam mais os tokens de {listed}: os donos precisam conectar de novo",
            "select user_id, platform, reconnect_reason from social_accounts where status = 'reconnect';",
        )
    else:
        count = sum(one["count"] for one in accounts)
        yield ok("accounts", f"{count} connected, all with tokens", f"{count} conectadas, todas com tokens")


def _server(server: Any) -> Iterator[Finding]:
    used, most = server["connections"], server["max_connections"]
    english, portuguese = f"{used} of {most} connections are taken", f"{used} de {most} conexões em uso"
    step = "select usename, application_name, state, count(*) from pg_stat_activity group by 1, 2, 3 order by 4 desc;"
    if used >= 0.95 * most:
        yield problem("connections", english, portuguese, step)
    elif used >= 0.8 * most:
        yield warning("connections", english, portuguese, step)
    else:
        yield ok("connections", english, portuguese)
    old = server["old_transaction"]
    if old is None:
        yield ok("transactions", "none is old", "nenhuma é antiga")
        return
    details = old["details"]
    end = f"select pg_terminate_backend({details['pid']});"
    step = end if details["pid"] is not None else f"rollback prepared '{details['prepared']}';"
    yield warning("transactions", old["message"], old["message"], step)
