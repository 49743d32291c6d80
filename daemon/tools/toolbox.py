"""The tools of this daemon: the built-in ones and those of the operator's modules."""

import contextlib
import importlib
import importlib.util
import math
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import msgspec
import trio
from pydantic import SecretStr

from daemon.domain.messages import FunctionCall, ToolSpec
from daemon.errors import StoreUnavailable, ToolError, ToolOutcomeUnknown, ValidatorError
from daemon.tools.asyncio_tools import AsyncioCall, library_for_asyncio
from daemon.tools.tool import Tool, ToolContext

MAX_OUTPUT_BYTES = 32_000
"""A longer output costs much and helps no model; some servers refuse 1 MB."""

FOLDER_PACKAGE = "recado_tools"
"""The package in whose namespace the modules of ``tools.folder`` are imported."""

UNKNOWN_OUTCOME = (
    "; outcome unknown: it may have taken effect. Do not repeat it; check its result with another"
    " tool, or tell the customer that a person will confirm."
)

CUT_NOTE = "\n[cut: the output was too long]"


OnFault = Callable[[str, Exception], object]
"""Called with the name of a tool and the exception that it raised."""

Instead = Callable[[Tool, FunctionCall, ToolContext], str | None]
"""Gives the output of a call in place of the tool, which is then not called; None: it is."""


class Toolbox:
    """Finds tools by name and calls them. Any task may call it.

    Its only state are the limiters of tools with a ``concurrency``.
    """

    def __init__(
        self,
        tools: Iterable[Tool],
        *,
        disabled: Collection[str] = (),
        longest_seconds: float = math.inf,
        secrets: Mapping[str, SecretStr] = MappingProxyType({}),
        remote: Callable[[], Mapping[str, Tool]] = dict,
        on_fault: OnFault = lambda *_: None,
    ) -> None:
        """Look at the tools.

        ``on_fault`` gets every exception that a tool raises; ``secrets`` are for the tools;
        ``remote`` gives the tools of servers, which come and go.

        Raises ToolError if two tools have one name, if a ``disabled`` one does not exist, or if one
        has a timeout above ``longest_seconds``.
        """
        self.secrets = secrets
        self._remote = remote
        self._disabled = frozenset(disabled)
        self._on_fault = on_fault
        self._instead: Instead = lambda *_: None
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            # One module may import another's tool, so the same tool may come twice.
            if self._tools.get(tool.name, tool) is not tool:
                raise ToolError(f"two tools are called {tool.name}")
            self._tools[tool.name] = tool
            if tool.timeout > longest_seconds:
                raise ToolError(
                    f"tool {tool.name}: its timeout of {tool.timeout:g} s is longer than"
                    f" tools.longest_seconds ({longest_seconds:g})"
                )
        unknown = sorted(name for name in {*disabled} - {*self._tools} if "__" not in name)
        if unknown:
            raise ToolError(f"tools.disabled: there is no tool {', '.join(unknown)}")
        self._all = tuple(self._tools.values())
        self._tools = {
            name: tool
            for name, tool in self._tools.items()
            if tool.enabled and name not in disabled
        }
        self._limits = {
            name: trio.CapacityLimiter(tool.concurrency)
            for name, tool in self._tools.items()
            if tool.concurrency
        }

    def answered_by(self, instead: Instead) -> "Toolbox":
        """The same tools, some of whose calls are answered without them."""
        other = copy(self)
        other._instead = instead  # noqa: SLF001 - its own
        return other

    @property
    def all_tools(self) -> tuple[Tool, ...]:
        """All tools, including those that are not enabled."""
        return self._all

    def _offered(self) -> Mapping[str, Tool]:
        """All tools that the model may call now."""
        remote = self._remote()
        if not remote:
            return self._tools
        allowed = {name: one for name, one in remote.items() if name not in self._disabled}
        return {**allowed, **self._tools}

    def _find(self, name: str) -> Tool | None:
        return self._tools.get(name) or self._offered().get(name)

    def is_enabled(self, name: str) -> bool:
        """True if the model may call the tool of this name."""
        return self._find(name) is not None

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The enabled tools as the model sees them."""
        return tuple(tool.spec for tool in self._offered().values())

    @property
    def remote_specs(self) -> tuple[ToolSpec, ...]:
        """The tools of servers among them."""
        return tuple(tool.spec for name, tool in self._offered().items() if name not in self._tools)

    def has_effects(self, call: FunctionCall) -> bool:
        """True if the call must not be made twice."""
        tool = self._find(call.name)
        return tool is not None and tool.effects

    def is_repeatable(self, call: FunctionCall) -> bool:
        """True if a call with an unknown outcome may be made again."""
        tool = self._find(call.name)
        return tool is not None and tool.is_repeatable

    async def call(self, call: FunctionCall, context: ToolContext) -> tuple[str, bool]:
        """Call a tool; returns the output for the model, and whether the call failed.

        Faults of the tool or the model are not raised: they become the output, and the turn goes
        on. The message of an exception stays in the log, since it may hold internals. Raises
        StoreUnavailable from a tool that may be called again when the store is back.
        """
        tool = self._find(call.name)
        if tool is None:
            known = ", ".join(self._offered()) or "none"
            return _error(f"there is no tool {call.name[:64]}; the tools are: {known}"), True
        try:
            arguments = tool.read_arguments(call.arguments)
        except ValueError as error:
            return _error(str(error)), True
        given = self._instead(tool, call, context)
        if given is not None:
            return given, False
        if tool.context_parameter:
            arguments[tool.context_parameter] = context
        work = _ToolWork(tool, arguments, self._limits.get(tool.name))
        with trio.move_on_after(tool.timeout):
            return await self._outcome(work)
        late = f"within {tool.timeout:g} seconds"
        if not work.begun:
            return _error(f"{tool.name} is busy and was not called {late}; try again later"), True
        doubt = "" if tool.is_repeatable else UNKNOWN_OUTCOME
        return _error(f"{tool.name} did not answer {late}{doubt}"), True

    async def _outcome(self, work: "_ToolWork") -> tuple[str, bool]:
        try:
            return _output(await work.run()), False
        except StoreUnavailable as error:
            if not work.tool.is_repeatable:
                return self._failed(work.tool, error)
            raise
        except Exception as error:  # noqa: BLE001 - a tool may fail in any way; the turn goes on
            return self._failed(work.tool, error)

    def _failed(self, tool: Tool, error: Exception) -> tuple[str, bool]:
        self._on_fault(tool.name, error)
        is_unknown = isinstance(error, ToolOutcomeUnknown) and not tool.is_repeatable
        doubt = UNKNOWN_OUTCOME if is_unknown else ""
        return _error(f"{tool.name} failed ({type(error).__name__}){doubt}"), True


class _ToolWork:
    """One call of a tool with valid arguments."""

    def __init__(
        self, tool: Tool, arguments: dict[str, object], limit: trio.CapacityLimiter | None
    ) -> None:
        self.tool = tool
        self.begun = False
        """True once the function itself has been entered."""
        self._arguments = arguments
        self._limit = limit

    async def run(self) -> object:
        """Call the function when its limit allows, in a thread unless it is async for trio."""
        if self.tool.asyncio:
            call = AsyncioCall(self._call)
            try:
                return await trio.to_thread.run_sync(
                    call.run, abandon_on_cancel=True, limiter=self._limit
                )
            finally:
                call.cancel()
        if not self.tool.is_async:
            # An abandoned thread keeps its place in the limiter until it ends.
            return await trio.to_thread.run_sync(
                self._call, abandon_on_cancel=True, limiter=self._limit
            )
        async with self._limit or contextlib.nullcontext():
            return await self._call()

    def _call(self) -> Any:
        self.begun = True
        return self.tool.function(**self._arguments)


def _output(result: object) -> str:
    text = result if isinstance(result, str) else msgspec.json.encode(result).decode()
    if len(text.encode()) <= MAX_OUTPUT_BYTES:
        return text
    return text.encode()[:MAX_OUTPUT_BYTES].decode("utf-8", "ignore") + CUT_NOTE


def _error(message: str) -> str:
    return msgspec.json.encode({"error": message}).decode()


def load_tools(modules: Sequence[str], folder: Path | None) -> list[Tool]:
    """Import the operator's tool modules; see `import_modules`.

    Raises ToolError, naming the module and the fault, if one cannot be loaded or has no tool, or
    if a tool is written for asyncio and does not say so.
    """
    tools = []
    for module in import_modules(
        modules, folder, key="tools.folder", package=FOLDER_PACKAGE, fault=ToolError
    ):
        found = [value for value in vars(module).values() if isinstance(value, Tool)]
        if not found:
            raise ToolError(f"{module.__name__}: no tool in it; declare one with @tool")
        for one in found:
            _check_loop(one, module.__name__)
        tools += found
    return tools


def _check_loop(tool: Tool, module: str) -> None:
    """Refuse a function for asyncio that would run in trio's loop. Raises ToolError."""
    if not tool.is_async or tool.asyncio:
        return
    if library := library_for_asyncio(tool.function):
        raise ToolError(
            f"{module}: tool {tool.name}: it uses {library}, which needs a loop of asyncio, and"
            " Recado runs on trio. Declare it with @tool(asyncio=True): it then runs in a thread"
            " with a loop of its own. Or use trio and httpx, or a plain function, which runs in a"
            " thread"
        )


def import_modules(
    names: Sequence[str],
    folder: Path | None,
    *,
    key: str,
    package: str,
    fault: type[ToolError] | type[ValidatorError],
) -> list[ModuleType]:
    """Import an operator's modules: by name, and every ``*.py`` of a folder.

    Not files whose names begin with an underscore. ``key`` is the setting of the folder, whose
    modules are known to Python by names inside ``package``. Raises ``fault``, naming the module.
    """
    imports = [(name, partial(importlib.import_module, name)) for name in names]
    if folder is not None:
        if not folder.is_dir():
            raise fault(f"{key}: {folder} is not a folder")
        imports += [
            (str(path), partial(_import_file, path, f"{package}.{path.stem}"))
            for path in sorted(folder.glob("[!_]*.py"))
        ]
    modules = []
    for name, import_one in imports:
        try:
            modules.append(import_one())
        except fault as error:
            raise fault(f"{name}: {error}") from error
        except Exception as error:
            how = "" if name not in names else "cannot be imported: "
            raise fault(f"{name}: {how}{type(error).__name__}: {error}") from error
    return modules


def _import_file(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Type hints of the module's functions are resolved through sys.modules.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
