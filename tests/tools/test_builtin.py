"""What the built-in tools tell the model, whatever the conversation says to them."""

import json

import pytest
from support.tools import RecordedConversation

from daemon.domain.messages import FunctionCall
from daemon.domain.records import MAX_FACT_CHARACTERS
from daemon.tools.builtin_tools import ALL, escalate_to_human, forget_fact, remember, set_labels
from daemon.tools.tool import Tool, ToolContext
from daemon.tools.toolbox import Toolbox


async def result(context: ToolContext, tool: Tool, **arguments: object) -> str:
    """Call a tool; gives what the model is told. It must not fail."""
    asked = FunctionCall(call_id="c", name=tool.name, arguments=json.dumps(arguments))
    output, failed = await Toolbox([tool]).call(asked, context)
    assert not failed
    return output


async def test_an_escalation_gives_the_model_its_words(
    context: ToolContext, conversation: RecordedConversation
) -> None:
    asked = {"reason": "Queja", "summary": "Ruido en la 101", "urgency": "high"}
    first = await result(context, escalate_to_human, **asked)
    second = await result(context, escalate_to_human, **asked)
    assert first.startswith("This chat is handed to a person")
    assert second.startswith("This was done already")
    assert conversation.escalations[0] == ("Queja", "Ruido en la 101", "high")


async def test_labels_may_be_added_removed_or_unknown(
    context: ToolContext, conversation: RecordedConversation
) -> None:
    conversation.labels = {"Nuevo"}
    assert await result(context, set_labels, add=["Cotizado"], remove=["Nuevo"]) == "Done."
    assert conversation.labels == {"Cotizado"}
    assert await result(context, set_labels, add=None, remove=None) == "Done."
    assert await result(context, set_labels, add=["VIP"]) == "there is no label VIP"


async def test_facts_are_numbered_and_few(
    context: ToolContext, conversation: RecordedConversation
) -> None:
    assert (
        await result(context, remember, fact=" Es\n alérgica  al maní ") == "Remembered as fact 1."
    )
    assert conversation.facts == {1: "Es alérgica al maní"}
    await result(context, remember, fact="Viaja con su perro")
    assert (await result(context, remember, fact="Paga con tarjeta")).startswith("Not remembered")
    assert await result(context, forget_fact, fact_id=1) == "Forgotten."
    assert (
        await result(context, forget_fact, fact_id=1) == "There is no fact 1 about this customer."
    )


@pytest.mark.parametrize("fact", ["", "  ", "x" * (MAX_FACT_CHARACTERS + 1)])
async def test_a_fact_is_short(
    context: ToolContext, conversation: RecordedConversation, fact: str
) -> None:
    assert "1 to 300 characters" in await result(context, remember, fact=fact)
    assert conversation.facts == {}


NUMBERS = [
    (tool, name)
    for tool in ALL
    for name, schema in tool.loose["properties"].items()
    if schema.get("type") in {"integer", "number"}
]


@pytest.mark.parametrize(("tool", "name"), NUMBERS, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("number", ["-1", "9" * 30, "-" + "9" * 30, "9" * 5000, "1e400"])
async def test_a_number_out_of_range_is_a_bad_argument(
    context: ToolContext, tool: Tool, name: str, number: str
) -> None:
    """The model is told so; the store never sees a number that it cannot hold."""
    asked = FunctionCall(call_id="c", name=tool.name, arguments=f'{{"{name}": {number}}}')
    output, failed = await Toolbox([tool]).call(asked, context)
    assert failed
    assert f"arguments for {tool.name}" in json.loads(output)["error"]
