"""Tools: typed Python functions that the model may call.

Operators' modules import from here: ``from daemon.tools import ToolContext, tool``.
"""

import sys

from daemon.tools.tool import ListRow, ToolContext, tool

__all__ = ["ListRow", "ToolContext", "tool"]

# The former path of `ListRow` and `ToolContext` goes on working in operators' modules.
sys.modules.setdefault("daemon.tools.context", sys.modules["daemon.tools.tool"])
