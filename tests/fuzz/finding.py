"""What a fuzz target has found, and what a target is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One input that something was wrong with."""

    what: str
    """The oracle that it failed, in a few words; findings of the same words are told once."""
    case: int
    """The number of the input: with the seed of the run, it is made again."""
    data: bytes
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What one target did in its time."""

    cases: int
    findings: tuple[Finding, ...]


Target = Callable[[int, float], Report]
"""Runs with a seed for so many seconds."""
