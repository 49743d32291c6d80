"""Targets that are functions: make an input, see that what is promised of it holds."""

import contextlib
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from types import FrameType
from typing import Any

from fuzz.finding import Finding, Report

MOST_SECONDS = 2.0
"""Processor time for one input of a few kilobytes; linear work takes a few milliseconds."""
MOST_FINDINGS = 20


class TooSlowError(BaseException):
    """An input took too long; no ``except Exception`` of the daemon keeps it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One target. ``hold`` raises for an input if something is wrong with what becomes of it."""

    make: Callable[[random.Random], Any]
    hold: Callable[[Any], None]
    most_seconds: float = MOST_SECONDS

    def __call__(self, seed: int, seconds: float) -> Report:
        """Make inputs and try them for so many seconds; the same ones for the same seed.

        Findings of the same exception at the same line are told once. Runs in the main thread.
        """
        findings: dict[str, Finding] = {}
        end = time.monotonic() + seconds
        for case in count(1):
            given = self.make(random.Random(f"{seed}:{case}"))  # noqa: S311 - repeatable on purpose
            if found := self.finding(given, case):
                findings.setdefault(found.what, found)
            if time.monotonic() > end or len(findings) == MOST_FINDINGS:
                break
        return Report(case, tuple(findings.values()))

    def finding(self, given: Any, case: int = 0) -> Finding | None:
        """Try one input."""
        try:
            with _bounded(self.most_seconds):
                self.hold(given)
        except (Exception, TooSlowError) as error:  # noqa: BLE001 - whatever it is, it is a finding
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} at {place.name}: {place.line}"
            if isinstance(error, TooSlowError):
                what = "TooSlowError"
            return Finding(what, case, _as_bytes(given), traceback.format_exc())
        return None


@contextlib.contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Raise TooSlowError when so much processor time is used up."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _as_bytes(given: Any) -> bytes:
    if isinstance(given, bytes):
        return given
    text = given if isinstance(given, str) else repr(given)
    return text.encode("utf-8", "surrogatepass")
