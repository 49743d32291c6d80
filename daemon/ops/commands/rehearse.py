"""`recado rehearse`: conversations played against the configuration, before customers have them."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import trio

from daemon.conversation.live_config import toolbox_of
from daemon.domain.versions import SHOWN_DIGITS
from daemon.ops.commands.place import CONFIG, NUMBER, CommandFailure, failures, number_settings
from daemon.ops.rehearsal.cases import (
    CaseError,
    Found,
    Setup,
    find_cases,
    find_setup,
    unknown_tools,
)
from daemon.ops.rehearsal.model import has_real_model, model_line
from daemon.ops.rehearsal.play import Play, Tries, play_cases
from daemon.ops.rehearsal.report import RehearsalSummary, as_html, as_junit, lines
from daemon.ops.rehearsal.stage import Terms
from daemon.settings import Settings

FOLDER = Path("config/cases")

EXAMPLE = """\b
Example:
  recado rehearse
  recado rehearse my-cases --instructions new.md --times 4 --budget 2 --html report.html
  recado rehearse my-cases --only pool --simulated
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the options ask for."""

    number: str | None
    instructions: Path | None
    model: str
    simulated: bool
    at: str
    seed: int
    budget: float
    times: int
    at_once: int


@click.command(name="rehearse", epilog=EXAMPLE)
@click.argument("cases", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--instructions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instructions to try, in place of the configured ones.",
)
@click.option("--model", default="", metavar="NAME", help="Model to try, on the same server.")
@click.option("--simulated", is_flag=True, help="Ask the simulated model, which costs nothing.")
@click.option("--only", default="", metavar="PATTERN", help="Only cases whose name has this.")
@click.option("--times", default=1, type=click.IntRange(1, 100), help="Tries of each case.")
@click.option("--at-once", default=4, type=click.IntRange(1, 100), help="Conversations at once.")
@click.option(
    "--budget", default=0.0, metavar="AMOUNT", help="What the model may cost; 0: no limit."
)
@click.option("--bar", default=1.0, help="Exit status 1 below this share of cases (pass^TIMES).")
@click.option("--at", default="", metavar="TIME", help="The time that it is: 2026-03-02T10:00.")
@click.option("--seed", default=1, help="Of all dice in the daemon.")
@click.option("--html", "page", type=click.Path(path_type=Path), help="Write the report as a page.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write it as JUnit's XML.")
@NUMBER
@CONFIG
def rehearse_command(
    config: Path | None,
    *,
    cases: tuple[Path, ...],
    only: str,
    bar: float,
    page: Path | None,
    junit: Path | None,
    **options: object,
) -> None:
    """Play conversations against the configuration, and check what must hold of the answers.

    CASES are TOML files or folders of them; without any, config/cases. Each customer's burst goes
    the whole way: window, prompt, tools, validators, splitting. Tools give what the case says, and
    nothing is sent to anybody. docs/rehearsal.md has the format.

    Exit status: 0 all well, 1 below the bar, 2 a case or the configuration is wrong.
    """
    wanted = _Wanted(**options)  # type: ignore[arg-type]
    paths = cases or ((FOLDER,) if FOLDER.is_dir() else ())
    if not paths:
        raise CommandFailure(f"name files or folders of cases; there is no {FOLDER}")
    try:
        found = find_cases(paths, named=only)
        setup, folder = find_setup(paths)
    except CaseError as error:
        raise CommandFailure(str(error)) from error
    if not found:
        raise CommandFailure("there is no such case")
    with failures():
        summary = _rehearse(config, wanted, found, setup, folder)
    for line in lines(summary):
        click.echo(line)
    with failures():
        if page is not None:
            page.write_text(as_html(summary), "utf-8")
        if junit is not None:
            junit.write_text(as_junit(summary), "utf-8")
    if summary.share(wanted.times) < bar:
        raise SystemExit(1)


def _rehearse(
    config: Path | None, wanted: _Wanted, found: Sequence[Found], setup: Setup, folder: Path
) -> RehearsalSummary:
    settings = _with_setup(number_settings(config, wanted.number), setup, folder)
    settings = _with_candidate(settings, wanted)
    simulated = wanted.simulated or not has_real_model(settings)
    model = settings.assistant.model
    if wanted.budget and not simulated and model not in settings.budget.prices:
        raise CommandFailure(f"--budget: needs a price of {model} in budget.prices")
    known = {tool.name for tool in toolbox_of(settings).all_tools}
    if faults := unknown_tools(found, known):
        raise CommandFailure("\n".join(faults))
    click.echo(model_line(settings, simulated=simulated), err=True)
    terms = Terms(
        simulated=simulated,
        at=_moment(wanted.at or setup.at, settings),
        seed=wanted.seed,
        cost=wanted.budget,
    )
    order = Tries(times=wanted.times, at_once=wanted.at_once)
    tries = len(found) * wanted.times
    with click.progressbar(
        range(tries), tries, "rehearsing", hidden=not sys.stderr.isatty(), file=sys.stderr
    ) as progress:

        def done(_play: Play) -> None:
            progress.update(1)

        played = trio.run(play_cases, settings, terms, found, order, done)
    return RehearsalSummary(
        plays=played.plays,
        times=wanted.times,
        model="the simulated model" if simulated else model,
        version=played.version[:SHOWN_DIGITS],
        currency=settings.budget.currency,
        simulated=simulated,
        agreement=played.agreement,
    )


def _with_setup(settings: Settings, setup: Setup, folder: Path) -> Settings:
    """The settings with what the cases' folder says."""
    assistant, tools, knowledge = settings.assistant, settings.tools, settings.knowledge
    if setup.instructions:
        path = folder / setup.instructions
        assistant = assistant.model_copy(update={"instructions_file": path})
    if setup.tools:
        tools = tools.model_copy(update={"folder": folder / setup.tools})
    if setup.knowledge:
        knowledge = knowledge.model_copy(update={"folder": folder / setup.knowledge})
    return settings.model_copy(
        update={
            "assistant": assistant,
            "tools": tools,
            "knowledge": knowledge,
            "language": setup.language or settings.language,
            "timezone": setup.timezone or settings.timezone,
        }
    )


def _with_candidate(settings: Settings, wanted: _Wanted) -> Settings:
    """The settings with the instructions and the model to be tried."""
    update: dict[str, object] = {}
    if wanted.instructions is not None:
        update["instructions_file"] = wanted.instructions
    if wanted.model:
        update["model"] = wanted.model
    assistant = settings.assistant.model_copy(update=update)
    return settings.model_copy(update={"assistant": assistant})


def _moment(text: str, settings: Settings) -> float:
    if not text:
        return time.time()
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(settings.timezone)).timestamp()
    except ValueError:
        raise CommandFailure(f"{text}: give a time like 2026-03-02T10:00") from None
