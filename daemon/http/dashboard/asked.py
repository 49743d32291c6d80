"""What the address of a page of conversations asks for."""

from dataclasses import dataclass
from urllib.parse import urlencode

from quart import request

from daemon.domain.messages import JsonObject
from daemon.domain.transitions.handover import WITH_AGENT

STATES = (WITH_AGENT, "writing", "waiting", "thinking", "sending", "paused", "failed")
"""By which the list can be narrowed; the others are idle."""

PARTS = frozenset({"list", "talk", "turns"})
"""Parts of the page that may be asked for alone."""

CHATS_SHOWN = 40
BUBBLES_SHOWN = 60
LONGEST_QUERY = 100
LONGEST_PLACE = 80


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for."""

    query: str
    state: str
    before: str
    turn: str
    part: str

    def link(self, ref: str, **changes: str) -> str:
        """The address of a chat (or of the list) with the same search."""
        kept = {"q": self.query, "state": self.state, **changes}
        path = f"/dashboard/chats/{ref}" if ref else "/dashboard/chats"
        tail = urlencode({name: value for name, value in kept.items() if value})
        return f"{path}?{tail}" if tail else path


def read_asked() -> Asked:
    """Read the address of the present request; what it cannot mean counts as nothing."""
    state, part = request.args.get("state", ""), request.args.get("part", "")
    return Asked(
        query=request.args.get("q", "").strip()[:LONGEST_QUERY],
        state=state if state in STATES else "",
        before=request.args.get("before", "")[:LONGEST_PLACE],
        turn=request.args.get("turn", "")[:LONGEST_PLACE],
        part=part if part in PARTS else "",
    )


def confirm_word(chat: JsonObject) -> str:
    """What somebody types to confirm that a person is to be forgotten: the last four digits."""
    return str(chat["number"])[-4:]
