"""`recado versions`: what answers were made with, since when, and what came of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from random import Random

import click

from daemon.domain.comparison import Interval, Line, Resample, mean_line, share_line
from daemon.domain.limits import MICROS
from daemon.domain.versions import PARTS, SHOWN_DIGITS, VersionUse, changed_parts
from daemon.ledger.candidates import (
    CandidateAnswer,
    ComparedEnquiry,
    candidate_answers,
    compared_enquiries,
)
from daemon.ledger.text_versions import authors_of
from daemon.ledger.versions import version_uses
from daemon.ops.commands.place import (
    AS_JSON,
    CommandFailure,
    Place,
    listing_group,
    print_json,
    takes_place,
)

EXAMPLE = """\b
Example:
  recado versions
  recado versions show 3f2a91c0
  recado versions compare 3f2a91c0 9be0d1a7
"""


@AS_JSON
@takes_place
def _list(place: Place, *, as_json: bool) -> None:
    """List the versions of what answers are made with, newest first.

    A version is the hash of instructions, tools, validators, documents and model. Each line has its
    first and last turn, how many turns there were, how many were answered without a person and how
    many went to one, the parts that differ from the version before, and who has edited the
    instructions in the dashboard. Old turns are deleted with
    their conversations, and are not counted any more.
    """
    with place.reading() as connection:
        uses, authors = version_uses(connection), authors_of(connection)
    if as_json:
        print_json([_row(use, before, authors) for use, before in _newest_first(uses)])
        return
    for use, before in _newest_first(uses):
        changed = ", ".join(changed_parts(before.version if before else None, use.version))
        done = use.results
        click.echo(
            f"{use.digest[:SHOWN_DIGITS]}  {use.version.model_name}"
            f"  {_moment(use.first_at, place)} to {_moment(done.last_at, place)}"
            f"  turns {done.turns}, answered {done.answered}, to a person {done.handed_over}"
            + (f"  changed: {changed}" if changed else "")
            + (f"  edited by {author}" if (author := authors.get(use.version.instructions)) else "")
        )
    if not uses:
        click.echo("no turn has been answered yet", err=True)


versions_command = listing_group("versions", _list, epilog=EXAMPLE)


@versions_command.command(name="show")
@click.argument("version")
@AS_JSON
@takes_place
def show_command(place: Place, *, version: str, as_json: bool) -> None:
    """Show a version: the hashes of its parts, and the instructions as they were.

    VERSION is its name, or the beginning of it.
    """
    with place.reading() as connection:
        uses, authors = version_uses(connection), authors_of(connection)
    named = _named(uses, version)
    ((use, before),) = [pair for pair in _newest_first(uses) if pair[0] is named]
    if as_json:
        print_json({**_row(use, before, authors), "text": use.text})
        return
    click.echo(f"version {use.digest}  {use.version.model_name}")
    for name in PARTS:
        click.echo(f"{name:<13} {getattr(use.version, name) or '-'}")
    click.echo(f"\n{use.text}")


@versions_command.command(name="compare")
@click.argument("first")
@click.argument("second")
@click.option("--days", default=90, type=click.IntRange(1, 800), help="Begun so many days back.")
@click.option("--seed", default=1, help="Of the bootstrap: the same gives the same intervals.")
@AS_JSON
@takes_place
def compare_command(
    place: Place, *, first: str, second: str, days: int, seed: int, as_json: bool
) -> None:
    """Compare what came of the enquiries that began with two versions, with 95 % intervals.

    FIRST and SECOND are names, or beginnings of names. An asterisk marks a difference that is
    larger than chance. What a version has answered in shadow is counted below; none of it was sent.
    """
    since = time.time() - days * 24 * 3600
    with place.reading() as connection:
        uses = version_uses(connection)
        found = [_named(uses, name) for name in (first, second)]
        enquiries = [compared_enquiries(connection, one.digest, since=since) for one in found]
        shadows = [candidate_answers(connection, one.digest, since=since) for one in found]
    rng = Random(seed)  # noqa: S311 - repeatable on purpose

    def resample(values: Sequence[float]) -> Sequence[float]:
        return rng.choices(values, k=len(values))

    lines = [
        *_compared(enquiries[0], enquiries[1], resample),
        *_compared_shadows(shadows[0], shadows[1], resample),
    ]
    if as_json:
        names = [use.digest for use in found]
        counts = {"enquiries": [*map(len, enquiries)], "shadow_answers": [*map(len, shadows)]}
        print_json({"versions": names, **counts, "lines": [asdict(line) for line in lines]})
        return
    for use, rows, answers in zip(found, enquiries, shadows, strict=True):
        shown = f"{use.digest[:SHOWN_DIGITS]}  {use.version.model_name}"
        click.echo(f"{shown}  enquiries {len(rows)}, answers in shadow {len(answers)}")
    for line in lines:
        figures = (_shown(one, line) for one in (line.first, line.second, line.difference))
        click.echo(f"{line.name:<25} {'  '.join(figures)}{' *' if line.is_clear else ''}")


def _compared(
    first: Sequence[ComparedEnquiry], second: Sequence[ComparedEnquiry], resample: Resample
) -> list[Line]:
    """What came of the enquiries of each that do not wait."""
    both = [[row for row in rows if row.outcome != "waiting"] for rows in (first, second)]

    def share(name: str, holds: Callable[[ComparedEnquiry], bool]) -> Line:
        counts = [(sum(map(holds, rows)), len(rows)) for rows in both]
        return share_line(name, counts[0], counts[1])

    def mean(name: str, value: Callable[[ComparedEnquiry], float | None]) -> Line:
        values = [[one for row in rows if (one := value(row)) is not None] for rows in both]
        return mean_line(name, values[0], values[1], resample)

    return [
        share("answered without a person", lambda row: row.outcome == "automatic"),
        share("handed over", lambda row: row.outcome == "handed_over"),
        share("reopened in seven days", lambda row: row.reopened),
        share("thanks and likes", lambda row: row.thanks > 0),
        share("dislikes", lambda row: row.thanks < 0),
        mean("cost", lambda row: row.micros / MICROS),
        mean("seconds to first answer", lambda row: row.first_answer_seconds),
    ]


def _compared_shadows(
    first: Sequence[CandidateAnswer], second: Sequence[CandidateAnswer], resample: Resample
) -> list[Line]:
    """What is known of answers that were not sent; nothing if there are none."""
    if not first and not second:
        return []
    both = (first, second)
    answered = [(sum(one.text != "" for one in rows), len(rows)) for rows in both]
    costs = [[one.micros / MICROS for one in rows] for rows in both]
    seconds = [[one.seconds for one in rows] for rows in both]
    return [
        share_line("shadow: answered", answered[0], answered[1]),
        mean_line("shadow: cost", costs[0], costs[1], resample),
        mean_line("shadow: seconds", seconds[0], seconds[1], resample),
    ]


def _shown(one: Interval, line: Line) -> str:
    if one.value is None or one.low is None or one.high is None:
        return "-"
    digits = ".1%" if line.kind == "share" else ".4f" if line.name.endswith("cost") else ".1f"
    return f"{one.value:{digits}} [{one.low:{digits}}, {one.high:{digits}}]"


def _named(uses: Sequence[VersionUse], name: str) -> VersionUse:
    found = [use for use in uses if use.digest.startswith(name)]
    if len(found) != 1:
        what = "no version is" if not found else "several versions are"
        raise CommandFailure(f"{what} called {name}: recado versions lists them")
    return found[0]


def _newest_first(uses: Sequence[VersionUse]) -> list[tuple[VersionUse, VersionUse | None]]:
    """Each version with the one before it."""
    return list(zip(uses, [None, *uses], strict=False))[::-1]


def _row(
    use: VersionUse, before: VersionUse | None, authors: Mapping[str, str]
) -> dict[str, object]:
    return {
        "version": use.digest,
        "model": use.version.model_name,
        "parts": {name: getattr(use.version, name) for name in PARTS},
        "edited_by": authors.get(use.version.instructions, ""),
        "changed": changed_parts(before.version if before else None, use.version),
        "first_at": use.first_at,
        "last_at": use.results.last_at or None,
        "turns": use.results.turns,
        "answered": use.results.answered,
        "handed_over": use.results.handed_over,
    }


def _moment(at: float, place: Place) -> str:
    return place.moment(at)[:16] if at else "-"
