"""`recado ask`: one turn with what is configured, in the terminal."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from daemon.domain.messages import FunctionCall
from daemon.ops.commands.interrupts import run_until_signal
from daemon.ops.commands.place import (
    CONFIG,
    NUMBER,
    NotDone,
    failures,
)
from daemon.ops.commands.texts import number_at_work
from daemon.ops.rehearsal.model import has_real_model, model_line
from daemon.ops.rehearsal.stage import BurstResult, RehearsalOptions, open_rehearsal
from daemon.settings import Settings
from daemon.tools import builtin_tools
from daemon.tools.tool import Tool, ToolContext

NOT_RUN = (
    "Not done: this is a trial, in which tools with effects are not run. Answer as if it had been"
    " done."
)

PATIENCE_SECONDS = 300.0
"""For the answer."""

TROUBLE_SECONDS = 15.0
"""For a model server that fails again and again."""

EXAMPLE = """\b
Example:
  recado ask "¿Hay habitaciones para el viernes?"
  recado ask --simulated "Is breakfast included?"
"""


@click.command(name="ask", epilog=EXAMPLE)
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option("--effects", is_flag=True, help="Run tools with effects too, such as a booking.")
@click.option("--simulated", is_flag=True, help="Ask the simulated model, which costs nothing.")
@NUMBER
@CONFIG
def ask_command(
    config: Path | None,
    *,
    texts: Sequence[str],
    effects: bool,
    simulated: bool,
    number: str | None,
) -> None:
    """Answer one message in the terminal, with the configured model, tools and documents.

    Several TEXTs are a burst, which is answered as one. Nothing is sent to WhatsApp, and the store
    is not touched: the customer is a new one each time. Tools with effects are not run unless
    --effects is given. Documents are searched by words alone. The answer is on stdout; which model
    answers, the calls of tools and the cost are on stderr.
    """
    if not all(text.strip() for text in texts):
        raise click.UsageError("a text is empty")
    settings = number_at_work(config, number)
    simulated = simulated or not has_real_model(settings)
    click.echo(model_line(settings, simulated=simulated), err=True)
    with failures():
        asked = run_until_signal(_ask, settings, texts, effects, simulated)
    for line in asked.calls:
        click.echo(line, err=True)
    for answer in asked.result.answers:
        click.echo(answer)
    bill = (
        f"{asked.result.tokens} tokens of the simulated model"
        if simulated
        else asked.bill(settings)
    )
    click.echo(bill, err=True)
    if asked.result.outcome != "answered":
        why = asked.result.reason or "no answer came in time"
        raise NotDone(f"not answered: {why}")


@dataclass(slots=True)
class _Asked:
    calls: list[str] = field(default_factory=list)
    result: BurstResult = field(default_factory=BurstResult)
    cost: float = 0.0

    def bill(self, settings: Settings) -> str:
        """Tokens and cost, in a line."""
        tokens = f"{self.result.tokens} tokens"
        if settings.assistant.model in settings.budget.prices:
            return f"{tokens}, {self.cost:.4f} {settings.budget.currency}".rstrip()
        return f"{tokens}; without a price of {settings.assistant.model} in budget.prices"


async def _ask(
    settings: Settings,
    texts: Sequence[str],
    effects: bool,  # noqa: FBT001 - run_until_signal gives no names
    simulated: bool,  # noqa: FBT001
) -> _Asked:
    asked = _Asked()

    def instead(tool: Tool, call: FunctionCall, _context: ToolContext) -> str | None:
        """Leave out what would have effects outside of this trial's own store."""
        skipped = tool.effects and tool not in builtin_tools.ALL and not effects
        asked.calls.append(
            f"tool {call.name}({call.arguments})"
            + (" not run: --effects runs it" if skipped else "")
        )
        return NOT_RUN if skipped else None

    terms = RehearsalOptions(
        simulated=simulated,
        at=time.time(),
        seed=time.time_ns(),
        trouble_seconds=TROUBLE_SECONDS,
        instead=instead,
    )
    async with open_rehearsal(settings, terms) as rehearsal:
        key = rehearsal.new_chat()
        asked.result = await rehearsal.say(key, texts, seconds=PATIENCE_SECONDS)
        asked.cost = await rehearsal.cost(key)
    return asked
