"""τ-bench's retail and airline tasks, played through Recado: `make rehearse-tau TAU=folder URL=…`.

TAU is a checkout of https://github.com/sierra-research/tau-bench, which is not published as a
package. Its tools, data, policies and tasks are used as they are; the customer is played by the
same model server, and the conversation goes through the window, tools, validators and splitting of
a rehearsal. A task is done if the data are what its own actions make of them, and what must be said
was said: the rule of the benchmark.

Environment: TAU, URL, KEY, MODEL, DOMAINS (``retail airline``), TASKS (``0-9``: those numbers),
TIMES, AT_ONCE.
"""

import importlib
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import trio
from pydantic import SecretStr

from daemon.domain.messages import ChatKey, ToolSpec
from daemon.errors import AssistantError
from daemon.ops.rehearsal.cases import Case, Customer, LocatedCase
from daemon.ops.rehearsal.checks import PlayedTurn
from daemon.ops.rehearsal.customers import Persona
from daemon.ops.rehearsal.judge import Judge
from daemon.ops.rehearsal.play import TURN_SECONDS, Play, transcript
from daemon.ops.rehearsal.report import RehearsalSummary, lines
from daemon.ops.rehearsal.stage import (
    HELD,
    Rehearsal,
    RehearsalOptions,
    open_rehearsal,
)
from daemon.settings import Settings, with_tables
from daemon.tools.mcp_client import RemoteTool
from daemon.tools.schema import strict_schema
from daemon.tools.toolbox import Toolbox

TASKS_OF = {"retail": ("tasks_test", "TASKS_TEST"), "airline": ("tasks_test", "TASKS")}
"""The module and name of each domain's test tasks."""

TO_A_PERSON = "transfer_to_human_agents"
"""Ends a conversation; it changes nothing."""

ZONE = ZoneInfo("America/New_York")
NOW = datetime(2024, 5, 15, 15, 0, tzinfo=ZONE)
"""The time that the policies name."""

MOST_TURNS = MOST_ROUNDS = 30
"""As in the benchmark."""


class _Arguments(msgspec.Struct):
    """Stands for arguments that the benchmark's own tools check."""


@dataclass(slots=True)
class Domain:
    """One domain of the checkout, and the data of each conversation."""

    name: str
    data: dict[ChatKey, dict[str, Any]] = field(default_factory=dict)
    over: set[ChatKey] = field(default_factory=set)
    """Chats that were given to a person."""

    def module(self, name: str) -> types.ModuleType:
        """A module of the domain."""
        return importlib.import_module(f"tau_bench.envs.{self.name}.{name}")

    def load(self) -> dict[str, Any]:
        """The data as they are before a task."""
        loaded: dict[str, Any] = self.module("data").load_data()
        return loaded

    @property
    def tasks(self) -> list[Any]:
        """The test tasks, in order."""
        module, name = TASKS_OF[self.name]
        return list(getattr(self.module(module), name))

    def invoke(self, tool: Any, data: dict[str, Any], arguments: dict[str, Any]) -> str:
        """Call a tool as the benchmark does."""
        try:
            return str(tool.invoke(data=data, **arguments))
        except Exception as error:  # noqa: BLE001 - as the benchmark's own environment
            return f"Error: {error}"

    @property
    def tools_by_name(self) -> dict[str, Any]:
        """The benchmark's tools."""
        tools = self.module("tools").ALL_TOOLS
        return {tool.get_info()["function"]["name"]: tool for tool in tools}

    def toolbox(self) -> Toolbox:
        """The tools for a conversation of Recado's."""
        return Toolbox([self._tool(name, tool) for name, tool in self.tools_by_name.items()])

    def _tool(self, name: str, tool: Any) -> RemoteTool:
        async def call(context: Any, **arguments: Any) -> str:
            if name == TO_A_PERSON:
                self.over.add(context.key)
            return self.invoke(tool, self.data[context.key], arguments)

        info = tool.get_info()["function"]
        return RemoteTool(
            spec=ToolSpec(
                name=name,
                description=info["description"],
                parameters=strict_schema(info["parameters"]),
            ),
            function=call,
            arguments=_Arguments,
            context_parameter="context",
            loose=info["parameters"],
            is_async=True,
            asyncio=False,
            effects=False,
            idempotent=True,
            timeout=30.0,
            concurrency=0,
            enabled=True,
        )

    def faults(self, task: Any, key: ChatKey, turns: list[PlayedTurn]) -> list[str]:
        """What is not as the task wants it."""
        wanted, tools = self.load(), self.tools_by_name
        for action in task.actions:
            if action.name in tools and action.name != TO_A_PERSON:
                self.invoke(tools[action.name], wanted, action.kwargs)
        said = " ".join(" ".join(turn.answers) for turn in turns).lower().replace(",", "")
        found = [] if self.data[key] == wanted else ["the data are not as the task wants them"]
        return found + [f"not said: {one}" for one in task.outputs if one.lower() not in said]


async def play(
    one: Play, task: Any, key: ChatKey, domain: Domain, rehearsal: Rehearsal, judge: Judge
) -> None:
    """One conversation about one task."""
    domain.data[key] = domain.load()
    customer = Customer(name=one.found.case.name, goal=task.instruction, turns=MOST_TURNS)
    persona = Persona(customer, Random(one.attempt), judge)  # noqa: S311 - no habits: no dice
    while key not in domain.over:
        try:
            turn = await persona.next(transcript(one.turns))
        except AssistantError as error:
            one.failures.append(f"no customer: {error}")
            break
        if turn is None:
            break
        heard = await rehearsal.say(key, turn.burst, seconds=TURN_SECONDS)
        played = PlayedTurn(says=list(map(str, turn.burst)), answers=list(heard.answers))
        played.tokens = heard.tokens
        one.turns.append(played)
        if heard.outcome not in {"answered", HELD}:
            one.failures.append(heard.reason or heard.outcome or "no answer in time")
            break
    one.failures += domain.faults(task, key, one.turns)
    one.cost = await rehearsal.cost(key)
    del domain.data[key]


async def run_domain(
    settings: Settings, domain: Domain, numbers: range, *, times: int, at_once: int
) -> RehearsalSummary:
    """All tasks of a domain."""
    terms = RehearsalOptions(simulated=False, at=NOW.timestamp())
    tasks = domain.tasks
    plays = [
        (Play(_located(domain, number), attempt), tasks[number])
        for number in numbers
        if number < len(tasks)
        for attempt in range(1, times + 1)
    ]
    limit = trio.CapacityLimiter(at_once)
    async with open_rehearsal(settings, terms) as rehearsal:
        config = rehearsal.services.config
        config.current = replace(config.current, toolbox=domain.toolbox())
        judge = Judge(rehearsal.services.model.engine)

        async def one(which: Play, task: Any, key: ChatKey) -> None:
            async with limit:
                await play(which, task, key, domain, rehearsal, judge)
            print(f"{which.found.case.name}: {'failed' if which.failures else 'done'}", flush=True)

        async with trio.open_nursery() as nursery:
            for which, task in plays:
                nursery.start_soon(one, which, task, rehearsal.new_chat())
        cost = judge.cost(config.rules.budget.price)
    return RehearsalSummary(
        plays=[which for which, _ in plays],
        times=times,
        model=f"{settings.assistant.model}, {domain.name}",
        version="-",
        currency=settings.budget.currency,
        simulated=False,
        judge_cost=cost,
    )


def _located(domain: Domain, number: int) -> LocatedCase:
    case = Case(name=f"{domain.name} {number}", turn=[])
    return LocatedCase(case=case, path=Path(TASKS_OF[domain.name][0]), line=number)


def settings_for(domain: Domain, folder: Path, environ: Callable[[str], str]) -> Settings:
    """The model server of the environment, with the domain's policy as instructions."""
    instructions = folder / f"{domain.name}.md"
    instructions.write_text(domain.module("wiki").WIKI, "utf-8")
    assistant: dict[str, Any] = {
        "instructions_file": instructions,
        "base_url": environ("URL"),
        "api_key": SecretStr(environ("KEY") or "none"),
        "max_tool_rounds": MOST_ROUNDS,
    }
    if environ("MODEL"):
        assistant["model"] = environ("MODEL")
    own = Settings(language="en", timezone=str(ZONE), data_dir=folder)
    return with_tables(own, {"assistant": assistant})


def main() -> None:
    """Play what the environment asks for, and print the report of each domain."""

    def environ(key: str) -> str:
        return os.environ.get(key, "")

    if not environ("TAU") or not environ("URL"):
        sys.exit("make rehearse-tau TAU=folder URL=https://…/v1 KEY=… (docs/rehearsal.md)")
    sys.path.insert(0, str(Path(environ("TAU")).resolve()))
    # Its own simulated user needs this library; ours does not.
    sys.modules["litellm"] = types.SimpleNamespace(completion=None)  # type: ignore[assignment]
    first, _, last = (environ("TASKS") or "0-9").partition("-")
    numbers = range(int(first), int(last or first) + 1)
    how = {"times": int(environ("TIMES") or 1), "at_once": int(environ("AT_ONCE") or 4)}
    for name in (environ("DOMAINS") or "retail airline").split():
        domain = Domain(name)
        with TemporaryDirectory() as folder:
            settings = settings_for(domain, Path(folder), environ)
            summary = trio.run(partial(run_domain, settings, domain, numbers, **how))
        print("\n".join(lines(summary)), end="\n\n")


if __name__ == "__main__":
    main()
