"""The result of a rehearsal as lines, as HTML, and as JUnit's XML. Pure.

With the simulated model the same cases and seed give the same report, byte by byte: times are shown
only of a real model.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from daemon.ops.rehearsal.play import Play, pass_at, transcript

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .6rem;
border-bottom: 1px solid #8884; vertical-align: top }
.bad { color: #b00020 } .good { color: #1a7f37 }
details { margin: .5rem 0 } summary { cursor: pointer } .who { color: #888; width: 6rem }
pre { white-space: pre-wrap; margin: 0; font: inherit }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } .bad { color: #ff8a80 }
.good { color: #7ee787 } }
"""

_NOT_IN_XML = {"\ufffe", "\uffff", *map(chr, range(0xD800, 0xE000))}
"""Beside control characters (XML 1.0, 2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalSummary:
    """What the plays of a rehearsal came to."""

    plays: Sequence[Play]
    times: int
    model: str
    """Which model answered, in words."""
    version: str
    """What the answers were made with."""
    currency: str
    simulated: bool
    judge_cost: float = 0.0
    agreement: str = ""
    """How far the judge agrees with people, in words; empty if none was asked."""

    @property
    def cases(self) -> int:
        """How many cases were played."""
        return len({play.found.case.name for play in self.plays})

    @property
    def failed(self) -> list[Play]:
        """The plays in which something does not hold."""
        return [play for play in self.plays if not play.passed]

    def share(self, k: int) -> float:
        """See `pass_at`."""
        return pass_at(self.plays, k)


def lines(summary: RehearsalSummary) -> Iterator[str]:
    """The report for a terminal: each failure with its transcript, then the figures."""
    for play in summary.failed:
        yield f"FAILED  {play.found.case.name} (try {play.attempt}), {play.found.place}"
        yield from (f"  {failure}" for failure in play.failures)
        for line in transcript(play.turns):
            words = line["text"].replace("\n", "\n            ")
            yield f"  {line['who']:>9} {words}"
        yield ""
    yield from figures(summary)


def figures(summary: RehearsalSummary) -> Iterator[str]:
    """The figures, a line each."""
    tries = "" if summary.times == 1 else f", {summary.times} times each"
    yield f"{summary.cases} cases{tries}; {summary.model}"
    yield f"version {summary.version}"
    for k in sorted({1, summary.times}):
        yield f"pass^{k}: {summary.share(k):.3f}"
    tokens = sum(turn.tokens for play in summary.plays for turn in play.turns)
    cost = sum(play.cost for play in summary.plays) + summary.judge_cost
    charged = "" if summary.simulated else f", {cost:.4f} {summary.currency}".rstrip()
    yield f"{tokens} tokens{charged}"
    if not summary.simulated:
        seconds = sorted(turn.seconds for play in summary.plays for turn in play.turns)
        half, most = seconds[len(seconds) // 2], seconds[-1]
        yield f"half of the answers within {half:.1f} s, all within {most:.1f} s"
    if summary.agreement:
        yield summary.agreement


def as_html(summary: RehearsalSummary) -> str:
    """The report as one page without scripts."""
    rows = "".join(_row(play) for play in sorted(summary.plays, key=lambda play: play.passed))
    shown = "".join(f"<li>{html.escape(line)}</li>" for line in figures(summary))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Rehearsal</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>"
        f"<h1>Rehearsal</h1><ul>{shown}</ul><table><tr><th>Case<th>Result</tr>{rows}</table>\n"
    )


def _row(play: Play) -> str:
    state = "<span class=good>passed</span>" if play.passed else "<span class=bad>failed</span>"
    faults = "".join(f"<li class=bad>{html.escape(fault)}</li>" for fault in play.failures)
    lines = "".join(
        f"<tr><td class=who>{line['who']}<td><pre>{html.escape(line['text'])}</pre></tr>"
        for line in transcript(play.turns)
    )
    is_open = "" if play.passed else " open"
    return (
        f"<tr><td>{html.escape(play.found.case.name)}<td>{state}, try {play.attempt}"
        f"<ul>{faults}</ul><details{is_open}><summary>conversation</summary>"
        f"<table>{lines}</table></details></tr>\n"
    )


def as_junit(summary: RehearsalSummary) -> str:
    """The report as JUnit's XML, as CI systems read it: a test for each try of a case."""
    failed = str(len(summary.failed))
    suite = ET.Element(
        "testsuite", name="rehearsal", tests=str(len(summary.plays)), failures=failed
    )
    for play in summary.plays:
        name = play.found.case.name
        attributes = {
            "name": _xml(name if summary.times == 1 else f"{name} (try {play.attempt})"),
            "classname": play.found.path.stem,
            "file": str(play.found.path),
            "line": str(play.found.line),
        }
        if not summary.simulated:
            attributes["time"] = f"{sum(turn.seconds for turn in play.turns):.3f}"
        test = ET.SubElement(suite, "testcase", attributes)
        if not play.passed:
            words = "\n".join(f"{line['who']}: {line['text']}" for line in transcript(play.turns))
            failure = ET.SubElement(test, "failure", message=_xml("; ".join(play.failures)))
            failure.text = _xml(words)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """A text without the characters that XML 1.0 does not have."""
    return "".join(sign for sign in text if sign in "\n\t" or " " <= sign not in _NOT_IN_XML)
