"""The layers of the daemon, read from its imports: they only go down.

Every module has its place in `LAYERS`; a new one fails here until somebody has decided where it
belongs. What a layer may know of the outside world (trio, files, SQL, HTTP) is checked likewise.
"""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS: dict[str, tuple[str, ...]] = {
    "leaf": (
        "daemon",
        "daemon.audit",
        "daemon.consent",
        "daemon.errors",
        "daemon.ledger",
        "daemon.model",
        "daemon.settings.*",
        "daemon.texts",
        "daemon.watching",
    ),
    "pure": (
        "daemon.assistant",
        "daemon.assistant.assistants_wire",
        "daemon.assistant.engine",
        "daemon.assistant.events",
        "daemon.assistant.failures",
        "daemon.assistant.output_items",
        "daemon.assistant.strictness",
        "daemon.assistant.wire",
        "daemon.observe",
        "daemon.observe.catalog",
        "daemon.observe.events",
        "daemon.observe.lines",
        "daemon.observe.masking",
        "daemon.observe.noise",
        "daemon.observe.phrasing",
        "daemon.observe.records",
        "daemon.observe.redaction",
        "daemon.limits.*",
        "daemon.media",
        "daemon.media.addresses",
        "daemon.media.kinds",
        "daemon.notifications",
        "daemon.notifications.occasions",
        "daemon.prompt.*",
        "daemon.reading.*",
        "daemon.tools.schema",
        "daemon.validation",
        "daemon.validation.amount_factors",
        "daemon.validation.amount_goal",
        "daemon.validation.amount_sources",
        "daemon.validation.amount_words",
        "daemon.validation.amounts",
        "daemon.validation.answer_amounts",
        "daemon.validation.builtin",
        "daemon.validation.chain",
        "daemon.validation.data_keys",
        "daemon.validation.facts",
        "daemon.validation.figures",
        "daemon.validation.number_words",
        "daemon.validation.priced_items",
        "daemon.validation.quantities",
        "daemon.validation.surface",
        "daemon.validation.time_spans",
        "daemon.validation.verdicts",
        "daemon.handover",
        "daemon.verdicts",
        "daemon.whapi",
        "daemon.whapi.answers",
        "daemon.whapi.channel_events",
        "daemon.whapi.channel_settings",
        "daemon.whapi.contents",
        "daemon.whapi.elements",
        "daemon.whapi.fields",
        "daemon.whapi.other_events",
        "daemon.whapi.sends",
        "daemon.whapi.shapes",
        "daemon.whapi.wire",
        "daemon.window",
        "daemon.writing.*",
    ),
    "adapters": (
        "daemon.assistant.*",
        "daemon.media.*",
        "daemon.notifications.targets",
        "daemon.observe.*",
        "daemon.store.*",
        "daemon.system.*",
        "daemon.tools.*",
        "daemon.validation.*",
        "daemon.whapi.*",
    ),
    "services": (
        "daemon.chats.*",
        "daemon.housekeeping.*",
        "daemon.live_log",
        "daemon.notifications.notifier",
        "daemon.recovery",
        "daemon.supervisor",
    ),
    "edge": ("daemon.web.*",),
    "compose": (
        "daemon.__main__",
        "daemon.app",
        "daemon.checks.*",
        "daemon.commands.*",
        "daemon.composition.*",
        "daemon.running.*",
        "daemon.sandboxed",
        "daemon.startup",
    ),
    "sandbox": ("daemon.sandbox.*",),
}
"""Which modules make up each layer, from the lowest to the highest; ``.*`` is a folder, out of
which modules named by themselves belong elsewhere. The sandbox stands beside them."""

HEIGHT = {layer: height for height, layer in enumerate(LAYERS)}

WAITING_OR_OUTSIDE = frozenset(
    {
        "apprise",
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

CONFIGURATION_MAY = frozenset({"pathlib"})
"""The leaves that read the configuration may open its files, before the event loop runs."""

IMPURE_CALLS = frozenset(
    {"open", "print", "input", "now", "utcnow", "today", "getenv", "read_text", "write_text"}
)

HOMES = {
    "sqlite3": ("daemon.store",),
    "httpx": ("daemon.media", "daemon.whapi", "daemon.sandbox", "daemon.system.authorities"),
    "httpcore": ("daemon.whapi",),
    "httpx2": ("daemon.assistant",),
    "openai": ("daemon.assistant",),
    "hypercorn": ("daemon.web",),
    "quart": ("daemon.web",),
    "quart_trio": ("daemon.web",),
    "werkzeug": ("daemon.web",),
    "h11": ("daemon.web",),
    "structlog": ("daemon.observe",),
    "prometheus_client": ("daemon.observe",),
    "opentelemetry": ("daemon.observe",),
    "apprise": ("daemon.notifications",),
}
"""Libraries that only these folders know, so that no error or type of theirs leaves them."""

BEHIND_THE_FACADE = (
    "daemon.assistant",
    "daemon.chats",
    "daemon.housekeeping",
    "daemon.recovery",
    "daemon.store",
    "daemon.tools",
    "daemon.whapi",
)
"""What the web layer does not import although it lies below: it knows `daemon.web.facade`."""


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
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


def layer_of(module: str) -> str:
    """The layer of a module; empty if nobody has decided."""
    for layer, names in LAYERS.items():
        if module in names:
            return layer
    for layer, names in LAYERS.items():
        if any(name.endswith(".*") and _is_in(module, name[:-2]) for name in names):
            return layer
    return ""


TREES = {
    _name(path, ROOT): ast.parse(path.read_text("utf-8"), str(path))
    for path in sorted((ROOT / "daemon").rglob("*.py"))
}
IMPORTS = {
    module: {name for name in _imports(tree) if name.partition(".")[0] != "daemon"}
    for module, tree in TREES.items()
}
"""The libraries that each module imports."""
INWARD = {
    module: {name for name in _imports(tree) if name in TREES} - {module}
    for module, tree in TREES.items()
}
"""The modules of ours that each module imports; for a name in a module, the module."""


def _modules(*layers: str) -> list[str]:
    return [module for module in TREES if layer_of(module) in layers]


def _libraries(module: str) -> set[str]:
    return {name.partition(".")[0] for name in IMPORTS[module]}


def is_downward(importer: str, imported: str) -> bool:
    """Whether one module of the daemon may import another, as far as layers go."""
    if imported in {"daemon", importer}:
        return True
    lower, upper = layer_of(imported), layer_of(importer)
    if "sandbox" in (lower, upper):
        return {
            ("sandbox", "sandbox"): True,
            ("leaf", "sandbox"): True,
            ("pure", "sandbox"): True,
            ("sandbox", "compose"): True,
        }.get((lower, upper), False)
    return HEIGHT[lower] <= HEIGHT[upper]


def test_every_module_has_a_layer() -> None:
    assert [module for module in TREES if not layer_of(module)] == []
    assert len(TREES) > 50


def test_imports_only_go_down() -> None:
    upward = [
        f"{importer} ({layer_of(importer)}) imports {imported} ({layer_of(imported)})"
        for importer, names in INWARD.items()
        for imported in sorted(names)
        if not is_downward(importer, imported)
    ]
    assert upward == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("daemon.window", "daemon.store.store"),
        ("daemon.whapi.wire", "daemon.whapi.client"),
        ("daemon.store.inbox", "daemon.chats.chat"),
        ("daemon.chats.chat", "daemon.web.edge"),
        ("daemon.web.edge", "daemon.app"),
        ("daemon.sandbox.gateway", "daemon.whapi.client"),
        ("daemon.chats.chat", "daemon.sandbox.gateway"),
    ],
)
def test_an_import_upward_would_be_seen(importer: str, imported: str) -> None:
    assert {importer, imported} <= set(TREES)
    assert not is_downward(importer, imported)


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {module: names - {"daemon"} for module, names in INWARD.items()}
    # A folder's own file is imported with everything in the folder, and needs none of it.
    folders = {name for name in TREES if any(other.startswith(f"{name}.") for other in TREES)}
    graph = {module: names - folders for module, names in graph.items() if module not in folders}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_adapters_do_not_know_each_other() -> None:
    """Each stands for one part of the outside world; only what is seen of all is shared."""
    strangers = [
        f"{importer} imports {imported}"
        for importer in _modules("adapters")
        for imported in INWARD[importer]
        if layer_of(imported) == "adapters"
        and imported != "daemon.system.private_files"  # how every file of ours is made
        and imported.split(".")[1] not in {importer.split(".")[1], "observe"}
    ]
    assert strangers == []


def test_the_web_knows_the_rest_by_its_facade() -> None:
    known = [
        f"{importer} imports {imported}"
        for importer in _modules("edge")
        for imported in INWARD[importer]
        if any(_is_in(imported, folder) for folder in BEHIND_THE_FACADE)
    ]
    assert known == []


@pytest.mark.parametrize("module", _modules("leaf", "pure"))
def test_leaves_and_pure_modules_neither_wait_nor_look_outside(module: str) -> None:
    forbidden = WAITING_OR_OUTSIDE
    if module.startswith("daemon.settings"):
        forbidden -= CONFIGURATION_MAY
    assert _libraries(module) & forbidden == set()


@pytest.mark.parametrize("module", _modules("pure"))
def test_pure_modules_ask_no_clock_and_open_no_file(module: str) -> None:
    assert set(_called(TREES[module])) & IMPURE_CALLS == set()


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_library_is_known_only_where_it_is_used(library: str) -> None:
    users = {module for module in TREES if library in _libraries(module)}
    outside = {u for u in users if not any(_is_in(u, home) for home in HOMES[library])}
    assert outside == set()


def test_nothing_uses_asyncio() -> None:
    others = {"asyncio", "anyio", "curio", "sniffio", "uvloop", "concurrent"}
    assert {m: _libraries(m) & others for m in TREES if _libraries(m) & others} == {}


def test_the_environment_is_read_only_where_the_daemon_is_put_together() -> None:
    readers = {
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert {layer_of(module) for module in readers} <= {"compose"}


def test_modules_do_nothing_but_define_things_when_they_are_imported() -> None:
    """No module-level clients and no global state that an import would make."""
    loops = [
        f"{module}:{node.lineno}"
        for module, tree in TREES.items()
        for node in tree.body
        if isinstance(node, ast.For | ast.While | ast.With | ast.Global | ast.Try)
    ]
    assert loops == []
    states = [
        f"{module}:{node.lineno}"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Global)
    ]
    assert states == []


def test_third_party_libraries_are_those_that_the_project_names() -> None:
    used = {name for module in TREES for name in _libraries(module)} - sys.stdlib_module_names
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
    brought |= {"docx"}  # the package that python-docx installs
    assert {n for n in used - brought if f'"{n.replace("_", "-")}' not in named} == set()
