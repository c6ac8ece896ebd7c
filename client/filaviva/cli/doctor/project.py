"""Whether the project answers, what the key is worth there, and whether the clocks agree."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from filaviva.cli.doctor.findings import Facts, Finding, ok, problem, unknown, warning
from filaviva.cli.output import duration
from filaviva.credentials import read_claims
from filaviva.errors import FilaVivaError, NotSignedIn, Unavailable

_SKEW_SECONDS, _MUCH_SECONDS = 2.0, 60.0
_SET_CLOCK = "timedatectl set-ntp true"


async def examine_api(url: str, key: str) -> Iterator[Finding]:
    """Whether anything answers at the URL, and what time it has there.

    Raises:
        Unavailable: nothing answers.
    """
    begun, at = time.perf_counter(), time.time()
    try:
        async with httpx.AsyncClient(timeout=10, headers={"apikey": key}) as http:
            answer = await http.get(f"{url.rstrip('/')}/auth/v1/health")
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(f"The project did not answer: {reason}.", code="no_answer") from error
    took = time.perf_counter() - begun
    found = [_reached(answer.status_code, took)]
    if date := answer.headers.get("Date"):
        # The header has whole seconds: on the average it is half a second behind.
        found.append(judge_clock("API", parsedate_to_datetime(date).timestamp() + 0.5 - at - took / 2))
    return iter(found)


def judge_clock(whose: str, ahead: float) -> Finding:
    """What it means that a clock is `ahead` seconds ahead of this machine's."""
    subject = f"clock of the {whose}"
    if abs(ahead) <= _SKEW_SECONDS:
        return ok(subject, "agrees with this machine's", "concorda com o desta máquina")
    side, lado = ("ahead of", "adiantado em relação a") if ahead > 0 else ("behind", "atrasado em relação a")
    apart = duration(abs(ahead))
    english, portuguese = f"{apart} {side} this machine's", f"{apart} {lado} esta máquina"
    if abs(ahead) <= _MUCH_SECONDS:
        return warning(subject, english, portuguese, _SET_CLOCK)
    return problem(
        subject, f"{english}: tokens and times go wrong", f"{portuguese}: tokens e horários falham", _SET_CLOCK
    )


def examine_clock(facts: Facts, begun: datetime, ended: datetime) -> Iterator[Finding]:
    """Compare the database's clock, read between two moments of this machine, and the engine's with the database's."""
    engine = facts.get("engine") or {}
    if "clock" not in engine:
        return
    middle = begun + (ended - begun) / 2
    yield judge_clock("database", (datetime.fromisoformat(engine["clock"]) - middle).total_seconds())
    if engine["shifted_seconds"]:
        yield problem(
            "clock of the engine",
            f"shifted by {engine['shifted_seconds']:g} s by a row of filaviva.clock_shift, which is for tests alone",
            f"deslocado em {engine['shifted_seconds']:g} s por uma linha de filaviva.clock_shift, que é só para testes",
            "delete from filaviva.clock_shift;",
        )


def examine_key(key: str, refusal: FilaVivaError | None, *, signed_in: bool = False) -> Finding:
    """What the key is, and whether the project takes it.

    Args:
        key: the project's key.
        refusal: why the project would not tell how it stands; None when it did.
        signed_in: whether a user's token was sent beside the key.
    """
    who, quem = (f"role {key_role(key)}", f"papel {key_role(key)}")
    if signed_in:
        who, quem = "a signed-in user", "um usuário autenticado"
    if refusal is None:
        return ok("key", f"accepted, {who}", f"aceita, {quem}")
    if refusal.code != "42501" and isinstance(refusal, NotSignedIn):
        step = "Copy SUPABASE_SERVICE_ROLE_KEY again from the project's API settings, or sign in again"
        return problem("key", f"not accepted: {refusal.message}", f"não é aceita: {refusal.message}", step)
    step = "Set SUPABASE_SERVICE_ROLE_KEY, without FILAVIVA_ACCESS_TOKEN"
    english = f"{who}: the engine tells the service key alone how it stands"
    return unknown("key", english, f"{quem}: o motor só informa seu estado à service key", step)


def key_role(key: str) -> str:
    """The role that a key says it has; the server decides."""
    for prefix, role in (("sb_secret_", "service_role"), ("sb_publishable_", "anon")):
        if key.startswith(prefix):
            return role
    return str(read_claims(key).get("role", "?"))


def now() -> datetime:
    """This machine's time."""
    return datetime.now(UTC)


def _reached(status: int, took: float) -> Finding:
    if status >= 500:
        step = "Look whether the project is paused, in its dashboard"
        return warning("project", f"answers {status}", f"responde {status}", step)
    return ok("project", f"answers within {duration(took)}", f"responde em {duration(took)}")
