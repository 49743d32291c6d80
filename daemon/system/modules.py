"""Importing modules of the operator anew, without losing the old ones if that fails."""

import importlib
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def imported_anew(names: Collection[str]) -> Iterator[None]:
    """Let the block import these modules, and those inside them, as if for the first time.

    If it raises, the old ones are found under their names again. Functions of the old ones go on
    with the globals that they have. Other modules which these import are not read again. For one
    thread at a time.
    """
    importlib.invalidate_caches()
    before = {name: sys.modules.pop(name) for name in _loaded(names)}
    try:
        yield
    except BaseException:
        for name in _loaded(names):
            del sys.modules[name]
        sys.modules.update(before)
        for name, module in before.items():
            _hang_in_parent(name, module)
        raise


def _loaded(names: Collection[str]) -> list[str]:
    insides = tuple(f"{name}." for name in names)
    return [name for name in sys.modules if name in names or name.startswith(insides)]


def _hang_in_parent(name: str, module: ModuleType) -> None:
    """Give a package its old part back, which an import that ended well has replaced."""
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], last, module)
