"""The opt-in canary: a job that does nothing, sent down the whole road and followed live."""

import contextlib

from filaviva.cli.doctor.findings import Finding, ok, problem
from filaviva.cli.output import duration
from filaviva.cli.ping import Journey, send_canary
from filaviva.errors import Conflict, FilaVivaError
from filaviva.models import JobStatus
from filaviva.queue import FilaViva

_SUBJECT = "canary"


async def examine_road(fila: FilaViva, wait: float) -> tuple[Finding, Journey | None]:
    """Send a canary, and say how long each stretch took, or what it waits for; one that waits is taken back."""
    try:
        journey = await send_canary(fila, wait)
    except FilaVivaError as error:
        return problem(_SUBJECT, error.message, error.message, error.hint), None
    if journey.status is JobStatus.COMPLETED:
        return _arrived(journey), journey
    job = journey.job_id
    if journey.status.is_final:
        step = f"filaviva jobs {job}"
        return problem(_SUBJECT, f"it ended as {journey.status}", f"terminou como {journey.status}", step), journey
    waiting = await fila.why_waiting(job)
    with contextlib.suppress(Conflict):  # it has just been taken up
        await fila.cancel(job)
    english = f"not through within {wait:g} s. {waiting.text('en')}"
    portuguese = f"não passou em {wait:g} s. {waiting.text('pt')}"
    return problem(_SUBJECT, english, portuguese, "Start what serves the queue canary: filaviva worker"), journey


def _arrived(journey: Journey) -> Finding:
    stages = (journey.enqueue_ms, journey.claim_ms, journey.run_ms, journey.seen_ms)
    enqueued, claimed, ran, seen = (duration((stage or 0.0) / 1000) for stage in stages)
    english = f"enqueued in {enqueued}, claimed after {claimed}, completed after {ran}, seen live after {seen} in all"
    portuguese = (
        f"enfileirado em {enqueued}, pego após {claimed}, concluído após {ran}, visto ao vivo após {seen} ao todo"
    )
    return ok(_SUBJECT, english, portuguese)
