"""Whether jobs are woken: the secrets, the drain itself as the database reaches it, and what pg_net met."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from filaviva.cli.doctor.findings import Facts, Finding, not_looked_at, ok, problem, unknown, warning
from filaviva.errors import FilaVivaError
from filaviva.rpc import Row, Rpc

CONFIGURE = "select configure_drain('https://<functions>/api/queue/process', '<CRON_SECRET>');"
RESTART = "select net.worker_restart();"
ANSWERS = "select created, status_code, timed_out, error_msg from net._http_response order by created desc limit 20;"
_PATIENCE_SECONDS = 10.0
_MANY = 1000
_FEW_SECONDS = 0.2


def examine_secrets(facts: Facts) -> Iterator[Finding]:
    """Whether the vault holds what the kick needs, and how pg_net does."""
    found = facts.get("drain")
    if blind := not_looked_at("secrets", found):
        yield blind
        return
    yield _secrets(found, facts.get("workers"))
    yield from _net(found)


async def examine_drain(rpc: Rpc, facts: Facts, patience: float = _PATIENCE_SECONDS) -> Finding | None:
    """Call the drain for no queue, from the database; None where it is not configured."""
    found = facts.get("drain")
    if not isinstance(found, dict) or not (found.get("has_url") and found.get("has_token")):
        return None
    try:
        request = await rpc.probe_drain()
        if request is None:
            return None
        answer = await _answer(rpc, request, patience)
    except FilaVivaError as error:
        return unknown("drain", f"it could not be called: {error.message}", f"não pôde ser chamado: {error.message}")
    return _judged(answer, patience)


async def _answer(rpc: Rpc, request: int, patience: float) -> Row | None:
    end = time.monotonic() + patience
    answer = await rpc.probe_answer(request)
    while answer is None and time.monotonic() < end:
        await asyncio.sleep(_FEW_SECONDS)
        answer = await rpc.probe_answer(request)
    return answer


def _judged(answer: Any, patience: float) -> Finding:
    subject = "drain"
    if answer is None:
        return problem(
            subject,
            f"pg_net has not sent the call within {patience:.0f} s",
            f"o pg_net não enviou a chamada em {patience:.0f} s",
            RESTART,
        )
    status = answer["status_code"]
    if status == 200 and answer["is_drain"]:
        return ok(subject, "answers, and takes the token", "responde e aceita o token")
    if status is None:
        why = answer["error"] or "no answer"
        english, portuguese = f"the database cannot reach it: {why}", f"o banco não o alcança: {why}"
        return problem(subject, english, portuguese, CONFIGURE)
    if status in (401, 403):
        english = f"it refuses the token ({status}): the one in the vault is not the CRON_SECRET of the functions"
        portuguese = f"recusa o token ({status}): o do vault não é o CRON_SECRET das funções"
        return problem(subject, english, portuguese, CONFIGURE)
    if status in {200, 404, 405}:
        english, portuguese = f"at its address is something else ({status})", f"no endereço há outra coisa ({status})"
        return problem(subject, english, portuguese, CONFIGURE)
    english, portuguese = f"it answers {status}", f"responde {status}"
    return problem(subject, english, portuguese, "Look into the logs of the functions")


def _secrets(found: Any, workers: Any) -> Finding:
    names = (("filaviva_drain_url", found["has_url"]), ("filaviva_drain_token", found["has_token"]))
    missing = ", ".join(name for name, is_there in names if not is_there)
    if not missing:
        return ok("secrets", "the vault holds the drain's address and token", "o vault tem o endereço e o token")
    living = [one for one in workers if one["silent_seconds"] < 15] if isinstance(workers, list) else []
    if living:
        count = len(living)
        return ok(
            "secrets",
            f"no drain is configured ({missing}), and {count} workers do its work",
            f"nenhum drain configurado ({missing}); {count} workers fazem o trabalho",
        )
    return problem(
        "secrets",
        f"the vault lacks {missing}: nobody is woken when a job comes",
        f"falta no vault: {missing}; ninguém é acordado quando chega um job",
        CONFIGURE,
    )


def _net(found: Any) -> Iterator[Finding]:
    subject = "pg_net"
    if found["waiting"] > _MANY:
        count = f"{found['waiting']:,}"
        yield problem(subject, f"{count} requests wait", f"{count} requisições esperam", RESTART)
    # A call that timed out is no fault: nobody needs its answer.
    bad = [one for one in found["answers"] if not one["timed_out"] and not _went_well(one)]
    if bad:
        listed = "; ".join(f"{one['count']} times {one['error'] or one['status_code']}" for one in bad)
        yield warning(
            subject,
            f"within the last hour its calls met: {listed}",
            f"na última hora suas chamadas encontraram: {listed}",
            ANSWERS,
        )  # it may be another's call: the drain was tried by itself
    elif found["waiting"] <= _MANY:
        count = found["waiting"]
        yield ok(
            subject,
            f"no failed call within the last hour, {count} waiting",
            f"sem falhas na última hora, {count} na fila",
        )


def _went_well(answer: Any) -> bool:
    return answer["status_code"] is not None and answer["status_code"] < 400
