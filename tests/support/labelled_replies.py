"""The labelled replies: answers of small businesses' bots, right and with one wrong figure."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.domain.validation.builtin_validators import doubtful_amounts
from daemon.domain.validation.results import KEEP, Candidate

FOLDER = Path(__file__).parents[1] / "labelled_replies"
PARTS = ("first_half", "second_half", "third_part", "fourth_part")
"""Each was written when the validator had been made with those before it."""


@dataclass(frozen=True, slots=True)
class Case:
    """A reply and its conversation, once correct and once with a slip."""

    part: str
    trade: str
    language: str
    candidate: Candidate
    """With the correct reply."""
    wrong: Candidate
    slip: str
    """The kind of slip: ``transposed``, ``count``, ``sum`` …"""
    figures: tuple[str, str]
    """What is right and what is wrong."""


def load_cases(part: str) -> Iterator[Case]:
    """The cases of one part, in the order of its file."""
    for case in tomllib.loads((FOLDER / f"{part}.toml").read_text("utf-8"))["case"]:
        right, wrong, slip = case["slip"]
        reply = case["reply"]
        assert right in reply, reply
        given = {
            "inbound": case["customer"],
            "instructions": case.get("instructions", ""),
            "tool_outputs": tuple(case["tools"]),
            "remembered": tuple(case.get("before", ())),
            "language": case["lang"],
        }
        yield Case(
            part=part,
            trade=case["trade"],
            language=case["lang"],
            candidate=Candidate(text=reply, **given),
            wrong=Candidate(text=reply.replace(right, wrong, 1), **given),
            slip=slip,
            figures=(right, wrong),
        )


def is_kept(candidate: Candidate) -> bool:
    """Whether the amounts validator has nothing against a reply."""
    return doubtful_amounts(candidate) == KEEP
