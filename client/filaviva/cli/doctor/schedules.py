"""Whether cron does what it should: every entry there, active, and lately successful; and the tick's own mark."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from filaviva.cli.doctor.findings import Facts, Finding, not_looked_at, ok, problem, warning
from filaviva.cli.output import duration

REPAIR = "select filaviva.schedule_all();"
RUNS = "select * from cron.job_run_details where status = 'failed' order by start_time desc limit 20;"
_SUBJECT = "schedules"
_PERIODS = 3
_SHORTEST_SECONDS = 30.0
# Successful runs are remembered for a day: of what runs more rarely nothing can be said.
_LONGEST_SECONDS = 8 * 3600.0


def examine_schedules(facts: Facts) -> Iterator[Finding]:
    """Every entry of cron that the engine needs, and the tick."""
    found: Any = facts.get("schedules")
    if blind := not_looked_at(_SUBJECT, found):
        yield blind
        return
    now = _moment(found["clock"])
    since = _moment(found["history_since"]) if found["history_since"] else None
    troubles = [trouble for entry in found["entries"] if (trouble := _trouble(entry, now, since))]
    yield from troubles
    yield from _tick(found)
    if not troubles:
        count = len(found["entries"])
        yield ok(_SUBJECT, f"all {count} are there and active", f"todos os {count} existem e estão ativos")


def period_seconds(schedule: str) -> float:
    """About how many seconds lie between two runs of a schedule as pg_cron writes it."""
    if seconds := re.fullmatch(r"(\d+) seconds?", schedule):
        return float(seconds[1])
    minute, hour, *_ = schedule.split()
    for field, length in ((minute, 60.0), (hour, 3600.0)):
        if field == "*":
            return length
        if step := re.fullmatch(r"\*/(\d+)", field):
            return int(step[1]) * length
    return 86_400.0


def _trouble(entry: Any, now: datetime, since: datetime | None) -> Finding | None:
    name = entry["name"]
    if not entry["is_there"]:
        return problem(_SUBJECT, f"cron has no entry {name}", f"o cron não tem a entrada {name}", REPAIR)
    if not entry["active"]:
        return problem(_SUBJECT, f"{name} is switched off", f"{name} está desligado", REPAIR)
    return _failing(entry) or _silent(entry, now, since) or _changed(entry)


def _failing(entry: Any) -> Finding | None:
    name, count, message = entry["name"], entry["failures"], entry["message"]
    if not count:
        return None
    english = f"{name} failed {count} times within the last hour, last with: {message}"
    portuguese = f"{name} falhou {count} vezes na última hora, por último com: {message}"
    if entry["last_success"] is None or _moment(entry["last_failure"]) > _moment(entry["last_success"]):
        return problem(_SUBJECT, english, portuguese, RUNS)
    return warning(_SUBJECT, f"{english}; it has succeeded since", f"{portuguese}; depois disso funcionou", RUNS)


def _silent(entry: Any, now: datetime, since: datetime | None) -> Finding | None:
    allowed = max(_PERIODS * period_seconds(entry["schedule"]), _SHORTEST_SECONDS)
    last = _moment(entry["last_success"]) if entry["last_success"] else since
    if last is None or allowed > _LONGEST_SECONDS * _PERIODS or (now - last).total_seconds() <= allowed:
        return None
    ago = duration((now - last).total_seconds())
    return problem(
        _SUBJECT,
        f"{entry['name']} ({entry['schedule']}) has not succeeded for {ago}",
        f"{entry['name']} ({entry['schedule']}) não tem sucesso há {ago}",
        REPAIR,
    )


def _changed(entry: Any) -> Finding | None:
    if entry["unchanged"]:
        return None
    return warning(
        _SUBJECT,
        f"{entry['name']} has another schedule or command than the migrations gave it",
        f"{entry['name']} tem outro horário ou comando que o das migrações",
        REPAIR,
    )


def _tick(found: Any) -> Iterator[Finding]:
    subject = "tick"
    age = (_moment(found["now"]) - _moment(found["tick_at"])).total_seconds()
    if age > _SHORTEST_SECONDS:
        yield problem(subject, f"silent for {duration(age)}", f"em silêncio há {duration(age)}", REPAIR)
    elif found["tick_problem"]:
        what = found["tick_problem"]
        yield problem(subject, f"it met: {what}", f"ele encontrou: {what}", "select filaviva.tick();")
    else:
        yield ok(subject, f"ran {duration(max(0.0, age))} ago", f"rodou há {duration(max(0.0, age))}")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
