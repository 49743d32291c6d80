"""The validator of what an answer claims: amounts must have been said, or follow from it. Pure.

It only looks at answers for which a tool was called: there the model had the facts before it, and
what it altered is an error and no small talk.
"""

from daemon.domain.validation.amount_sources import read_sources
from daemon.domain.validation.amounts import strange_amounts
from daemon.domain.validation.results import KEEP, Candidate, Doubt, Verdict

NAMED = 5
"""Amounts that the model is told of at once."""


def amounts(candidate: Candidate) -> Verdict:
    """An amount of money that nobody said, and that does not follow from what was, is doubtful."""
    if not candidate.tool_outputs:
        return KEEP
    sources = read_sources(
        heard=candidate.heard,
        tools=candidate.tool_outputs,
        instructions=(candidate.instructions, *candidate.internal),
        before=candidate.remembered,
    )
    strange = strange_amounts(candidate.text, sources)
    if not strange:
        return KEEP
    listed = ", ".join(dict.fromkeys([amount.written for amount in strange][:NAMED]))
    return Doubt(
        f"It says {listed}, which no tool said and which does not follow from what one said."
        " Use amounts exactly as the tools gave them, and calculate anew."
    )
