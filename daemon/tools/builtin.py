"""The tools that every Recado has."""

from typing import Literal

from daemon.tools.tool import ToolContext, tool

Level = Literal["recent_50", "recent_100", "recent_200", "recent_400", "recent_600"]


@tool
async def get_conversation_context(context: ToolContext, context_level: Level) -> str:
    """Look up what was said earlier in this conversation, further back than you can see.

    Use it when the customer refers to something that you do not know. Start with recent_50.
    """
    lines = await context.recent_messages(context.key, int(context_level.removeprefix("recent_")))
    return "\n".join(lines) or "There are no earlier messages."
