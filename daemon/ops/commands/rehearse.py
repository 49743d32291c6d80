"""`recado rehearse`: conversations played against the configuration, before customers have them."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from click.core import ParameterSource

from daemon.conversation.config_loader import toolbox_of
from daemon.domain.versions import SHOWN_DIGITS
from daemon.ledger.comparisons import keep_comparison
from daemon.ledger.recordings import recordings_since
from daemon.ops.commands.interrupts import run_until_signal
from daemon.ops.commands.place import (
    CONFIG,
    NUMBER,
    CommandFailure,
    failures,
    note,
    place_of,
    read_settings,
)
from daemon.ops.commands.progress import shown
from daemon.ops.commands.reports import since_of
from daemon.ops.commands.texts import number_at_work
from daemon.ops.rehearsal.cases import (
    CaseError,
    LocatedCase,
    Setup,
    find_cases,
    find_setup,
    unknown_tools,
)
from daemon.ops.rehearsal.comparison_report import (
    ComparisonReport,
    comparison_lines,
    comparison_page,
    to_be_kept,
)
from daemon.ops.rehearsal.model import has_real_model, model_line
from daemon.ops.rehearsal.play import Tries, play_cases
from daemon.ops.rehearsal.replay import replay
from daemon.ops.rehearsal.report import RehearsalSummary, as_html, as_junit, lines
from daemon.ops.rehearsal.sandbox import OpenSandbox
from daemon.ops.rehearsal.stage import RehearsalOptions
from daemon.settings import Settings, with_tables

FOLDER = Path("config/cases")

REPORT = click.Path(dir_okay=False, writable=True, path_type=Path)

EXAMPLE = """\b
Example:
  recado rehearse
  recado rehearse my-cases --instructions new.md --times 4 --budget 2 --html report.html
  recado rehearse my-cases --only pool --simulated
  recado rehearse --from 7d --instructions new.md --html comparison.html
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    number: str | None
    instructions: Path | None
    model: str
    simulated: bool
    at: str
    seed: int
    budget: float
    times: int
    at_once: int
    by_model: bool


@click.command(name="rehearse", epilog=EXAMPLE)
@click.argument("cases", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--instructions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instructions to try, in place of the configured ones.",
)
@click.option("--model", default="", metavar="NAME", help="Model to try, on the same server.")
@click.option("--simulated", is_flag=True, help="Ask the simulated model, which costs nothing.")
@click.option(
    "--from",
    "since",
    default="",
    metavar="TIME",
    help="Replay stored conversations in place of cases, from then on: 24h, 7d, or 2026-01-31.",
)
@click.option("--most", default=50, type=click.IntRange(1, 5000), help="With --from: newest turns.")
@click.option("--no-judge", is_flag=True, help="With --from: do not have changes judged.")
@click.option("--only", default="", metavar="PATTERN", help="Only cases whose name has this.")
@click.option("--times", default=1, type=click.IntRange(1, 100), help="Tries of each case.")
@click.option("--by-model", is_flag=True, help="Let the model play the customers of [[customer]].")
@click.option("--at-once", default=4, type=click.IntRange(1, 100), help="Conversations at once.")
@click.option(
    "--budget",
    default=0.0,
    type=click.FloatRange(0),
    metavar="AMOUNT",
    help="What answers may cost together; 0: no limit.",
)
@click.option(
    "--bar",
    default=1.0,
    type=click.FloatRange(0, 1),
    help="Exit status 1 below this share of cases (pass^TIMES).",
)
@click.option("--at", default="", metavar="TIME", help="The time that it is: 2026-03-02T10:00.")
@click.option("--seed", default=1, help="Of all dice in the daemon.")
@click.option("--html", "page", type=REPORT, help="Write the report as a page.")
@click.option("--junit", type=REPORT, help="Write it as JUnit's XML.")
@NUMBER
@CONFIG
@click.pass_obj
def rehearse_command(
    open_sandbox: OpenSandbox | None,
    /,
    config: Path | None,
    *,
    cases: tuple[Path, ...],
    only: str,
    bar: float,
    page: Path | None,
    junit: Path | None,
    since: str,
    most: int,
    no_judge: bool,
    **options: object,
) -> None:
    """Play conversations against the configuration, and check what must hold of the answers.

    CASES are TOML files or folders of them; without any, config/cases. Each customer's burst goes
    the whole way: window, prompt, tools, validators, splitting. Tools give what the case says, and
    nothing is sent to anybody. Each [[customer]] writes to the whole daemon, which runs between
    simulators for that time. docs/rehearsal.md has the format.

    With --from, answered turns of the store are played again, each with what was said before it and
    the recorded results of its tools, and both answers are compared. It shows no words; the
    dashboard, and the page of --html, have them.

    Exit status: 0 all well, 1 below the bar, 2 a case or the configuration is wrong.
    """
    wanted = _Wanted(**options)  # type: ignore[arg-type]
    _require_folders(page, junit)  # before anything costs money
    if since:
        _require_no_options_of_cases()
        if cases:
            raise click.UsageError("--from has no cases")
        with failures():
            report = _compare(config, wanted, since, most, judged=not no_judge)
        _print(comparison_lines(report))
        _write(page, partial(comparison_page, report))
        return
    found, setup, folder = _found(cases or ((FOLDER,) if FOLDER.is_dir() else ()), only)
    with failures():
        summary = _rehearse(config, wanted, found, setup, folder, open_sandbox)
    _print(lines(summary))
    _write(page, partial(as_html, summary))
    _write(junit, partial(as_junit, summary))
    if summary.share(wanted.times) < bar:
        raise SystemExit(1)


OF_CASES = ("only", "times", "by_model", "bar", "junit")
"""Options that mean nothing to stored conversations."""


def _require_no_options_of_cases() -> None:
    context = click.get_current_context()
    for name in OF_CASES:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--from has no --{name.replace('_', '-')}")


def _require_folders(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise CommandFailure(f"{path}: there is no folder {path.parent}")


def _print(report: Iterable[str]) -> None:
    for line in report:
        click.echo(line)


def _write(path: Path | None, make: Callable[[], str]) -> None:
    if path is not None:
        with failures():
            path.write_text(make(), "utf-8")


def _found(paths: Sequence[Path], only: str) -> tuple[list[LocatedCase], Setup, Path]:
    if not paths:
        raise CommandFailure(f"name files or folders of cases; there is no {FOLDER}")
    try:
        found = find_cases(paths, named=only)
        setup, folder = find_setup(paths)
    except CaseError as error:
        raise CommandFailure(str(error)) from error
    if not found:
        raise CommandFailure("there is no such case")
    return found, setup, folder


def _compare(
    config: Path | None, wanted: _Wanted, since: str, most: int, *, judged: bool
) -> ComparisonReport:
    place = place_of(read_settings(config))
    number = place.number(wanted.number)
    settings = _with_candidate(_settings(config, wanted), wanted)
    simulated = _is_simulated(settings, wanted)
    begin = since_of(since, place, option="--from")
    with place.reading() as connection:
        recordings = recordings_since(connection, number, begin, most=most)
    if not recordings:
        raise CommandFailure("no turn has been answered since then")
    note(place, "reveal", number, after=f"rehearsal with {len(recordings)} turns")
    click.echo(model_line(settings, simulated=simulated), err=True)
    at = _moment(wanted.at, settings)
    terms = RehearsalOptions(simulated=simulated, at=at, seed=wanted.seed, cost=wanted.budget)
    tries = Tries(at_once=wanted.at_once)
    with shown("replaying") as progress:
        work = partial(replay, settings, terms, recordings, tries, progress, judged=judged)
        comparison = run_until_signal(work)
    report = ComparisonReport(
        comparison=comparison,
        model="the simulated model" if simulated else settings.assistant.model,
        currency=settings.budget.currency,
        simulated=simulated,
    )
    tried = wanted.instructions.name if wanted.instructions else ""
    found = to_be_kept(report, number=number, instructions=tried)
    with place.writing() as connection:
        kept = keep_comparison(connection, found, now=time.time())
    click.echo(f"both answers: /dashboard/comparisons/{kept}", err=True)
    return report


def _is_simulated(settings: Settings, wanted: _Wanted) -> bool:
    simulated, model = wanted.simulated or not has_real_model(settings), settings.assistant.model
    if wanted.budget and not simulated and model not in settings.budget.prices:
        raise CommandFailure(f"--budget: needs a price of {model} in budget.prices")
    return simulated


def _rehearse(
    config: Path | None,
    wanted: _Wanted,
    found: Sequence[LocatedCase],
    setup: Setup,
    folder: Path,
    open_sandbox: OpenSandbox | None,
) -> RehearsalSummary:
    settings = _with_setup(_settings(config, wanted, setup), setup, folder)
    settings = _with_candidate(settings, wanted)
    simulated, model = _is_simulated(settings, wanted), settings.assistant.model
    scripted = not wanted.by_model
    if not scripted and simulated:
        raise CommandFailure("--by-model: the simulated model plays no customers")
    for one in found:
        if scripted and one.customer and not one.customer.script:
            raise CommandFailure(f"{one.place}: without a script only --by-model can play this")
    known = {tool.name for tool in toolbox_of(settings).all_tools}
    if faults := unknown_tools(found, known):
        raise CommandFailure("\n".join(faults))
    click.echo(model_line(settings, simulated=simulated), err=True)
    at = _moment(wanted.at or setup.at, settings)
    terms = RehearsalOptions(simulated=simulated, at=at, seed=wanted.seed, cost=wanted.budget)
    order = Tries(times=wanted.times, at_once=wanted.at_once, by_model=wanted.by_model)
    with shown("rehearsing") as progress:
        work = partial(play_cases, settings, terms, found, order, progress, open_sandbox)
        played = run_until_signal(work)
    return RehearsalSummary(
        plays=played.plays,
        times=wanted.times,
        model="the simulated model" if simulated else model,
        version=played.version[:SHOWN_DIGITS],
        currency=settings.budget.currency,
        simulated=simulated,
        agreement=played.agreement,
        judge_cost=played.judge_cost,
    )


def _settings(config: Path | None, wanted: _Wanted, setup: Setup | None = None) -> Settings:
    """The number's settings, with what was edited in the dashboard."""
    own = wanted.instructions is not None or bool(setup and setup.instructions)
    return number_at_work(config, wanted.number, own_instructions=own)


def _with_setup(settings: Settings, setup: Setup, folder: Path) -> Settings:
    given = {
        "assistant": ("instructions_file", setup.instructions),
        "tools": ("folder", setup.tools),
        "knowledge": ("folder", setup.knowledge),
    }
    return with_tables(
        settings,
        {table: {key: folder / path} for table, (key, path) in given.items() if path},
        language=setup.language or settings.language,
        timezone=setup.timezone or settings.timezone,
    )


def _with_candidate(settings: Settings, wanted: _Wanted) -> Settings:
    tried = {"instructions_file": wanted.instructions, "model": wanted.model}
    return with_tables(settings, {"assistant": {k: v for k, v in tried.items() if v}})


def _moment(text: str, settings: Settings) -> float:
    if not text:
        return time.time()
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(settings.timezone)).timestamp()
    except ValueError:
        raise CommandFailure(f"{text}: give a time like 2026-03-02T10:00") from None
