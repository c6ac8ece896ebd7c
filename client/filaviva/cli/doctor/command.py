"""`filaviva doctor`: asks everybody, prints what they find, and ends with a code that says how bad it is."""

import os
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.text import Text

from filaviva.cli.doctor.canary import examine_road
from filaviva.cli.doctor.database import examine_database
from filaviva.cli.doctor.drain import examine_drain, examine_secrets
from filaviva.cli.doctor.findings import Facts, Finding, Level, problem
from filaviva.cli.doctor.needs import NEEDS
from filaviva.cli.doctor.project import examine_api, examine_clock, examine_key, now
from filaviva.cli.doctor.realtime import examine_realtime, left_out
from filaviva.cli.doctor.schedules import examine_schedules
from filaviva.cli.doctor.structure import examine_structure, not_installed, not_told
from filaviva.cli.doctor.work import examine_work
from filaviva.cli.exits import Exit
from filaviva.cli.output import Output
from filaviva.cli.ping import Journey
from filaviva.cli.session import Session, command
from filaviva.errors import FilaVivaError, Forbidden, NotSignedIn, Unavailable

_LOOKS = {
    Level.OK: ("✓", "green"),
    Level.WARNING: ("!", "yellow"),
    Level.PROBLEM: ("✗", "red"),
    Level.UNKNOWN: ("?", "magenta"),
}
_RELOAD = "notify pgrst, 'reload schema';"


@command
async def doctor(
    session: Session,
    canary: Annotated[
        bool, typer.Option("--canary", help="Also send a job that does nothing, and time its road.")
    ] = False,
    wait: Annotated[float, typer.Option(min=1, max=3600, help="For how many seconds to follow the canary.")] = 30,
) -> Exit:
    """Check the project end to end; each finding comes with the next step.

    It changes nothing, but for the canary. With SUPABASE_DB_URL it also looks through a connection to the database.
    The exit code is 1 when there is a problem, 3 when the project does not answer.
    """
    examination = _Examination(session)
    try:
        await examination.of_project()
        await examination.of_engine()
        if canary and examination.code is Exit.OK:
            await examination.of_road(wait)
    except Unavailable as error:
        examination.add(problem("project", error.message, error.message, error.hint))
        examination.code = Exit.NO_ANSWER
        await examination.of_database_alone()
    if session.out.as_json:
        session.out.document(examination.document())
    else:
        examination.print_summary()
    return examination.verdict()


class _Examination:
    """What was found so far; a person reads it as it comes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._out: Output = session.out
        self._found: list[Finding] = []
        self._journey: Journey | None = None
        self._db_url = os.environ.get("SUPABASE_DB_URL")
        self.code = Exit.OK
        """What the code is unless a problem was found."""

    def add(self, *findings: Finding) -> None:
        """Note findings, and show them."""
        self._found.extend(findings)
        for one in findings:
            self._print(one)

    async def of_project(self) -> None:
        """Whether it answers."""
        fila = self._session.fila
        self.add(*await examine_api(fila._url, fila._rpc._key))

    async def of_engine(self) -> None:
        """What the service key is told, and the database; then what an own subscription shows."""
        facts, refusal = await self._ask()
        findings, told = await examine_database(self._db_url, facts, NEEDS)
        if refusal is not None:
            self._note_refusal(refusal, told)
        if (facts := facts or told) is not None:
            await self._judge(facts)
        self.add(*findings)
        if refusal is None or _is_missing(refusal) or self._session.signed_in:
            self.add(await examine_realtime(self._session))
        else:
            self.add(left_out())

    async def of_database_alone(self) -> None:
        """What the database tells where the API does not answer."""
        if self._db_url:
            findings, told = await examine_database(self._db_url, None, NEEDS)
            if told is not None:
                await self._judge(told)
            self.add(*findings)

    async def of_road(self, wait: float) -> None:
        """The canary."""
        finding, self._journey = await examine_road(self._session.fila, wait)
        self.add(finding)

    def verdict(self) -> Exit:
        """The exit code."""
        if self.code in (Exit.NO_ANSWER, Exit.NOT_ALLOWED):
            return self.code
        return Exit.BAD_END if self._count(Level.PROBLEM) else Exit.OK

    def document(self) -> dict[str, Any]:
        """Everything, for machines."""
        language = self._out.language
        findings = [
            {"level": one.level, "subject": one.subject, "text": one.text(language), "next_step": one.step or None}
            for one in self._found
        ]
        counts = {f"{level}s" if level is not Level.OK else "ok": self._count(level) for level in Level}
        return {"findings": findings, **counts, "canary": self._journey}

    def print_summary(self) -> None:
        """Say how it is, in one line."""
        bad, doubtful, unseen = (self._count(level) for level in (Level.PROBLEM, Level.WARNING, Level.UNKNOWN))
        if self._out.language == "pt":
            line = f"{bad} problemas, {doubtful} avisos, {unseen} não verificados."
        else:
            line = f"{bad} problems, {doubtful} warnings, {unseen} not looked at."
        self._out.line(Text(line, style="red" if bad else "yellow" if doubtful else "green"))

    async def _ask(self) -> tuple[Facts | None, FilaVivaError | None]:
        """The facts as the API tells them, or why it does not."""
        rpc, begun = self._session.fila._rpc, now()
        try:
            facts = await rpc.diagnose(NEEDS)
        except FilaVivaError as error:
            if not (_is_missing(error) or _is_refused(error)):
                raise
            self.add(examine_key(rpc._key, error if _is_refused(error) else None, signed_in=self._session.signed_in))
            return None, error
        self.add(examine_key(rpc._key, None), *examine_clock(facts, begun, now()))
        return facts, None

    def _note_refusal(self, refusal: FilaVivaError, told: Facts | None) -> None:
        """What it means that the API told nothing; `told` is what the database did."""
        if _is_missing(refusal) and told is not None:
            english, portuguese = "the API does not know the engine's functions yet", "a API ainda não conhece o motor"
            self.add(problem("api", english, portuguese, _RELOAD))
        elif _is_missing(refusal):
            self.add(not_installed())
        elif told is None:
            self.code = Exit.NOT_ALLOWED
            self.add(not_told())

    async def _judge(self, facts: Facts) -> None:
        examinations: tuple[Iterable[Finding], ...] = (
            examine_structure(facts), examine_schedules(facts), examine_secrets(facts),
        )  # fmt: skip
        for findings in examinations:
            self.add(*findings)
        if (drain := await examine_drain(self._session.fila._rpc, facts)) is not None:
            self.add(drain)
        self.add(*examine_work(facts))

    def _count(self, level: Level) -> int:
        return sum(one.level is level for one in self._found)

    def _print(self, one: Finding) -> None:
        sign, style = _LOOKS[one.level]
        line = Text(f"{sign} ", style=style).append(f"{one.subject}: ", style="bold not dim")
        self._out.line(line.append(one.text(self._out.language), style="not bold"))
        if one.step:
            self._out.line(Text(f"    → {one.step}", style="cyan"))


def _is_missing(error: FilaVivaError) -> bool:
    return error.code == "not_installed"


def _is_refused(error: FilaVivaError) -> bool:
    return isinstance(error, NotSignedIn | Forbidden)
