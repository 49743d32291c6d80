"""Loading the operator's tool modules: by name and from a folder, with each fault named."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.errors import ToolError
from daemon.tools import builtin_tools
from daemon.tools.toolbox import Toolbox, load_tools

GOOD = '''
"""A module of an operator."""

from datetime import date

from daemon.tools.tool import ToolContext, tool


@tool
async def {name}(context: ToolContext, day: date) -> str:
    """Look up a day."""
    return day.isoformat()
'''


@pytest.fixture(autouse=True)
def _same_modules() -> Iterator[None]:
    """Forget what a test has imported."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of an operator's tools, with two good ones and files that are none."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "b_rooms.py").write_text(GOOD.format(name="rooms"))
    (folder / "a_prices.py").write_text(GOOD.format(name="prices"))
    (folder / "_shared.py").write_text("raise AssertionError('not a tool module')")
    (folder / "notes.txt").write_text("not Python")
    return folder


def test_a_folder_gives_its_tools_in_the_order_of_its_files(folder: Path) -> None:
    assert [tool.name for tool in load_tools([], folder)] == ["prices", "rooms"]


def test_modules_are_loaded_before_the_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hotel_tools.py").write_text(GOOD.format(name="bookings"))
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [tool.name for tool in load_tools(["hotel_tools"], folder)]
    assert names == ["bookings", "prices", "rooms"]


@pytest.mark.parametrize("path", ["daemon.tools", "daemon.tools.tool", "daemon.tools.context"])
def test_modules_of_operators_import_from_the_public_and_the_former_paths(
    path: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        f"from {path} import ListRow, ToolContext\n" + GOOD.format(name="own")
    )
    assert [tool.name for tool in load_tools([], tmp_path)] == ["own"]


def test_nothing_configured_is_nothing_loaded() -> None:
    assert load_tools([], None) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"tools\.folder: .*/nowhere is not a folder"):
        load_tools([], tmp_path / "nowhere")


def test_a_missing_module_is_named() -> None:
    with pytest.raises(ToolError, match=r"^no_such_tools: .*ModuleNotFoundError"):
        load_tools(["no_such_tools"], None)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def broken(:", "SyntaxError"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError"),
        ("x = 1", "no tool in it"),
        (GOOD.format(name="rooms").replace("day: date", "day"), "parameter day has no type"),
        (GOOD.format(name="rooms").replace('"""Look up a day."""', "pass"), "a docstring"),
    ],
)
@pytest.mark.parametrize("way", ["folder", "module"])
def test_a_broken_module_is_named_with_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, source: str, words: str
) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "hotel_tools.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    modules, tools = ([], folder) if way == "folder" else (["hotel_tools"], None)
    with pytest.raises(ToolError, match=f"hotel_tools.*{words}"):
        load_tools(modules, tools)


def test_a_tool_that_a_module_only_imports_is_there_once(folder: Path) -> None:
    """One file may use another's tool, or a built-in one, without owning it."""
    (folder / "c_more.py").write_text(
        "from daemon.tools.builtin_tools import get_conversation_context\n"
        + GOOD.format(name="more")
    )
    toolbox = Toolbox([builtin_tools.get_conversation_context, *load_tools([], folder)])
    names = [spec.name for spec in toolbox.specs]
    assert sorted(names) == ["get_conversation_context", "more", "prices", "rooms"]
