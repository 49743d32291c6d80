"""Texts that are slow to match, made for a pattern, and how quickly the time for them grows.

The time is the thread's CPU time, so that a busy machine changes little. Each text is tried once;
only suspiciously slow ones are measured again, and at twice the size.
"""

import math
import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

SIZES = (24, 200, 1_000, 4_000)
FUNCTION_SIZES = (24, 200, 2_000)
"""Characters: growth that is worse than quadratic shows in the first ones, and would never end in
the last."""

SUSPICIOUS_SECONDS = 0.0007
"""Linear work of a pattern takes far less for 4,000 characters; a step for each pair of them takes
more. Functions are given `FUNCTION_SECONDS`."""

FUNCTION_SECONDS = 0.02

MOST_GROWTH = 2.8
"""A text twice as long takes twice as long in linear work, four times as long in quadratic work."""

CERTAIN = 200
"""No garbage takes so many times the suspicious time: an exponential text is tried once."""

MOST_ROUNDS = 5
"""So often must steep growth be seen before it is believed."""

GENERIC = ("a", "1", " ", "\n", "\t", "-", "a1", "1 ", "a ", "a-", ".1", "<a", "[a", "a_", '{"a":')
_OF_CATEGORY = {
    codes.CATEGORY_DIGIT: "1",
    codes.CATEGORY_SPACE: " \n\t",
    codes.CATEGORY_WORD: "a1_",
    codes.CATEGORY_NOT_SPACE: "x-",
    codes.CATEGORY_NOT_WORD: ". ",
    codes.CATEGORY_NOT_DIGIT: "x",
}
_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
ENDINGS = ("\x7f", "  \x7f", "\n")
MOST_LETTERS, MOST_BEGINS = 6, 12


def growth(
    work: Callable[[str], object],
    text: Callable[[int], str],
    *,
    seconds: float,
    sizes: Sequence[int] = SIZES,
) -> float:
    """The factor by which ``work`` takes longer for a text four times as long; 0 if it is quick.

    Quick means less than ``seconds`` for the largest of ``sizes``.
    """
    for size in sizes:
        large = text(size)
        after = _seconds(work, large)
        if after < seconds:
            continue
        if size == sizes[0]:
            if after < CERTAIN * seconds and min(_seconds(work, large) for _ in range(3)) < seconds:
                continue  # the time went into something else, such as collecting garbage
            return math.inf  # so much time for so short a text is exponential
        if after / _seconds(work, text(size // 2)) < MOST_GROWTH:
            continue
        # It may have been the machine: the best of several times each, over a wider range.
        before = after = math.inf
        for _ in range(MOST_ROUNDS):
            before = min(before, _seconds(work, large))
            after = min(after, _seconds(work, text(4 * size)))
            if before < seconds / 2 or after / before <= MOST_GROWTH**2:
                break
        else:
            return after / before
    return 0


def _seconds(work: Callable[[str], object], text: str) -> float:
    begun = time.thread_time()
    work(text)
    return time.thread_time() - begun


def matching(pattern: re.Pattern[Any]) -> Callable[[str], object]:
    """Use a pattern in the two ways that cost most."""

    def work(text: str) -> None:
        given: Any = text.encode("utf-8", "replace") if isinstance(pattern.pattern, bytes) else text
        for _ in pattern.finditer(given):
            pass
        pattern.fullmatch(given)

    return work


def texts_for(pattern: re.Pattern[Any]) -> Iterator[Callable[[int], str]]:
    """Texts of parts that a pattern matches, none of which it can match to the end."""
    raw = pattern.pattern
    source = raw if isinstance(raw, str) else raw.decode("latin-1")
    parsed = parser.parse(source, pattern.flags & ~re.UNICODE if isinstance(raw, bytes) else 0)
    letters = sorted(set(_letters(parsed)))
    few = letters[:: max(1, len(letters) // MOST_LETTERS)][:MOST_LETTERS]
    samples = {_sample(parsed, times) for times in (0, 1, 2)} - {""}
    cuts = {sample[:cut] for sample in samples for cut in range(1, min(len(sample), 25))}
    begins = sorted(cuts, key=lambda begin: (-len(begin), begin))
    begins = begins[:: max(1, len(begins) // MOST_BEGINS)]
    yield from texts_of({*letters, *GENERIC, *(a + b for a in few for b in few)})
    shortest = _sample(parsed, 0)[:25]
    least = {shortest[:cut] for cut in range(len(shortest) - 3, len(shortest))} - {""}
    yield from texts_of({*begins, *least, *(sample[:40] for sample in samples)})
    for begin in begins:
        for letter in few:
            yield _text(begin, letter, ENDINGS[0])


def texts_of(units: Iterable[str]) -> Iterator[Callable[[int], str]]:
    """Each of these again and again, with endings that nothing expects."""
    for unit in sorted(units):
        for ending in ENDINGS if len(unit) == 1 else ENDINGS[:1]:
            yield _text("", unit, ending)


def _text(begin: str, unit: str, ending: str) -> Callable[[int], str]:
    def text(size: int) -> str:
        return begin + (unit * (size // len(unit) + 1))[:size] + ending

    return text


def _letters(parsed: Any) -> Iterator[str]:
    """Sample characters for each part of a pattern."""
    for code, given in parsed:
        if code is codes.LITERAL:
            yield chr(given)
        elif code is codes.CATEGORY:
            yield from _OF_CATEGORY.get(given, "x")
        elif code is codes.RANGE:
            yield from map(chr, given)
        elif code is codes.IN:
            yield from _letters(part for part in given if part[0] is not codes.NEGATE)
        elif code in {codes.ANY, codes.NOT_LITERAL}:
            yield "x"
        else:
            for inner in _inside(code, given):
                yield from _letters(inner)


def _inside(code: Any, given: Any) -> list[Any]:
    if code in _REPEATS:
        return [given[2]]
    if code is codes.SUBPATTERN:
        return [given[3]]
    if code is codes.BRANCH:
        return list(given[1])
    if code in {codes.ASSERT, codes.ASSERT_NOT}:
        return [given[1]]
    return [given] if code is codes.ATOMIC_GROUP else []


def _sample(parsed: Any, times: int) -> str:
    """A text that a pattern takes, more or less, each repetition so many times."""
    told = ""
    for code, given in parsed:
        if code in _REPEATS:
            least, most, inner = given
            told += _sample(inner, times) * max(least, min(times, most))
        elif code in {codes.SUBPATTERN, codes.BRANCH, codes.ATOMIC_GROUP}:
            told += _sample(_inside(code, given)[0], times)
        elif code not in {codes.ASSERT, codes.ASSERT_NOT}:
            told += next(_letters([(code, given)]), "")
    return told
