"""Modules that are imported anew for a reload, and found as they were if that fails."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.system.process import imported_again

PACKAGE = "recado_test_shop"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with one module, imported once."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "prices.py").write_text("PRICE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.import_module(f"{PACKAGE}.prices")
    yield folder
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


def price() -> object:
    return importlib.import_module(f"{PACKAGE}.prices").PRICE


def test_the_current_file_is_imported_and_the_old_module_is_unchanged(shop: Path) -> None:
    old = sys.modules[f"{PACKAGE}.prices"]
    (shop / "prices.py").write_text("PRICE = 2\n")
    assert price() == 1
    with imported_again({f"{PACKAGE}.prices"}):
        assert price() == 2
    assert price() == 2
    assert vars(old)["PRICE"] == 1


@pytest.mark.parametrize("names", [{PACKAGE}, {f"{PACKAGE}.prices"}])
def test_after_a_fault_the_old_modules_are_found_again(shop: Path, names: set[str]) -> None:
    """Also by way of their package."""
    old = sys.modules[f"{PACKAGE}.prices"]
    (shop / "prices.py").write_text("PRICE = 2\n")
    (shop / "broken.py").write_text(f"import {PACKAGE}.prices\n1 / 0\n")
    with pytest.raises(ZeroDivisionError), imported_again({*names, f"{PACKAGE}.broken"}):
        importlib.import_module(f"{PACKAGE}.broken")
    assert sys.modules[f"{PACKAGE}.prices"] is old
    assert sys.modules[PACKAGE].__dict__["prices"] is old


def test_modules_that_are_not_named_are_left_unchanged(shop: Path) -> None:
    assert shop.is_dir()
    kept = sys.modules[f"{PACKAGE}.prices"]
    with imported_again({"recado_test"}):
        assert sys.modules[f"{PACKAGE}.prices"] is kept
