from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.tools import RecordedConversation

from daemon.domain.messages import ChatKey, FunctionCall
from daemon.tools.tool import Tool, ToolContext
from daemon.tools.toolbox import Toolbox

Caller = Callable[..., Awaitable[tuple[str, bool]]]


@pytest.fixture
def conversation() -> RecordedConversation:
    """What tools have done to Laura's conversation."""
    return RecordedConversation()


@pytest.fixture
def context(conversation: RecordedConversation) -> ToolContext:
    """What a tool may know of Laura's conversation."""

    async def recent_messages(_key: ChatKey, count: int) -> list[str]:
        return [f"user: line {number}" for number in range(count)]

    return ToolContext(
        key=ChatKey("MANTIS-M72HC", "573001234567@s.whatsapp.net"),
        contact_name="Laura",
        language="es",
        idempotency_key="key-1",
        recent_messages=recent_messages,
        conversation=conversation,
    )


@pytest.fixture
def call(context: ToolContext) -> Caller:
    """Give a way to call one tool as the model would; gives its output, and whether it failed."""

    async def call(tool: Tool, arguments: str = "{}", **fields: Any) -> tuple[str, bool]:
        asked = FunctionCall(call_id="c-1", name=tool.name, arguments=arguments, **fields)
        return await Toolbox([tool]).call(asked, context)

    return call
