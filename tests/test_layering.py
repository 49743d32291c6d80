"""The layers of the daemon, read from its folders: imports only go down.

A module's layer is that of its folder. Where a module may look at the outside world (trio, files,
SQL, HTTP) is decided by the folder too: `domain` is pure, and so is every folder called `payloads`.
"""

import ast
import gc
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = (
    ("errors",),
    ("domain",),
    ("settings",),
    ("observability",),
    ("system",),
    ("files",),
    ("assistant", "gateway", "ledger", "media", "tools"),
    ("conversation",),
    ("ops",),
    ("http",),
    ("app",),
    ("startup",),
    ("__main__",),
)
"""The folders and files of ``daemon/``, from the lowest layer to the highest. Those of one row do
not know each other. ``sandbox`` stands beside them."""

HEIGHT = {name: height for height, row in enumerate(LAYERS) for name in row}

COMPOSES_THE_SANDBOX = "daemon.sandbox.start"
"""The one module of the sandbox that knows the daemon: it starts both together."""

REHEARSES = ("daemon.ops.rehearsal.model", "daemon.sandbox.simulated_engine")
"""The one module of the daemon that knows a simulator: a rehearsal without a real model."""

SANDBOX_MAY = ("domain", "errors")
"""What the simulators share with the daemon; everything else they say for themselves."""

WAITING_OR_OUTSIDE = frozenset(
    {
        "fcntl",
        "httpcore",
        "httpx",
        "httpx2",
        "hypercorn",
        "io",
        "openai",
        "opentelemetry",
        "os",
        "pathlib",
        "prometheus_client",
        "quart",
        "quart_trio",
        "queue",
        "random",
        "secrets",
        "select",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "structlog",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "trio",
        "uuid",
    }
)
"""What a pure module has no use for: it neither waits nor looks at the world, clock or dice."""

SETTINGS_MAY = frozenset({"pathlib"})
"""Settings read the configuration's files, before the event loop runs."""

IMPURE_CALLS = frozenset(
    {"open", "print", "input", "now", "utcnow", "today", "getenv", "read_text", "write_text"}
)

HOMES = {
    "sqlite3": ("daemon.ledger",),
    "httpx": (
        *("daemon.gateway", "daemon.media", "daemon.ops.webhook_sender", "daemon.sandbox"),
        *("daemon.assistant", "daemon.system", "daemon.http.dashboard.oidc"),
    ),
    "httpcore": ("daemon.system",),
    "httpx2": ("daemon.assistant",),
    "openai": ("daemon.assistant",),
    "hypercorn": ("daemon.http",),
    "quart": ("daemon.http",),
    "quart_trio": ("daemon.http",),
    "werkzeug": ("daemon.http", "daemon.sandbox.asgi"),
    "h11": ("daemon.http",),
    "structlog": ("daemon.observability",),
    "prometheus_client": ("daemon.observability",),
    "opentelemetry": ("daemon.observability",),
}
"""Libraries that only these folders know, so that no error or type of theirs leaves them."""

HTTP_MAY = ("domain", "errors", "http", "observability", "ops", "settings")
"""What the HTTP layer imports: it acts on the daemon through `daemon.ops` alone."""


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Everything that a module imports, anywhere in it, as full names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _called(tree: ast.Module) -> Iterator[str]:
    """The last names of everything that a module calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node.func, ast.Attribute):
                yield node.func.attr


def _is_in(module: str, folder: str) -> bool:
    return module == folder or module.startswith(f"{folder}.")


PATHS = {_name(path): path for path in sorted((ROOT / "daemon").rglob("*.py"))}


# Read by the process that tries them, not by each that collects tests.
@cache
def trees() -> dict[str, ast.Module]:
    """Each module, parsed."""
    found = {module: ast.parse(path.read_text("utf-8"), path) for module, path in PATHS.items()}
    gc.freeze()  # they stay: else each later search for garbage takes most of a second for them
    return found


@cache
def libraries() -> dict[str, set[str]]:
    """The libraries that each module imports."""
    return {
        module: {name.partition(".")[0] for name in _imports(tree)} - {"daemon"}
        for module, tree in trees().items()
    }


@cache
def inward() -> dict[str, set[str]]:
    """The modules of ours that each module imports; for a name in a module, the module."""
    return {
        module: {name for name in _imports(tree) if name in PATHS} - {module, "daemon"}
        for module, tree in trees().items()
    }


def top(module: str) -> str:
    """The entry of ``daemon/`` in which a module is."""
    return module.split(".")[1]


def is_pure(module: str) -> bool:
    """Whether a module neither waits nor looks at the outside world, by its folder."""
    return top(module) == "domain" or (top(module) != "sandbox" and "payloads" in module.split("."))


def may_import(importer: str, imported: str) -> bool:
    """Whether one module of the daemon may import another, as far as layers go."""
    upper, lower = top(importer), top(imported)
    if upper == lower:
        return not is_pure(importer) or is_pure(imported)
    if upper == "sandbox":
        return importer == COMPOSES_THE_SANDBOX or lower in SANDBOX_MAY
    if lower == "sandbox":
        composes = upper == "startup" and imported == COMPOSES_THE_SANDBOX
        return composes or (importer, imported) == REHEARSES
    if is_pure(importer) and not is_pure(imported):
        return lower == "errors"
    return HEIGHT[lower] < HEIGHT[upper] and (upper != "http" or lower in HTTP_MAY)


MODULES = [module for module in PATHS if module != "daemon"]


def test_every_entry_of_the_daemon_has_a_layer() -> None:
    assert {top(module) for module in MODULES} - set(HEIGHT) == {"sandbox"}
    assert set(HEIGHT) <= {top(module) for module in MODULES}
    assert len({top(module) for module in MODULES}) < 19


def test_imports_only_go_down() -> None:
    upward = [
        f"{importer} imports {imported}"
        for importer in MODULES
        for imported in sorted(inward()[importer])
        if not may_import(importer, imported)
    ]
    assert upward == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("daemon.domain.window", "daemon.ledger.ledger"),
        ("daemon.gateway.whapi.payloads.parser", "daemon.gateway.whapi.client"),
        ("daemon.ledger.intake", "daemon.conversation.chat"),
        ("daemon.ledger.intake", "daemon.gateway.whapi.client"),
        ("daemon.conversation.chat", "daemon.http.edge"),
        ("daemon.http.edge", "daemon.app"),
        ("daemon.http.edge", "daemon.ledger.ledger"),
        ("daemon.sandbox.gateway", "daemon.gateway.whapi.client"),
        ("daemon.conversation.chat", "daemon.sandbox.gateway"),
    ],
)
def test_an_import_upward_would_be_seen(importer: str, imported: str) -> None:
    assert {importer, imported} <= set(PATHS)
    assert not may_import(importer, imported)


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    # A folder's own file is imported with everything in the folder, and needs none of it.
    folders = {name for name in PATHS if any(other.startswith(f"{name}.") for other in PATHS)}
    graph = {module: names - folders for module, names in inward().items() if module not in folders}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("module", [m for m in MODULES if is_pure(m) or top(m) == "settings"])
def test_pure_modules_neither_wait_nor_look_outside(module: str) -> None:
    allowed = SETTINGS_MAY if top(module) == "settings" else frozenset()
    assert libraries()[module] & (WAITING_OR_OUTSIDE - allowed) == set()


@pytest.mark.parametrize("module", [m for m in MODULES if is_pure(m)])
def test_pure_modules_ask_no_clock_and_open_no_file(module: str) -> None:
    assert set(_called(trees()[module])) & IMPURE_CALLS == set()


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_library_is_known_only_where_it_is_used(library: str) -> None:
    users = {module for module in PATHS if library in libraries()[module]}
    outside = {u for u in users if not any(_is_in(u, home) for home in HOMES[library])}
    assert outside == set()


ID_ENDINGS = re.compile(
    r"(?<!…)@\(?(?:lid|[gc]\\?\.us|s\\?\.whatsapp\\?\.net|broadcast|newsletter)\b"
)
"""Of WhatsApp's ids. A text for people writes ``…@lid``, with the dots."""


def _strings(tree: ast.Module) -> Iterator[str]:
    """The strings of a module, but for its docstrings."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in documentation:
            continue
        if isinstance(node.value, str):
            yield node.value


def test_ids_are_read_and_written_in_one_module() -> None:
    users = {
        module
        for module in MODULES
        if top(module) != "sandbox" and any(map(ID_ENDINGS.search, _strings(trees()[module])))
    }
    assert users == {"daemon.domain.ids"}


NAMES_WHAPI = {
    "__main__",  # whapi.token, in its help
    "gateway.kinds",
    "observability.events",  # the name of a log event
    "observability.metrics",  # the value of a label
    "ops.commands.webhook",
    "settings",
    "settings.numbers",  # the gateway of a number
    "settings.operation",
    "settings.page",
    "settings.readers",
    "settings.sources",
}
"""The modules outside of ``gateway/whapi`` and the sandbox that have something to do with Whapi."""


def test_few_modules_know_which_gateway_there_is() -> None:
    folders = ("daemon.gateway.whapi", "daemon.sandbox")
    naming = {
        _name(path).removeprefix("daemon.")
        for path in (ROOT / "daemon").rglob("*.py")
        if "whapi" in path.read_text("utf-8").lower()
        and not any(_is_in(_name(path), folder) for folder in folders)
    }
    assert naming == NAMES_WHAPI


def test_only_tools_written_for_asyncio_use_it() -> None:
    others = {"asyncio", "anyio", "curio", "sniffio", "uvloop", "concurrent"}
    found = {m: libraries()[m] & others for m in PATHS if libraries()[m] & others}
    assert found == {"daemon.tools.asyncio_tools": {"asyncio"}}  # for operators' tools


def test_the_environment_is_read_only_where_the_process_is_put_together() -> None:
    readers = {
        module
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    elsewhere = {m for m in readers if top(m) not in {"ops", "startup", "__main__"}}
    assert elsewhere <= {COMPOSES_THE_SANDBOX}


def test_modules_do_nothing_but_define_things_when_they_are_imported() -> None:
    """No module-level clients and no global state that an import would make."""
    statements = [
        f"{module}:{node.lineno}"
        for module, tree in trees().items()
        for node in tree.body
        if isinstance(node, ast.For | ast.While | ast.With | ast.Global | ast.Try)
    ]
    assert statements == []
    states = [
        f"{module}:{node.lineno}"
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Global)
    ]
    assert states == []


def test_third_party_libraries_are_those_that_the_project_names() -> None:
    used = {name for module in PATHS for name in libraries()[module]} - sys.stdlib_module_names
    named = (ROOT / "pyproject.toml").read_text("utf-8")
    brought = {
        "h11",
        "httpcore",
        "httpx2",
        "jinja2",
        "markupsafe",
        "quart",
        "werkzeug",
    }  # with hypercorn, httpx, openai and quart-trio
    brought |= {"docx", "dotenv", "botocore"}  # of python-docx, python-dotenv and boto3
    assert {n for n in used - brought if f'"{n.replace("_", "-")}' not in named} == set()


def test_the_picture_in_the_architecture_page_shows_every_entry() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    picture = page.partition("```\ndaemon/\n")[2].partition("```")[0]
    shown = {
        word.rstrip("/").removesuffix(".py")
        for line in picture.splitlines()
        if line[2:3].strip()
        for word in line[2:].partition("   ")[0].split()
    }
    assert shown == {top(module) for module in MODULES}


def _modules_named(page: str) -> Iterator[str]:
    """The paths of modules of ``daemon/`` in a page; ``{a,b}`` stands for each of them."""
    for path in re.findall(r"`((?:[a-z_]+|\{[a-z_,]+\})(?:/(?:[a-z_]+|\{[a-z_,]+\}))+\.py)`", page):
        before, brace, rest = path.partition("{")
        inside, _, after = rest.partition("}")
        yield from (before + each + after for each in inside.split(",")) if brace else [path]


def test_the_architecture_page_names_modules_that_exist() -> None:
    named = set(_modules_named((ROOT / "docs" / "architecture.md").read_text("utf-8")))
    assert "http/api/types.py" in named
    assert {"gateway/whapi/payloads/sends.py", "gateway/cloud/payloads/sends.py"} <= named
    places = (ROOT, ROOT / "daemon")
    assert {
        path for path in named if not any((place / path).is_file() for place in places)
    } == set()


def test_a_class_name_stands_once() -> None:
    homes: dict[str, list[str]] = {}
    for module in MODULES:
        for node in ast.walk(trees()[module]):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(module)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}
