"""Stored conversations against a candidate, as lines and as a page with both answers. Pure.

Lines have no words of anybody; the page has.
"""

import html
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daemon.domain.redaction import mask_private
from daemon.domain.versions import SHOWN_DIGITS
from daemon.ledger.comparisons import CandidateTurn, NewComparison
from daemon.ops.rehearsal.replay import ComparedTurn, Comparison
from daemon.ops.rehearsal.report import STYLE

ORDER = ("failed", "worse", "changed", "better", "equal", "same")
"""The verdicts, the ones to look at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonReport:
    """What is compared, and with what."""

    comparison: Comparison
    model: str
    currency: str
    simulated: bool

    @property
    def turns(self) -> Sequence[ComparedTurn]:
        """The turns, those to look at first."""
        return sorted(self.comparison.turns, key=lambda turn: ORDER.index(turn.verdict))


def comparison_lines(report: ComparisonReport) -> Iterator[str]:
    """The report for a terminal."""
    for turn in report.turns:
        if turn.verdict == "same":
            continue
        unknown = ", ".join(turn.not_recorded)
        note = f"; results not recorded: {unknown}" if unknown else ""
        name = turn.recording.request_id
        yield f"{turn.verdict:<8} {name}  {mask_private(turn.reason)}{note}".rstrip()
    yield from comparison_figures(report)


def comparison_figures(report: ComparisonReport) -> Iterator[str]:
    """The figures, a line each."""
    done, turns = report.comparison, report.comparison.turns
    counts = Counter(turn.verdict for turn in turns)
    chats = len({turn.recording.key for turn in turns})
    version = done.version[:SHOWN_DIGITS]
    yield f"{len(turns)} turns of {chats} chats; {report.model}, version {version}"
    yield ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict])
    if done.left_out:
        yield f"{done.left_out} turns left out: something in them is no text"
    if not report.simulated:
        cost = sum(turn.cost for turn in turns)
        charged = f"{cost:.4f} for answers, {done.judge_cost:.4f} for the judge"
        yield f"{charged} {report.currency}".rstrip()
        seconds = sorted(turn.seconds for turn in turns)
        if seconds:
            half, most = seconds[len(seconds) // 2], seconds[-1]
            yield f"half of the answers within {half:.1f} s, all within {most:.1f} s"
    if done.agreement:
        yield done.agreement


def to_be_kept(report: ComparisonReport, *, number: str, instructions: str) -> NewComparison:
    """The report for the ledger, where the dashboard reads it."""
    done = report.comparison
    agreed, labelled = done.measured
    return NewComparison(
        number=number,
        instructions=instructions,
        model=report.model,
        version=done.version,
        simulated=report.simulated,
        currency=report.currency,
        left_out=done.left_out,
        judge_cost=done.judge_cost,
        agreed=agreed,
        labelled=labelled,
        turns=[
            CandidateTurn(
                turn_id=turn.recording.turn_id,
                verdict=turn.verdict,
                reason=turn.reason,
                answer="" if turn.verdict == "same" else "\n\n".join(turn.answers),
                tools=", ".join(turn.calls),
                not_recorded=", ".join(turn.not_recorded),
                cost=turn.cost,
                seconds=turn.seconds,
            )
            for turn in report.turns
        ],
    )


def comparison_page(report: ComparisonReport) -> str:
    """The report as one page without scripts: both answers side by side."""
    shown = "".join(f"<li>{html.escape(line)}</li>" for line in comparison_figures(report))
    rows = "".join(_row(turn) for turn in report.turns)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Comparison</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>"
        f"<h1>As it was, and with the candidate</h1><ul>{shown}</ul><table>"
        f"<tr><th>Customer<th>As it was<th>Candidate<th></tr>{rows}</table>\n"
    )


def _row(turn: ComparedTurn) -> str:
    tone = {"worse": "bad", "failed": "bad", "better": "good"}.get(turn.verdict, "who")
    made = [call.tool for call in turn.recording.calls]
    verdict = f"<span class={tone}>{turn.verdict}</span><p>{html.escape(turn.reason)}</p>"
    cells = (
        _texts(turn.recording.says, ()),
        _texts(turn.recording.answers, made),
        _texts(turn.answers, turn.calls),
        f"{verdict}<small>{html.escape(turn.recording.request_id)}</small>",
    )
    return "<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>\n"


def _texts(texts: Sequence[str], tools: Sequence[str]) -> str:
    used = f"<small>{html.escape(', '.join(tools))}</small>" if tools else ""
    return used + "".join(f"<pre>{html.escape(text)}</pre>" for text in texts)
