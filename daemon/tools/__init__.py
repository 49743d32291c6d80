"""Tools: typed Python functions that the model may call.

Operators' modules import from here: ``from daemon.tools import ToolContext, tool``.
"""

from daemon.tools.context import ListRow, ToolContext
from daemon.tools.tool import tool

__all__ = ["ListRow", "ToolContext", "tool"]
