"""How far a long command has come: a bar on a terminal, elsewhere a plain line now and then.

Both go to stderr: stdout is what the command prints, for programs too.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import repeat
from typing import TextIO

import click

from daemon.domain.progress import Progress

LINE_SECONDS = 10.0
"""Between two lines. A command that takes less says nothing."""

BAR_WIDTH, ITEM_WIDTH = 20, 20
"""In characters. With a label of 20 and the time left, a line fits into 80."""


@contextmanager
def shown(
    label: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Progress]:
    """Show how far one step of a command has come, until the end of the block.

    ``stream`` is stderr if it is not given; ``clock`` counts seconds. Call the result from one
    thread at a time.
    """
    stream = stream or sys.stderr
    with _bar(label, stream) if stream.isatty() else _lines(label, stream, clock) as progress:
        yield progress


@contextmanager
def _bar(label: str, stream: TextIO) -> Iterator[Progress]:
    bar = click.progressbar(
        repeat(""),  # of a length that the first call tells
        label=label,
        file=stream,
        width=BAR_WIDTH,
        item_show_func=_short,
        update_min_steps=0,  # a change of the item alone is drawn too
    )
    with ExitStack() as drawn:

        def draw(done: int, total: int, item: str) -> None:
            bar.length = total or None
            if not bar.entered:  # nothing is drawn of a step that has nothing to do
                drawn.enter_context(bar)
            bar.update(done - bar.pos, item)

        yield draw


@contextmanager
def _lines(label: str, stream: TextIO, clock: Callable[[], float]) -> Iterator[Progress]:
    began = last = clock()
    state = ""

    def line(done: int, total: int, item: str) -> None:
        nonlocal last, state
        state = f"{100 * done // total} % ({done} of {total})" if total else str(done)
        if clock() - last >= LINE_SECONDS:
            last = clock()
            click.echo(f"{label}: {state}  {_printable(item)}".rstrip(), file=stream)

    yield line
    if last != began:
        click.echo(f"{label}: {state} after {clock() - began:.0f} s", file=stream)


def _short(item: str | None) -> str:
    """The end of what is under way, which is the name of a file in a path."""
    text = _printable(item or "")
    return text if len(text) <= ITEM_WIDTH else f"…{text[1 - ITEM_WIDTH :]}"


def _printable(text: str) -> str:
    """Without characters that control a terminal: names of files are others' words."""
    return "".join(one if one.isprintable() else "?" for one in text)
